import type { TestRequest } from './test-requests.ts';

/** Requests of one action that wait for an instance: urgent ones first, then owners in turn, each in its own order. */
export class Turns {
  #urgent = new Map<string, TestRequest[]>();
  #others = new Map<string, TestRequest[]>();

  /** Whether some go before `request`, if that were added now. */
  hasBefore({ urgent }: TestRequest): boolean {
    return this.#urgent.size > 0 || (!urgent && this.#others.size > 0);
  }

  add(request: TestRequest): void {
    const queue = request.urgent ? this.#urgent : this.#others;
    queue.set(request.owner, [...(queue.get(request.owner) ?? []), request]);
  }

  remove(request: TestRequest): void {
    const queue = request.urgent ? this.#urgent : this.#others;
    const left = (queue.get(request.owner) ?? []).filter((one) => one !== request);
    if (left.length > 0) queue.set(request.owner, left);
    else queue.delete(request.owner);
  }

  /** Takes out the next one for which there is room. */
  next(hasRoom: (urgent: boolean) => boolean): TestRequest | undefined {
    for (const [urgent, queue] of [
      [true, this.#urgent],
      [false, this.#others],
    ] as const) {
      const [turn] = queue;
      if (!turn || !hasRoom(urgent)) continue;
      const [owner, [first, ...rest]] = turn;
      queue.delete(owner);
      if (rest.length > 0) queue.set(owner, rest);
      if (first) return first;
    }
    return undefined;
  }

  /** Empties it. */
  takeAll(): TestRequest[] {
    const all = [...this.#urgent.values(), ...this.#others.values()].flat();
    this.#urgent = new Map();
    this.#others = new Map();
    return all;
  }
}
