import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';

/** What a command printed, and how it ended. */
export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** What makes a folder in memory, and waits. */
const MEMORY = `
mount -t tmpfs -o size=4g,mode=700 memory "$1"
echo up
exec sleep infinity
`;

/** What fills a folder with a Debian, and waits. */
const DEBIAN = `
mkdir "$1"
tar -xf "$2" -C "$1"
mount -t proc proc "$1/proc"
cp -L /etc/resolv.conf "$1/etc/resolv.conf"
printf '#!/bin/sh\\nexit 101\\n' > "$1/usr/sbin/policy-rc.d"
chmod 755 "$1/usr/sbin/policy-rc.d"
echo up
exec sleep infinity
`;

/** What starts a program as process 1 of files that are there. */
const CONTAINER = `
echo up
root=$1; shift
mount -t proc proc "$root/proc"
# A change of user takes away that it is killed with its parent.
exec chroot --userspec=centreond "$root" setpriv --pdeathsig KILL /bin/sh -c 'cd /var/lib/centreond && exec "$@"' sh "$@"
`;

/**
 * Processes in namespaces of their own (mounts, processes, network), most often in a chroot. The first of them ends when the machine is
 * closed, and when this process ends in whatever way; its processes and mounts go with that.
 */
export class Machine {
  /** What its first process printed. */
  printed = '';
  readonly #holder: ChildProcess;
  readonly #init: number;
  readonly root: string;

  private constructor(holder: ChildProcess, init: number, root: string) {
    this.#holder = holder;
    this.#init = init;
    this.root = root;
    for (const stream of [holder.stdout, holder.stderr]) stream?.on('data', (text) => (this.printed += text));
  }

  /** This system with the empty folder `folder` in memory: what is written there is gone with it. */
  static memory(folder: string): Promise<Machine> {
    return Machine.#open([], MEMORY, folder);
  }

  /** A Debian: the tarball unpacked into the new folder `root`, in the memory of another machine. */
  static debian(memory: Machine, root: string, tarball: string): Promise<Machine> {
    return Machine.#open(memory.#enter('--mount'), DEBIAN, root, tarball);
  }

  /** Lays a cable between two machines, which have these addresses then. */
  static async connect(ends: readonly [Machine, Machine], addresses: readonly [string, string]): Promise<void> {
    const [one, other] = ends;
    await one.#ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(other.#init));
    for (const [i, end] of ends.entries()) {
      await end.#ip('addr', 'add', `${addresses[i]}/24`, 'dev', 'eth0');
      await end.#ip('link', 'set', 'eth0', 'up');
    }
  }

  async #ip(...words: string[]): Promise<void> {
    const { code, stderr } = await ran([...this.#enter('--net'), 'ip', ...words]);
    if (code !== 0) throw new Error(`ip ${words.join(' ')}: exit ${code}\n${stderr}`);
  }

  /** A container with the files in `root`, in the memory of another machine, whose process 1 is `words`. */
  static container(memory: Machine, root: string, words: readonly string[]): Promise<Machine> {
    return Machine.#open(memory.#enter('--mount'), CONTAINER, root, ...words);
  }

  static async #open(enter: readonly string[], script: string, root: string, ...words: string[]): Promise<Machine> {
    const alone = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--net'];
    const line = `set -e; ip link set lo up; ${script}`;
    const all = ['--pdeathsig', 'KILL', ...enter, ...alone, 'sh', '-c', line, 'init', root, ...words];
    const holder = spawn('setpriv', all, { stdio: ['ignore', 'pipe', 'pipe'], env: environment() });
    await new Promise<void>((resolve, reject) => {
      holder.stdout.once('data', () => resolve());
      holder.once('exit', (code) => reject(new Error(`the machine ended with ${code}`)));
    });
    const [init] = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'latin1').split(' ');
    return new Machine(holder, Number(init), root);
  }

  #enter(...namespaces: string[]): string[] {
    return ['nsenter', `--target=${this.#init}`, ...namespaces, '--'];
  }

  /** Runs a program of this system where the memory is, with its temporary files there. Throws what it printed if it fails. */
  async must(...words: string[]): Promise<string> {
    const { code, stdout, stderr } = await ran([...this.#enter('--mount'), ...words], {
      ...process.env,
      TMPDIR: this.root,
    });
    if (code !== 0) throw new Error(`${words.join(' ')}: exit ${code}\n${stdout}${stderr}`);
    return stdout;
  }

  /** The words that run a program of this system, with its files as `root`, in the machine's namespaces. */
  beside(...words: string[]): string[] {
    return [...this.#enter('--mount', '--pid', '--net'), ...words];
  }

  /** Runs a line of a shell in the machine, with its network or with that of this system. */
  async run(line: string, network: 'own' | 'online' = 'own', user = 'root'): Promise<Ran> {
    const enter = this.#enter('--mount', '--pid', ...(network === 'own' ? ['--net'] : []));
    const words = [...enter, 'chroot', `--userspec=${user}`, this.root, '/bin/sh', '-c', `cd / && ${line}`];
    return ran(words, environment());
  }

  /** As {@link run}, and throws what it printed if it fails. Resolves with its standard output. */
  async does(line: string, network: 'own' | 'online' = 'own', user = 'root'): Promise<string> {
    const { code, stdout, stderr } = await this.run(line, network, user);
    if (code !== 0) throw new Error(`${line}: exit ${code}\n${stdout}${stderr}${this.printed.slice(-4000)}`);
    return stdout;
  }

  /** The path from here of a file in the machine. */
  file(name: string): string {
    return path.join(`/proc/${this.#init}/root`, this.root, name);
  }

  /** Sends a signal to the first process. */
  signal(signal: NodeJS.Signals): void {
    process.kill(this.#init, signal);
  }

  /** Resolves with the exit code of the first process when that has ended. */
  async ended(): Promise<number | null> {
    const { exitCode, signalCode } = this.#holder;
    if (exitCode !== null || signalCode !== null) return exitCode;
    return new Promise((resolve) => this.#holder.once('close', resolve));
  }

  async close(): Promise<void> {
    const { exitCode, signalCode } = this.#holder;
    if (exitCode === null && signalCode === null) this.signal('SIGKILL');
    await this.ended();
  }
}

/** Runs a program; its exit code is for the caller to judge. */
export function ran(words: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Ran> {
  const [program = '', ...args] = words;
  return new Promise((resolve, reject) => {
    execFile(program, args, { env, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error && typeof error.code !== 'number') reject(error);
      else resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

/** The environment of a session on the machine, with the proxies of this system. */
function environment(): NodeJS.ProcessEnv {
  const proxies = Object.entries(process.env).filter(([name]) => /^(https?|no)_proxy$/i.test(name));
  return {
    ...Object.fromEntries(proxies),
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/root',
    LANG: 'C.UTF-8',
    DEBIAN_FRONTEND: 'noninteractive',
  };
}
