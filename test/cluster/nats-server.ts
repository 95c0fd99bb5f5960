import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { isAlive, until } from '../daemon-process.ts';
import { freePort } from './free-port.ts';

const BIN = ['/usr/sbin/nats-server', '/usr/bin/nats-server', '/usr/local/bin/nats-server'].find((file) =>
  existsSync(file),
);
const READY_MS = 10_000;

/** Why there can be no NATS here, or undefined. */
export const noNats: string | undefined =
  BIN === undefined ? 'skipped: there is no nats-server (apt-get install nats-server)' : undefined;
if (noNats) process.stderr.write(`the tests of the cluster are ${noNats}\n`);

/** Starts and kills the server as it is told. Its input ends with the process that tests: then the server goes, and its folder. */
const KEEPER = `server=
while read -r order; do case $order in
  start) "$@" </dev/null >>"$FOLDER/log" 2>&1 & server=$!; echo $server;;
  kill) kill -KILL $server; wait $server; server=; echo 0;;
esac; done
[ -z "$server" ] || { kill -KILL $server; wait $server; }
rm -rf "$FOLDER"`;

/** Who may connect. Anybody where there is none. */
export interface NatsUser {
  readonly user: string;
  readonly password: string;
  /** The subjects on which it may; all where there are none. */
  readonly permissions?: { readonly publish?: readonly string[]; readonly subscribe?: readonly string[] };
}

/** A NATS server on the loopback. It ends with this process, however that ends. */
export class NatsServer {
  #user: NatsUser | undefined;
  #folder = '';
  #keeper: ChildProcess | undefined;
  #port = 0;
  #pid = 0;

  constructor(user?: NatsUser) {
    this.#user = user;
  }

  /** Where its log and its config are. */
  get folder(): string {
    return this.#folder;
  }

  get port(): number {
    return this.#port;
  }

  /** As core.cluster.nats. */
  get url(): string {
    return `nats://127.0.0.1:${this.#port}`;
  }

  /** What a file has that core.cluster.credentials names. */
  get credentials(): string | undefined {
    return this.#user && `${this.#user.user}:${this.#user.password}`;
  }

  /** What it logged. */
  log(): string {
    return readFileSync(path.join(this.#folder, 'log'), 'utf8');
  }

  /** Starts it, or starts it again on its port. Resolves when it takes connections. */
  async start(): Promise<this> {
    this.#port ||= await freePort();
    this.#keeper ??= this.#keep();
    this.#pid = await this.#order('start');
    await until('NATS takes connections', () => this.#greets(), READY_MS).catch((error: Error) => {
      throw new Error(`${error.message}; it logged: ${this.log()}`);
    });
    return this;
  }

  /** Kills it at once, as a power cut would. */
  async kill(): Promise<void> {
    if (this.#pid === 0) return;
    this.#pid = 0;
    await this.#order('kill');
  }

  /** Lets its user do so much from now on. Resolves once it has read that. */
  async permit(permissions: NatsUser['permissions']): Promise<void> {
    if (!this.#user) throw new Error('this NATS knows no user');
    const reloads = () => this.log().split('Reloaded server configuration').length;
    const before = reloads();
    this.#user = { ...this.#user, ...(permissions && { permissions }) };
    this.#configure();
    this.#signal('SIGHUP');
    await until('NATS has read its config again', () => reloads() > before);
  }

  /** It keeps its connections, and says nothing until {@link resume}. */
  async pause(): Promise<void> {
    this.#signal('SIGSTOP');
    const hasStopped = () => readFileSync(`/proc/${this.#pid}/stat`, 'latin1').includes(') T ');
    await until('NATS has stopped', hasStopped);
  }

  resume(): void {
    this.#signal('SIGCONT');
  }

  /** Ends it for good and removes its folder. */
  async stop(): Promise<void> {
    const keeper = this.#keeper;
    this.#keeper = undefined;
    const pid = this.#pid;
    this.#pid = 0;
    if (!keeper) return;
    keeper.ref();
    const exited = once(keeper, 'exit');
    keeper.stdin?.end();
    await exited;
    if (pid !== 0) await until('NATS has ended', () => !isAlive(pid));
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#pid === 0) throw new Error('NATS does not run');
    process.kill(this.#pid, signal);
  }

  /** Writes its config. Returns where that is. */
  #configure(): string {
    const file = path.join(this.#folder, 'nats.conf');
    // NATS reads JSON, too.
    const config = this.#user ? { authorization: { users: [this.#user] } } : {};
    writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
    return file;
  }

  #keep(): ChildProcess {
    this.#folder = mkdtempSync(path.join(os.tmpdir(), 'centreond-nats-'));
    const file = this.#configure();
    const command = [BIN ?? 'nats-server', '-c', file, '-a', '127.0.0.1', '-p', String(this.#port)];
    const keeper = spawn('sh', ['-c', KEEPER, 'sh', ...command], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: { ...process.env, FOLDER: this.#folder },
      // What ends the whole group of this process leaves it time to clear up.
      detached: true,
    });
    keeper.unref();
    for (const stream of [keeper.stdin, keeper.stdout]) if (stream instanceof net.Socket) stream.unref();
    return keeper;
  }

  async #order(order: 'start' | 'kill'): Promise<number> {
    const { stdin, stdout } = this.#keeper ?? {};
    if (!stdin || !stdout) throw new Error('NATS was never started');
    const answer = once(stdout, 'data');
    if (stdout instanceof net.Socket) stdout.ref();
    stdin.write(`${order}\n`);
    const [text] = await answer;
    if (stdout instanceof net.Socket) stdout.unref();
    return Number(text);
  }

  /** The first that a server says to who connects is what it is. */
  #greets(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = net.connect(this.#port, '127.0.0.1');
      const end = (isThere: boolean) => {
        socket.destroy();
        resolve(isThere);
      };
      socket.setTimeout(1000, () => end(false));
      socket.once('data', (data) => end(data.toString('latin1').startsWith('INFO ')));
      socket.once('error', () => end(false));
      socket.once('close', () => end(false));
    });
  }
}
