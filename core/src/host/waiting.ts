import { Turns } from '../turns.ts';

/** What waits for an instance. */
export interface Waits {
  readonly action: { readonly manifest: { readonly name: string } };
  readonly owner: string;
  /** Goes before all that is not. */
  readonly urgent: boolean;
  /** Milliseconds since the epoch. */
  readonly acceptedAt: number;
}

/**
 * What waits for an instance, by action, so that a slow action does not hold up the others. Within an action the urgent ones go
 * first, and owners take turns.
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
      const ownerOf = ({ owner }: T) => owner;
      queues = { urgent: new Turns(ownerOf), others: new Turns(ownerOf) };
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
    this.#size--;
    this.#tidy(name);
    return true;
  }

  /** Whether some of its action go before one that would be added now. */
  hasBefore({ action, urgent }: T): boolean {
    const queues = this.#byAction.get(action.manifest.name);
    return queues !== undefined && (!urgent || queues.urgent.size > 0);
  }

  /** Hands those of `action` to `take`, one after the other, as long as there is room for an urgent one or for others. */
  drain(action: string, hasRoom: (urgent: boolean) => boolean, take: (one: T) => void): void {
    const queues = this.#byAction.get(action);
    if (!queues) return;
    for (const urgent of [true, false]) {
      const queue = urgent ? queues.urgent : queues.others;
      while (queue.size > 0 && hasRoom(urgent)) {
        const one = queue.next();
        if (!one) break;
        this.#size--;
        take(one);
      }
    }
    this.#tidy(action);
  }

  #tidy(action: string): void {
    const queues = this.#byAction.get(action);
    if (queues && queues.urgent.size + queues.others.size === 0) this.#byAction.delete(action);
  }

  /** Empties it, the oldest first. */
  takeAll(): T[] {
    const all = [...this.#byAction.values()].flatMap(({ urgent, others }) => [...urgent.clear(), ...others.clear()]);
    this.#byAction.clear();
    this.#size = 0;
    return all.sort((a, b) => a.acceptedAt - b.acceptedAt);
  }
}
