import { expect, onTestFinished } from 'vitest';
import { openStore } from '../../core/dist/store/open-store.js';
import type { TokenStore } from '../../core/dist/store/token-store.js';
import { allRows, draft, options, request, TestLog } from '../core/store/opened.ts';

/** A store that the test closes. */
export async function opened(url: string, log = new TestLog()): Promise<TokenStore> {
  const clock = { now: () => Date.now(), monotonic: () => performance.now() };
  const store = await openStore(options({ url, clock, log }));
  onTestFinished(() => store.close());
  return store;
}

/** Requests that are made one after the other by several callers, each sent again as its caller would, and what each was told. */
export class Load {
  readonly accepted = new Set<string>();
  readonly ended = new Set<string>();
  readonly refusals: string[] = [];
  #isOn = true;
  #made = 0;
  readonly #callers: Promise<void>[];

  /** The tokens of its requests begin with `name`. */
  constructor(
    private readonly store: TokenStore,
    readonly name: string,
  ) {
    this.#callers = Array.from({ length: 30 }, () => this.#call());
  }

  async #call(): Promise<void> {
    while (this.#isOn) {
      const token = `${this.name}-${this.#made++}`;
      try {
        const { known } = await this.store.accept(request(token), '{}');
        if (known) throw new Error(`${token} was new and is said to be known`);
        this.accepted.add(token);
        await this.#end(token);
      } catch (error) {
        this.refusals.push(error instanceof Error && 'code' in error ? String(error.code) : String(error));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  /** A terminal row is its caller's duty: it is written again until it is there. */
  async #end(token: string): Promise<void> {
    for (;;) {
      try {
        await this.store.append(draft(token, 2));
        this.ended.add(token);
        return;
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'STORE_FAILED')) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  async stop(): Promise<void> {
    this.#isOn = false;
    await Promise.all(this.#callers);
  }
}

/** Holds a store to what a load was told: nothing that was acknowledged is lost, and what was refused is not there. */
export async function holds(store: TokenStore, load: Load): Promise<void> {
  expect(load.refusals.filter((code) => code !== 'STORE_FAILED')).toEqual([]);
  const codes = new Map<string, number[]>();
  const rows = (await allRows(store)).filter(({ token }) => token.startsWith(`${load.name}-`));
  for (const { token, code } of rows) codes.set(token, [...(codes.get(token) ?? []), code]);
  expect(new Set(codes.keys())).toEqual(load.accepted);
  for (const token of load.ended) expect(codes.get(token), token).toEqual([0, 2]);
}
