import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { JsonObject } from '@centreond/protocol';

const SSHD = '/usr/sbin/sshd';
/** Where sshd wants a folder when root starts it; packages make it, and a machine that just booted does not have it. */
const PRIVSEP = '/run/sshd';
/** What each of these servers puts into a folder that one of them made: the last to leave removes it. */
const PRIVSEP_USER = 'centreond-test-';

/** Why there can be no sshd here, or undefined. */
export const noSshd: string | undefined = existsSync(SSHD)
  ? undefined
  : `skipped: there is no ${SSHD} (apt-get install openssh-server)`;
if (noSshd) process.stderr.write(`the tests of SSH nodes are ${noSshd}\n`);

/** A real OpenSSH server on a free loopback port, for the account that runs the tests. */
export class Sshd {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), 'centreond-sshd-'));
  readonly user = os.userInfo().username;
  readonly key = path.join(this.folder, 'client');
  port = 0;
  /** What it logged. */
  log = '';
  #child: ChildProcess | undefined;
  #privsep: string | undefined;
  readonly #settings: readonly string[];

  /** `settings` are lines of its config, over those below. */
  constructor(settings: readonly string[] = []) {
    this.#settings = settings;
    for (const kind of ['ed25519', 'rsa', 'ecdsa']) keygen(path.join(this.folder, `host-${kind}`), kind);
    keygen(this.key, 'ed25519');
    writeFileSync(path.join(this.folder, 'authorized'), readFileSync(`${this.key}.pub`));
  }

  /** The fingerprint of its host key of this kind, as `ssh-keygen -lf` prints it. */
  hostKey(kind = 'ed25519'): string {
    return fingerprint(path.join(this.folder, `host-${kind}.pub`));
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** What a node's config needs to get in here. */
  node(id: string, more: JsonObject = {}): JsonObject {
    const { address, user, key } = this;
    return { id, type: 'ssh', address, user, key, hostKey: this.hostKey(), ...more };
  }

  /** Starts it, or starts it again on the same port. */
  async start(): Promise<this> {
    if (process.getuid?.() === 0) this.#privsep ??= usePrivsep();
    this.port ||= await freePort();
    const file = path.join(this.folder, 'config');
    const lines = [
      ...this.#settings,
      `ListenAddress ${this.address}`,
      ...['ed25519', 'rsa', 'ecdsa'].map((kind) => `HostKey ${path.join(this.folder, `host-${kind}`)}`),
      `AuthorizedKeysFile ${path.join(this.folder, 'authorized')}`,
      // Its login shell is to read nobody's ~/.bashrc.
      `SetEnv HOME=${this.folder}`,
      'UsePAM no',
      'StrictModes no',
      'PermitRootLogin prohibit-password',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'PidFile none',
      'Subsystem sftp internal-sftp',
      'LogLevel VERBOSE',
      '',
    ];
    writeFileSync(file, lines.join('\n'));
    const child = spawn(SSHD, ['-D', '-e', '-f', file], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    const ready = new Promise<void>((resolve, reject) => {
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        this.log = (this.log + text).slice(-200_000);
        if (this.log.includes('Server listening')) resolve();
      });
      child.once('exit', (code) => reject(new Error(`sshd ended with ${code}: ${this.log}`)));
    });
    this.log = '';
    await ready;
    return this;
  }

  /** The processes of its connections: its children, and theirs that are sshd too. */
  connections(): number[] {
    const all = processTable();
    const found: number[] = [];
    const add = (parent: number) => {
      for (const { pid, ppid, name } of all) {
        if (ppid !== parent || !name.startsWith('sshd')) continue;
        found.push(pid);
        add(pid);
      }
    };
    if (this.#child?.pid !== undefined) add(this.#child.pid);
    return found;
  }

  /** Cuts every connection, as when their processes die; it listens on. */
  cut(): number {
    const pids = this.connections();
    for (const pid of pids) signal(pid, 'SIGKILL');
    return pids.length;
  }

  /** Ends it and its connections. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.cut();
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exited;
  }

  /** Ends it for good and removes its folder. */
  async dispose(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
    if (this.#privsep !== undefined) leavePrivsep(this.#privsep);
    this.#privsep = undefined;
  }
}

/** The file that says that PRIVSEP is in use; undefined where the system made the folder. */
function usePrivsep(): string | undefined {
  if (existsSync(PRIVSEP) && !readdirSync(PRIVSEP).some((name) => name.startsWith(PRIVSEP_USER))) return undefined;
  mkdirSync(PRIVSEP, { recursive: true });
  const file = path.join(PRIVSEP, `${PRIVSEP_USER}${randomUUID()}`);
  writeFileSync(file, '');
  return file;
}

function leavePrivsep(file: string): void {
  rmSync(file, { force: true });
  try {
    rmdirSync(PRIVSEP);
  } catch {
    // another server uses it
  }
}

/** Makes a key pair in `file` and `file`.pub. */
export function keygen(file: string, kind = 'ed25519', passphrase = ''): void {
  execFileSync('ssh-keygen', ['-q', '-t', kind, '-N', passphrase, '-f', file, '-C', 'test']);
}

export function fingerprint(file: string): string {
  return execFileSync('ssh-keygen', ['-lf', file], { encoding: 'utf8' }).split(' ')[1] as string;
}

interface Process {
  pid: number;
  ppid: number;
  name: string;
}

function processTable(): Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
        const end = stat.lastIndexOf(')');
        const [state, ppid] = stat.slice(end + 2).split(' ');
        return state === 'Z'
          ? []
          : [{ pid: Number(name), ppid: Number(ppid), name: stat.slice(stat.indexOf('(') + 1, end) }];
      } catch {
        return []; // it has ended
      }
    });
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // it has ended
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
