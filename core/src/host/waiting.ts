import type { ActionManifest } from '@centreond/plugin-sdk';

/** What waits for an instance: a request, or a question. */
interface Waits {
  readonly action: { readonly manifest: Pick<ActionManifest, 'name'> };
  readonly acceptedAt: number;
}

/** What waits for an instance, in order for each action: a slow action does not hold up the others. */
export class Waiting<T extends Waits> {
  readonly #byAction = new Map<string, Set<T>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(open: T): void {
    const { name } = open.action.manifest;
    const waiting = this.#byAction.get(name);
    if (waiting) waiting.add(open);
    else this.#byAction.set(name, new Set([open]));
    this.#size++;
  }

  remove(open: T): boolean {
    const removed = this.#byAction.get(open.action.manifest.name)?.delete(open) ?? false;
    if (removed) this.#size--;
    return removed;
  }

  /** Whether any of `action` wait. */
  has(action: string): boolean {
    return (this.#byAction.get(action)?.size ?? 0) > 0;
  }

  /** Hands those of `action` to `take`, oldest first, until it returns false. */
  drain(action: string, take: (open: T) => boolean): void {
    const waiting = this.#byAction.get(action);
    if (!waiting) return;
    for (const open of waiting) {
      if (!take(open)) return;
      waiting.delete(open);
      this.#size--;
    }
  }

  get actions(): Iterable<string> {
    return this.#byAction.keys();
  }

  /** Empties it. */
  takeAll(): T[] {
    const all = [...this.#byAction.values()].flatMap((waiting) => [...waiting]);
    this.#byAction.clear();
    this.#size = 0;
    return all.sort((a, b) => a.acceptedAt - b.acceptedAt);
  }
}
