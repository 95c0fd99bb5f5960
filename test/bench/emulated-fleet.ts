import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { connect } from '@centreond/client';
import { z } from 'zod';
import { DaemonProcess, until } from '../daemon-process.ts';
import { emulatedId, type Order, Told } from './emulated-orders.ts';
import { PrimePairs } from './prime-pairs.ts';

/** A process carries no more nodes than this. */
const PER_PROCESS = 2500;
const WRITTEN_LIMIT_MS = 60_000;
const Nodes = z.object({ nodes: z.array(z.object({ state: z.string() })) });

/** What the log streams of all nodes showed. */
export interface Streamed {
  readonly rows: number;
  readonly storedInTime: number;
  readonly lagsMs: readonly number[];
}

/** A router as `centreond init` sets it up, and nodes that connect to it, which have joined before. */
export class EmulatedFleet {
  readonly daemon = new DaemonProcess({ core: { log: { level: 'warn' } } });
  readonly #count: number;
  #primes: PrimePairs | undefined;
  #children: ChildProcess[] = [];
  readonly #registered = new Map<ChildProcess, number>();
  readonly #written = new Map<ChildProcess, Streamed>();

  readonly #oneAddress: boolean;

  /** `oneAddress`: see {@link Order}. */
  constructor(count: number, oneAddress = false) {
    this.#count = count;
    this.#oneAddress = oneAddress;
  }

  /** The processes of the nodes. */
  get pids(): number[] {
    return this.#children.flatMap(({ pid }) => pid ?? []);
  }

  /** How many nodes are registered, as they know. */
  get registered(): number {
    return [...this.#registered.values()].reduce((sum, nodes) => sum + nodes, 0);
  }

  /** Makes the keys, lets them in, and starts the router, which makes its own. */
  async start(wrapper: string[] = []): Promise<void> {
    const primes = await PrimePairs.for(this.#count);
    const accepted = Array.from({ length: this.#count }, (_, i) => {
      const { thumbprint } = primes.key(i);
      return { identity: emulatedId(i), fingerprint: thumbprint, roles: ['node'], at: Date.now(), invitedBy: '@local' };
    });
    const keys = path.join(this.daemon.folder, 'var/keys');
    mkdirSync(keys, { recursive: true, mode: 0o700 });
    const record = { version: 1, accepted, revoked: [], invited: [] };
    writeFileSync(path.join(keys, 'trust.json'), JSON.stringify(record), { mode: 0o600 });
    this.#primes = primes;
    await this.daemon.start(wrapper);
  }

  /** Starts the nodes. They connect from here on, and again whenever the router was away. */
  connect(): void {
    const processes = Math.ceil(this.#count / PER_PROCESS);
    const each = Math.ceil(this.#count / processes);
    for (let first = 0; first < this.#count; first += each) {
      const child = fork(path.join(import.meta.dirname, 'emulated-nodes.ts'), { stdio: 'inherit' });
      this.#children.push(child);
      child.on('message', (message) => this.#hear(child, Told.parse(message)));
      child.once('exit', () => this.#registered.delete(child));
      const { endpoint: address, fingerprint: router } = this.daemon;
      const count = Math.min(each, this.#count - first);
      const primes = this.#primes?.texts ?? [];
      this.#say(child, { order: 'connect', address, router, primes, first, count, oneAddress: this.#oneAddress });
    }
  }

  /** Resolves when every node is registered and the router shows it as up. */
  async whenUp(limitMs: number): Promise<void> {
    const allRegistered = () => {
      if (this.#children.some(({ exitCode }) => exitCode !== null)) throw new Error('a process of nodes has ended');
      return this.registered === this.#count;
    };
    await until(`${this.#count} nodes are registered`, allRegistered, limitMs);
    await using client = await connect({ address: this.daemon.socket });
    await until(
      `the router shows ${this.#count} nodes as up`,
      async () => {
        const { nodes } = Nodes.parse((await client.send('CONSTATUS')).data);
        return nodes.filter(({ state }) => state === 'up').length === this.#count;
      },
      limitMs,
    );
  }

  /** Has each node write a row a second. Resolves when the router has them all, or does not get them. */
  async write(seconds: number): Promise<Streamed> {
    this.#written.clear();
    for (const child of this.#children) this.#say(child, { order: 'write', seconds });
    const isDone = () => this.#written.size === this.#children.length;
    await until('the nodes have written', isDone, seconds * 1000 + WRITTEN_LIMIT_MS);
    const all = [...this.#written.values()];
    const sum = (of: (one: Streamed) => number) => all.reduce((total, one) => total + of(one), 0);
    return {
      rows: sum(({ rows }) => rows),
      storedInTime: sum(({ storedInTime }) => storedInTime),
      lagsMs: all.flatMap(({ lagsMs }) => lagsMs),
    };
  }

  /** Ends nodes and router and leaves nothing behind. */
  async dispose(): Promise<void> {
    const living = this.#children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    const exits = living.map((child) => new Promise((resolve) => child.once('exit', resolve)));
    for (const child of living) if (child.connected) child.disconnect();
    await Promise.all(exits);
    this.#children = [];
    await this.daemon.dispose();
  }

  #say(child: ChildProcess, order: Order): void {
    child.send(order);
  }

  #hear(child: ChildProcess, told: Told): void {
    if (told.told === 'registered') this.#registered.set(child, told.nodes);
    else this.#written.set(child, told);
  }
}
