import { isRetryable } from '@centreond/protocol';
import { until } from '../daemon-process.ts';
import type { Cluster } from './cluster.ts';
import { History } from './history.ts';
import type { Router } from './member.ts';

/** Whoever was not answered for so long asks another router. */
const ANSWER_MS = 2000;
/** So often a request is sent in all, under one token. */
const TRIES = 20;
/** A lane rests for up to so long between two requests: the machine is not to be the reason why a heartbeat is late. */
const REST_MS = 60;
/** Who follows has the end within so long after all ended. */
const SHOWN_MS = 30_000;

export interface LoadOptions {
  /** What all of its tokens begin with. */
  readonly prefix: string;
  readonly lanes: number;
  readonly random: () => number;
  /** Which nodes requests are for, besides the routers themselves. */
  readonly targets?: readonly string[];
}

/**
 * Clients that ask all routers without a pause, and followers of most tokens, at other routers than the one that was asked too. A
 * request that one router does not answer, or refuses for now, goes to another one under the same token, or is given up.
 */
export class Load {
  readonly history = new History();
  readonly #over = new AbortController();
  readonly #follows = new Set<Promise<unknown>>();
  #going = true;
  #failure: unknown;
  readonly #lanes: Promise<void>[];

  constructor(
    private readonly cluster: Cluster,
    readonly options: LoadOptions,
  ) {
    this.#lanes = Array.from({ length: options.lanes }, (_, lane) => this.#run(lane));
    for (const lane of this.#lanes) lane.catch((error: unknown) => (this.#failure ??= error));
  }

  async #run(lane: number): Promise<void> {
    const { prefix, random, targets = [] } = this.options;
    for (let i = 0; this.#going; i++) {
      const once = random() < 0.5;
      const action = once ? 'ONCE' : 'AGAIN';
      const ms = Math.floor(random() < 0.1 ? random() * 1000 : random() * 50);
      const data = once ? { ms, rows: Math.floor(random() * 4) } : { ms };
      const target = random() < 0.5 ? '' : (targets[Math.floor(random() * targets.length)] ?? '');
      const token = `${prefix}${action}-${lane}-${i}`;
      if (await this.#ask(action, data, { token, once, target })) {
        const followers = Math.floor(random() * 3);
        for (let n = 0; n < followers; n++) this.#follow(token);
      }
      await this.#rest(REST_MS);
    }
  }

  /** Whether the request was acknowledged. */
  async #ask(action: string, data: object, order: { token: string; once: boolean; target: string }): Promise<boolean> {
    const { random } = this.options;
    for (let tries = 0; tries < TRIES; tries++) {
      const router = this.#choose();
      const client = this.cluster.client(router);
      const told = await this.history.send(router.id, client, action, data, { ...order, timeoutMs: ANSWER_MS });
      if (told === 'ok') return true;
      // What nobody knows of is asked for until it is known; what was refused is sometimes left.
      if (told !== 'unknown' && (!isRetryable(told) || random() < 0.3)) return false;
      await this.#rest(300);
    }
    return false;
  }

  /** Most often one that runs. */
  #choose(): Router {
    const { random } = this.options;
    const all = this.cluster.routers;
    const running = all.filter((router) => router.running);
    const some = running.length > 0 && random() < 0.95 ? running : all;
    return some[Math.floor(random() * some.length)] as Router;
  }

  #follow(token: string): void {
    const router = this.#choose();
    const follow = this.history.follow(router.id, this.cluster.client(router), token, this.#over.signal);
    this.#follows.add(follow);
    follow.then(
      () => this.#follows.delete(follow),
      (error: unknown) => (this.#failure ??= error),
    );
  }

  async #rest(ms: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, this.options.random() * ms));
  }

  get acknowledged(): number {
    return this.history.acknowledged.size;
  }

  /** Resolves once `count` more requests are acknowledged. */
  async flows(count: number, limitMs = 60_000): Promise<void> {
    const wanted = this.acknowledged + count;
    const reached = () => {
      if (this.#failure !== undefined) throw this.#failure;
      return this.acknowledged >= wanted;
    };
    await until(`${count} more requests are acknowledged`, reached, limitMs);
  }

  /** Sends nothing more. Resolves when every request has its answer and its end, and every follower was shown that or is late. */
  async stop(): Promise<void> {
    this.#going = false;
    await Promise.all(this.#lanes);
    await this.cluster.whenEnded(this.options.prefix);
    const shown = () => this.#failure !== undefined || this.#follows.size === 0;
    // The checker names those that were not.
    await until('all followers were shown the end', shown, SHOWN_MS).catch(() => undefined);
    this.#over.abort();
    await Promise.all(this.#follows);
    if (this.#failure !== undefined) throw this.#failure;
  }
}
