/** What waits for an instance. */
export interface Waits {
  readonly action: { readonly manifest: { readonly name: string } };
  readonly owner: string;
  /** Goes before all that is not. */
  readonly urgent: boolean;
  readonly acceptedAt: number;
}

/** What waits for one action: the owners take turns, each in its own order. */
class Turns<T extends Waits> {
  readonly #owners = new Map<string, Set<T>>();

  get empty(): boolean {
    return this.#owners.size === 0;
  }

  add(one: T): void {
    const own = this.#owners.get(one.owner);
    if (own) own.add(one);
    else this.#owners.set(one.owner, new Set([one]));
  }

  delete(one: T): boolean {
    const own = this.#owners.get(one.owner);
    const deleted = own?.delete(one) ?? false;
    if (own?.size === 0) this.#owners.delete(one.owner);
    return deleted;
  }

  /** The oldest of the owner whose turn it is. */
  first(): T | undefined {
    for (const own of this.#owners.values()) for (const one of own) return one;
    return undefined;
  }

  /** Takes `one` out, which was the first: it is the next owner's turn. */
  shift(one: T): void {
    const own = this.#owners.get(one.owner);
    own?.delete(one);
    this.#owners.delete(one.owner);
    if (own && own.size > 0) this.#owners.set(one.owner, own);
  }

  *all(): Iterable<T> {
    for (const own of this.#owners.values()) yield* own;
  }
}

/**
 * What waits for an instance, by action, so that a slow action does not hold up the others. Within an action the urgent ones go
 * first, and owners take turns, so that one who queues many does not hold up the others.
 */
export class Waiting<T extends Waits> {
  readonly #byAction = new Map<string, { readonly urgent: Turns<T>; readonly others: Turns<T> }>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The actions of which some wait. */
  get actions(): string[] {
    return [...this.#byAction.keys()];
  }

  add(one: T): void {
    const { name } = one.action.manifest;
    let queues = this.#byAction.get(name);
    if (!queues) {
      queues = { urgent: new Turns(), others: new Turns() };
      this.#byAction.set(name, queues);
    }
    (one.urgent ? queues.urgent : queues.others).add(one);
    this.#size++;
  }

  /** Returns whether it waited. */
  remove(one: T): boolean {
    const { name } = one.action.manifest;
    const queues = this.#byAction.get(name);
    if (!queues || !(one.urgent ? queues.urgent : queues.others).delete(one)) return false;
    this.#removed(name, queues);
    return true;
  }

  /** Whether any of `action` wait. */
  has(action: string): boolean {
    return this.#byAction.has(action);
  }

  /** Hands those of `action` to `take`, one after the other, as long as `hasRoom`. */
  drain(action: string, hasRoom: () => boolean, take: (one: T) => void): void {
    const queues = this.#byAction.get(action);
    if (!queues) return;
    while (hasRoom()) {
      const turns = queues.urgent.empty ? queues.others : queues.urgent;
      const one = turns.first();
      if (!one) return;
      turns.shift(one);
      this.#removed(action, queues);
      take(one);
    }
  }

  #removed(action: string, { urgent, others }: { urgent: Turns<T>; others: Turns<T> }): void {
    this.#size--;
    if (urgent.empty && others.empty) this.#byAction.delete(action);
  }

  /** Empties it, the oldest first. */
  takeAll(): T[] {
    const all = [...this.#byAction.values()].flatMap(({ urgent, others }) => [...urgent.all(), ...others.all()]);
    this.#byAction.clear();
    this.#size = 0;
    return all.sort((a, b) => a.acceptedAt - b.acceptedAt);
  }
}
