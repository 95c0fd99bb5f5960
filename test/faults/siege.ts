import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type Client, connect } from '@centreond/client';
import { expect, onTestFinished } from 'vitest';
import { type DaemonProcess, HighestMemory, type Identity, ROOT, seconds } from '../daemon-process.ts';
import { quantile } from '../fleet/report.ts';
import type { Figures, Order, Said } from './attacker.ts';

export const MIB = 2 ** 20;
const ATTACKER = path.join(ROOT, 'test/faults/attacker.ts');

/** Milliseconds that requests took: of those that run in a plugin and are kept on disk, and of PINGs. */
export interface Timings {
  readonly calls: number;
  readonly p50: number;
  readonly p99: number;
  readonly ping99: number;
}

/** An order without what the daemon's process tells. */
export type Plan = Order extends infer O ? (O extends Order ? Omit<O, 'endpoint' | 'fingerprint'> : never) : never;

/** A client with a session that lives while the daemon is attacked, and what it sees. */
export class Siege {
  /** How often the session was lost. */
  lost = 0;
  #calmMemory = 0;

  private constructor(
    readonly daemon: DaemonProcess,
    readonly client: Client,
    /** An identity that the daemon knows and that has no session. */
    readonly another: Identity,
  ) {
    client.on('lost', () => this.lost++);
  }

  /** Starts the daemon, which has the plugin `probe`, and lets it become warm. */
  static async begin(daemon: DaemonProcess, wrapper?: string[]): Promise<Siege> {
    const [alice, bob] = [daemon.client('alice'), daemon.client('bob')];
    await daemon.start(wrapper);
    const client = await connect({ ...daemon.door(alice), timeoutMs: 30_000 });
    onTestFinished(() => client.close());
    const siege = new Siege(daemon, client, bob);
    for (let i = 0; i < 500; i++) await siege.echo();
    return siege;
  }

  async echo(): Promise<void> {
    expect((await this.client.call('ECHO', {})).ok).toBe(true);
  }

  /** What requests take until `over` settles. */
  async timings(over: Promise<unknown>): Promise<Timings> {
    const calls: number[] = [];
    const pings: number[] = [];
    let isOver = false;
    const end = () => {
      isOver = true;
    };
    over.then(end, end);
    while (!isOver) {
      calls.push((await seconds(() => this.echo())) * 1000);
      pings.push((await seconds(() => this.client.ping())) * 1000);
      await pause(3);
    }
    const round = (value: number) => Number(value.toPrecision(3));
    return {
      calls: calls.length,
      p50: round(quantile(calls, 0.5)),
      p99: round(quantile(calls, 0.99)),
      ping99: round(quantile(pings, 0.99)),
    };
  }

  /** What requests take while nobody attacks. What memory they take then is what an attack is measured against. */
  async calm(ms: number): Promise<Timings> {
    const memory = new HighestMemory(this.daemon.pid);
    const timings = await this.timings(pause(ms)).finally(() => memory.stop());
    this.#calmMemory = memory.bytes;
    return timings;
  }

  /** Attacks the daemon and says what the session, its memory and its log saw of it. */
  async attack(plan: Plan): Promise<Seen> {
    const { daemon } = this;
    const logged = { bytes: daemon.stderrBytes, lines: daemon.stderrLines };
    const memory = new HighestMemory(daemon.pid);
    const before = Math.max(memory.bytes, this.#calmMemory);
    const lost = this.lost;
    const attacker = new Attacker(daemon, plan);
    try {
      const open = await attacker.open;
      const during = await this.timings(attacker.done);
      return {
        attack: { open, ...(await attacker.done) },
        during,
        memoryMiB: Math.round((memory.bytes - before) / MIB),
        lost: this.lost - lost,
        logged: { bytes: daemon.stderrBytes - logged.bytes, lines: daemon.stderrLines - logged.lines },
      };
    } finally {
      memory.stop();
    }
  }
}

export interface Seen {
  readonly attack: Figures;
  readonly during: Timings;
  readonly memoryMiB: number;
  readonly lost: number;
  readonly logged: { readonly bytes: number; readonly lines: number };
}

/** A process that attacks. */
class Attacker {
  /** Resolves with the number of its connections when its attack has begun. */
  readonly open: Promise<number>;
  readonly done: Promise<Figures>;

  constructor({ endpoint, fingerprint }: DaemonProcess, plan: Plan) {
    const order = { ...plan, endpoint, fingerprint };
    const child = spawn(process.execPath, [ATTACKER, JSON.stringify(order)], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    const exited = new Promise<never>((_, reject) => {
      child.once('close', (code) => reject(new Error(`the attacker ended with ${code} and did not say what it did`)));
    });
    const open = Promise.withResolvers<number>();
    const done = Promise.withResolvers<Figures>();
    createInterface({ input: child.stdout }).on('line', (line) => {
      const said = JSON.parse(line) as Said;
      if ('open' in said) open.resolve(said.open);
      else done.resolve(said.done);
    });
    this.open = Promise.race([open.promise, exited]);
    this.done = Promise.race([done.promise, exited]);
    for (const either of [this.open, this.done]) either.catch(() => {}); // those who wait for it are told
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export function print(figures: object): void {
  process.stdout.write(`${expect.getState().currentTestName}: ${JSON.stringify(figures)}\n`);
}
