import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';

/** The newest server that the distribution has here. */
const BIN = globSync('/usr/lib/postgresql/*/bin/initdb')
  .map((file) => path.dirname(file))
  .sort((a, b) => versionIn(a) - versionIn(b))
  .at(-1);
const USER = 'postgres';
const READY_MS = 30_000;

function versionIn(bin: string): number {
  return Number(path.basename(path.dirname(bin)));
}

/** Why there can be no PostgreSQL here, or undefined. */
export const noPostgres: string | undefined =
  BIN === undefined ? 'skipped: there is no /usr/lib/postgresql/*/bin/initdb (apt-get install postgresql)' : undefined;
if (noPostgres) process.stderr.write(`the tests of the store on PostgreSQL are ${noPostgres}\n`);

interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** Whom the server runs as where root starts it, which it refuses; undefined: as who runs the tests. */
function account(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const entries = readFileSync('/etc/passwd', 'utf8').split('\n');
  const entry = [USER, 'nobody'].map((name) => entries.find((line) => line.startsWith(`${name}:`))).find(Boolean);
  const [, , uid, gid] = (entry ?? '::65534:65534').split(':');
  return { uid: Number(uid), gid: Number(gid) };
}

/** Runs a program of PostgreSQL's as the server's account: its command line. */
function as(who: Account | undefined, program: string, args: readonly string[]): [string, string[]] {
  const command = [path.join(BIN ?? '', program), ...args];
  if (!who) return [command[0] ?? '', command.slice(1)];
  return ['setpriv', [`--reuid=${who.uid}`, `--regid=${who.gid}`, '--clear-groups', ...command]];
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return address.port;
}

/** A server of PostgreSQL with a folder of its own. It ends with this process, however that ends, and its folder with it. */
export class PostgresServer {
  readonly #who = account();
  #folder = '';
  readonly #settings: readonly string[];
  #keeper: ChildProcess | undefined;
  #port = 0;
  #databases = 0;
  #starts = 0;
  /** A file that says that this run of it was killed. */
  #killed = '';
  readonly password = 'a word of the server';

  /** `settings` are `name=value`, as for `postgres -c`. */
  constructor(settings: readonly string[] = []) {
    this.#settings = settings;
  }

  get #data(): string {
    return path.join(this.#folder, 'data');
  }

  get port(): number {
    return this.#port;
  }

  #makeFolder(): void {
    this.#folder ||= mkdtempSync(path.join(os.tmpdir(), 'centreond-pg-'));
    if (this.#who) chownSync(this.#folder, this.#who.uid, this.#who.gid);
  }

