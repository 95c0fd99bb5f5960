import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { keyPairOf } from '@centreond/protocol/channel';
import { rsaKey } from './rsa-keys.ts';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BIN = path.join(ROOT, 'core/bin/centreond.js');

export interface Identity {
  identity: string;
  key: string;
  fingerprint: string;
  file: string;
}

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface DaemonSettings {
  core?: object;
  trust?: 'strict' | 'pending';
  plugins?: object[];
}

interface Ready {
  id: string;
  fingerprint: string;
  endpoint: string;
  pid: number;
}

/** A real daemon in a folder of its own under the system's temporary folder. */
export class DaemonProcess {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), 'centreond-test-'));
  readonly clients: object[] = [];
  ready: Ready | undefined;
  /** The end of its log. */
  stderr = '';
  /** How much it has logged in all. */
  stderrBytes = 0;
  stderrLines = 0;
  #child: ChildProcess | undefined;
  /** The daemon of the last start, once that is ready. */
  #running: number | undefined;
  #exited: Promise<number | null> = Promise.resolve(null);

  readonly settings: DaemonSettings;

  constructor(settings: DaemonSettings = {}) {
    this.settings = settings;
  }

  /** A key of its own for `identity`, authorised with `roles` (before start, or before a SIGHUP). */
  client(identity: string, roles: string[] = ['client'], more: object = {}): Identity {
    const made = newIdentity(identity, this.folder);
    this.clients.push({ identity, fingerprint: made.fingerprint, roles, ...more });
    return made;
  }

  /** Writes the config from the settings. JSON is YAML too. */
  writeConfig(): string {
    const file = path.join(this.folder, 'centreond.yaml');
    const { core, trust = 'pending', plugins = [{ package: path.join(ROOT, 'plugins/action') }] } = this.settings;
    const endpoint = this.ready?.endpoint ?? 'tcp://127.0.0.1:*';
    const config = {
      core: { id: 'central', dataDir: './var', external: { listen: endpoint }, ...core },
      clients: { trust, authorized: this.clients },
      plugins,
    };
    writeFileSync(file, JSON.stringify(config, undefined, 2));
    return file;
  }

  /** Gives a data folder that is new a key: the daemon's own, of 3072 bits, takes as long to make as the rest of its start. */
  #giveKey(): void {
    const data = path.join(this.folder, 'var');
    // What belongs to another user is that user's to make.
    const isOwn = statSync(this.folder).uid === process.getuid?.();
    if (!isOwn || existsSync(data) || (this.settings.core && 'dataDir' in this.settings.core)) return;
    const keys = path.join(data, 'keys');
    mkdirSync(keys, { recursive: true, mode: 0o700 });
    writeFileSync(path.join(keys, 'router.pem'), rsaKey(), { mode: 0o600 });
  }

  /** Starts it, or starts it again on the same port; resolves when it is ready. */
  async start(wrapper: string[] = []): Promise<this> {
    this.#giveKey();
    const [program, ...args] = [...wrapper, process.execPath, BIN, 'start', '--json', '--config', this.writeConfig()];
    const child = spawn(program as string, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: this.folder });
    this.#child = child;
    this.#running = undefined;
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-200_000);
      this.stderrBytes += text.length;
      this.stderrLines += text.split('\n').length - 1;
    });
    this.#exited = new Promise((resolve) => child.once('close', (code) => resolve(code)));
    this.ready = await new Promise<Ready>((resolve, reject) => {
      let text = '';
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (text.includes('\n')) resolve(JSON.parse(text.slice(0, text.indexOf('\n'))) as Ready);
      });
      void this.#exited.then((code) => reject(new Error(`the daemon ended with ${code}: ${this.stderr}`)));
    });
    this.#running = this.ready.pid;
    return this;
  }

  get endpoint(): string {
    return (this.ready as Ready).endpoint;
  }
  get fingerprint(): string {
    return (this.ready as Ready).fingerprint;
  }
  get pid(): number {
    return (this.ready as Ready).pid;
  }
  get socket(): string {
    return `ipc://${path.join(this.folder, 'var/run/router.ipc')}`;
  }
  get database(): string {
    return path.join(this.folder, 'var/history.sdb');
  }

  /** What `connect` needs to be `who` at the external door. */
  door(who: Identity): { address: string; identity: string; key: string; router: string } {
    return { address: this.endpoint, identity: who.identity, key: who.key, router: this.fingerprint };
  }

  /** Resolves with the exit code once it is gone by itself. */
  ended(): Promise<number | null> {
    return this.#exited;
  }

  /** Signals the daemon and resolves with its exit code when it is gone. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    if (child?.exitCode !== null || child.signalCode !== null) return this.#exited;
    try {
      // One that was started by another program may not be what that is told.
      if (this.#running === undefined) child.kill(signal);
      else process.kill(this.#running, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it went by itself just now
    }
    return this.#exited;
  }

  /** Runs a verb of the command line in the daemon's folder. */
  cli(...args: string[]): Promise<Finished> {
    return cli(this.folder, ...args);
  }

  /** Ends it for good and removes its folder. */
  async dispose(): Promise<void> {
    await this.end('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Runs `centreond` with `args` in `folder`. */
export function cli(folder: string, ...args: string[]): Promise<Finished> {
  const child = spawn(process.execPath, [BIN, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const out: Finished = { code: null, stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => (out.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (out.stderr += text));
  return new Promise((resolve) => child.once('close', (code) => resolve({ ...out, code })));
}

/** A client's key in a file of `folder`. */
export function newIdentity(identity: string, folder: string): Identity {
  const keys = path.join(folder, 'clients');
  mkdirSync(keys, { recursive: true });
  const file = path.join(keys, `${identity}.pem`);
  if (!existsSync(file)) {
    writeFileSync(file, rsaKey(), { mode: 0o600 });
  }
  const key = readFileSync(file, 'utf8');
  return { identity, key, fingerprint: keyPairOf(key).thumbprint, file };
}

/** Waits for a condition, `limitMs` at most. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 30_000,
): Promise<void> {
  const limit = Date.now() + limitMs;
  while (!(await condition())) {
    if (Date.now() > limit) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** How long some work takes. */
export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return (performance.now() - startedAt) / 1000;
}

/** The pids of live processes whose command line or environment contains `text`. */
export function processesWith(text: string, files = ['environ', 'cmdline']): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        const all = files.map((file) => readFileSync(`/proc/${pid}/${file}`, 'latin1')).join('');
        return all.includes(text) && !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Whether a process is there and has not ended. */
export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

/** Bytes of memory of its own that a process holds. */
export function memoryOf(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
  return Number(kib) * 1024;
}

/** The most memory of its own that a process holds, looked at every 50 ms until {@link stop}. */
export class HighestMemory {
  bytes: number;
  readonly #watch: NodeJS.Timeout;

  constructor(pid: number) {
    this.bytes = memoryOf(pid);
    this.#watch = setInterval(() => {
      this.bytes = Math.max(this.bytes, memoryOf(pid));
    }, 50);
  }

  stop(): void {
    clearInterval(this.#watch);
  }
}
