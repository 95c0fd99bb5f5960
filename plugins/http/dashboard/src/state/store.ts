import { useEffect, useState } from 'preact/hooks';

/** A value that components redraw with. */
export class Store<T> {
  #value: T;
  readonly #listeners = new Set<() => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of this.#listeners) listener();
  }

  /** Calls `listener` after each change, until the result is called. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** The value of `store`; redraws with it. */
export function useStore<T>(store: Store<T>): T {
  const [value, setValue] = useState<{ of: T }>({ of: store.value });
  useEffect(() => {
    const take = () => setValue({ of: store.value });
    take();
    return store.subscribe(take);
  }, [store]);
  return value.of;
}