  /** Another server, that has what this one has, and follows it. What is committed here waits for it. Resolves once it does. */
  async standby(): Promise<PostgresServer> {
    const primary = `host=${this.#folder} port=${this.#port} user=${USER} application_name=standby`;
    const standby = new PostgresServer([...this.#settings, `primary_conninfo=${primary}`]);
    standby.#makeFolder();
    const args = ['-D', standby.#data, '-d', primary, '--write-recovery-conf', '--checkpoint=fast', '--no-sync'];
    const [program, all] = as(this.#who, 'pg_basebackup', args);
    execFileSync(program, all, { stdio: ['ignore', 'ignore', 'pipe'], cwd: standby.#folder });
    await standby.start();
    await this.query('postgres', "ALTER SYSTEM SET synchronous_standby_names = 'standby'");
    await this.query('postgres', 'SELECT pg_reload_conf()');
    const limit = performance.now() + READY_MS;
    for (let state = ''; state !== 'sync'; ) {
      if (performance.now() > limit) throw new Error(`the standby does not follow: ${standby.log()}`);
      state = String((await this.query('postgres', 'SELECT sync_state FROM pg_stat_replication'))[0]);
    }
    return standby;
  }

  /** Has a standby take the place of the server that it followed. Resolves when it can be written to. */
  async promote(): Promise<void> {
    await this.query('postgres', 'SELECT pg_promote()');
  }

  /** Starts it, or starts it again with what it had. Resolves when it takes connections. */
  async start(): Promise<this> {
    this.#makeFolder();
    if (!existsSync(this.#data)) this.#initialise();
    this.#port ||= await freePort();
    this.#killed = path.join(this.#folder, `killed-${++this.#starts}`);
    const inFolder = (name: string) => path.join(this.#folder, name);
    const settings = [
      ...[`port=${this.#port}`, 'listen_addresses=127.0.0.1', `unix_socket_directories=${this.#folder}`],
      ...['shared_buffers=32MB', 'max_connections=150', 'logging_collector=off', ...this.#settings],
    ];
    const [program, args] = as(this.#who, 'postgres', ['-D', this.#data, ...settings.flatMap((one) => ['-c', one])]);
    // Its input ends with this process, however that ends: then the server goes, and its folder.
    const script = `exec 3<&0; "$@" >"$LOG" 2>&1 & server=$!
      (cat <&3 >/dev/null; [ -e "$KILLED" ] || { touch "$OVER"; kill -INT $server; }) & exec 3<&-
      wait $server; [ -e "$OVER" ] && rm -rf "$GONE"`;
    this.#keeper = spawn('sh', ['-c', script, 'sh', program, ...args], {
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { ...process.env, GONE: this.#folder, LOG: inFolder('log'), OVER: inFolder('over'), KILLED: this.#killed },
      detached: true,
    });
    this.#keeper.unref();
    // Neither it nor the pipe to it keeps this process from its end.
    if (this.#keeper.stdin instanceof net.Socket) this.#keeper.stdin.unref();
    const limit = performance.now() + READY_MS;
    while (!(await this.#answers())) {
      if (performance.now() > limit) throw new Error(`PostgreSQL did not start: ${this.log()}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return this;
  }

  /** What it logged since it was started last. */
  log(): string {
    return readFileSync(path.join(this.#folder, 'log'), 'utf8');
  }

  #initialise(): void {
    const file = path.join(this.#folder, 'password');
    writeFileSync(file, this.password);
    if (this.#who) chownSync(file, this.#who.uid, this.#who.gid);
    const args = ['-D', this.#data, '-U', USER, '--auth-local=trust', '--auth-host=scram-sha-256', `--pwfile=${file}`];
    const [program, all] = as(this.#who, 'initdb', [...args, '--no-sync', '--encoding=UTF8', '--locale=C.UTF-8']);
    execFileSync(program, all, { stdio: ['ignore', 'ignore', 'pipe'], cwd: this.#folder });
  }

  async #answers(): Promise<boolean> {
    const client = new pg.Client({ connectionString: this.url('postgres') });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.end();
      return true;
    } catch {
      return false;
    }
  }

  /** The URL of a database, over the socket in the server's folder. */
  url(database: string, user = USER): string {
    return `postgresql://${user}@localhost:${this.#port}/${database}?host=${encodeURIComponent(this.#folder)}`;
  }

  /** The same over TCP, by way of `port`. */
  tcpUrl(database: string, { port = this.#port, user = USER, password = this.password } = {}): string {
    return `postgresql://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}`;
  }

  /** Runs statements in a database, and returns the rows of the last. */
  async query(database: string, text: string, values: readonly unknown[] = []): Promise<unknown[][]> {
    const client = new pg.Client({ connectionString: this.url(database) });
    await client.connect();
    try {
      const { rows } = await client.query<unknown[]>({ text, rowMode: 'array', values: [...values] });
      return rows;
    } finally {
      await client.end();
    }
  }

  /** Makes a new database, and returns its name. */
  async database(): Promise<string> {
    const name = `test_${process.pid}_${++this.#databases}`;
    await this.query('postgres', `CREATE DATABASE ${name}`);
    return name;
  }

  /** Signals it and the processes that it started. */
  #signal(signal: NodeJS.Signals): void {
    const [pid] = readFileSync(path.join(this.#data, 'postmaster.pid'), 'utf8').split('\n');
    const children = execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' }).split('\n');
    for (const one of [String(pid), ...children].map(Number).filter((number) => number > 0)) {
      try {
        process.kill(one, signal);
      } catch (error) {
        // It ended by itself meanwhile.
        if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
      }
    }
  }

  /** Has it stand still: its connections stay, and nothing is answered. */
  pause(): void {
    this.#signal('SIGSTOP');
  }

  resume(): void {
    this.#signal('SIGCONT');
  }

  /** Kills it and all its processes at once, as a power cut would. Its folder stays. */
  async kill(): Promise<void> {
    writeFileSync(this.#killed, '');
    this.#signal('SIGKILL');
    // The shell takes notice of its end, and leaves the folder.
    const keeper = this.#keeper;
    this.#keeper = undefined;
    if (keeper && keeper.exitCode === null && keeper.signalCode === null) {
      keeper.ref();
      await once(keeper, 'exit');
    }
    keeper?.stdin?.destroy();
    rmSync(path.join(this.#data, 'postmaster.pid'), { force: true });
  }

  /** Stops it and removes its folder. */
  async stop(): Promise<void> {
    const keeper = this.#keeper;
    this.#keeper = undefined;
    if (keeper && keeper.exitCode === null) {
      const exited = once(keeper, 'exit');
      keeper.ref();
      keeper.stdin?.end();
      await exited;
    }
    if (this.#folder !== '') rmSync(this.#folder, { recursive: true, force: true });
  }
}

const SHARED = Symbol.for('centreond.test.postgres');
const shared = globalThis as { [SHARED]?: Promise<PostgresServer> };

/** The server that all test files of this process share. It does not wait for the disk. */
export function sharedServer(): Promise<PostgresServer> {
  shared[SHARED] ??= new PostgresServer(['fsync=off']).start();
  return shared[SHARED];
}
