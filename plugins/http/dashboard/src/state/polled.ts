import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { useStore } from './store.ts';
import { isVisible } from './visible.ts';

export interface Polled<T> {
  /** The last answer, also while later ones fail. */
  readonly value: T | undefined;
  /** What the last try failed with. */
  readonly error: unknown;
  /** Asks again now. */
  refresh(): void;
}

/**
 * Asks again and again, `everyMs` after each answer, while the tab is shown. Another `key` is another question: its answer
 * replaces the one before.
 */
export function usePolled<T>(key: string, ask: (signal: AbortSignal) => Promise<T>, everyMs: number): Polled<T> {
  const [answer, setAnswer] = useState<{ key: string; value: T | undefined; error: unknown }>();
  const [round, setRound] = useState(0);
  const asking = useRef(ask);
  asking.current = ask;
  const isShown = useStore(isVisible);
  useEffect(() => {
    if (!isShown) return undefined;
    const left = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const go = async () => {
      try {
        const value = await asking.current(left.signal);
        if (!left.signal.aborted) setAnswer({ key, value, error: undefined });
      } catch (error) {
        if (left.signal.aborted) return;
        setAnswer((last) => ({ key, value: last?.key === key ? last.value : undefined, error }));
      }
      if (!left.signal.aborted) timer = setTimeout(go, everyMs);
    };
    void go();
    return () => {
      left.abort();
      clearTimeout(timer);
    };
  }, [key, everyMs, isShown, round]);
  const refresh = useCallback(() => setRound((last) => last + 1), []);
  const isOfKey = answer?.key === key;
  return { value: isOfKey ? answer.value : undefined, error: isOfKey ? answer.error : undefined, refresh };
}
