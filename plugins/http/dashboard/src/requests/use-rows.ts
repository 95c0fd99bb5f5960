import { useEffect, useRef, useState } from 'preact/hooks';
import { readEvents, type StreamState } from '../api/event-stream.ts';
import { Row } from '../api/shapes.ts';
import { useSession } from '../state/session.ts';
import { useStore } from '../state/store.ts';
import { isVisible } from '../state/visible.ts';
import { withRows } from './entries.ts';

/** Rows that come within this time are drawn at once. */
const DRAW_MS = 80;

export interface Rows {
  readonly rows: readonly Row[];
  readonly state: StreamState | 'ended' | 'refused';
  readonly error: unknown;
}

/** The rows of a token, followed live until its terminal row, while the tab is shown. */
export function useRows(token: string): Rows {
  const { api } = useSession();
  const [rows, setRows] = useState<readonly Row[]>([]);
  const [state, setState] = useState<Rows['state']>('connecting');
  const [error, setError] = useState<unknown>();
  const last = useRef('');
  const isEnded = useRef(false);
  const isShown = useStore(isVisible);
  useEffect(() => {
    if (!isShown || isEnded.current) return undefined;
    const left = new AbortController();
    const { signal } = left;
    let came: Row[] = [];
    let drawing: ReturnType<typeof setTimeout> | undefined;
    const draw = () => {
      drawing = undefined;
      const batch = came;
      came = [];
      setRows((all) => withRows(all, batch));
    };
    const follow = async () => {
      try {
        await readEvents({
          signal,
          last: 'end',
          lastId: last.current,
          open: (lastId, until) =>
            fetch(`api/log/${encodeURIComponent(token)}/stream`, {
              headers: { ...api.headers, ...(lastId !== '' && { 'last-event-id': lastId }) },
              signal: until,
              cache: 'no-store',
            }),
          refusalOf: (response) => api.refusalOf(response),
          onState: setState,
          onEvent: ({ id, event, data }) => {
            last.current = id;
            if (event !== 'row') return;
            came.push(Row.parse(JSON.parse(data)));
            drawing ??= setTimeout(draw, DRAW_MS);
          },
        });
        isEnded.current = true;
        clearTimeout(drawing);
        draw();
        setState('ended');
      } catch (thrown) {
        if (signal.aborted) return;
        setState('refused');
        setError(thrown);
      }
    };
    void follow();
    return () => {
      clearTimeout(drawing);
      draw();
      left.abort();
    };
  }, [token, isShown, api]);
  return { rows, state, error };
}
