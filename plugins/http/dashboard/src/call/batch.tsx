import { useState } from 'preact/hooks';
import { sentenceOf } from '../api/http.ts';
import { Requests } from '../api/shapes.ts';
import { durationText, plural } from '../format.ts';
import { Badge, requestState } from '../parts/marks.tsx';
import { hrefOf } from '../state/address.ts';
import { usePolled } from '../state/polled.ts';
import { useSession } from '../state/session.ts';
import { useLive } from '../state/use-live.ts';

const BATCH_MS = 1000;
const MOST = 1000;

export interface BatchCall {
  readonly target: string;
  readonly token: string;
  /** The refusal; undefined while it is sent and after it was accepted. */
  readonly error: unknown;
}
export interface BatchProps {
  readonly calls: readonly BatchCall[];
  readonly action: string;
  /** Whether the action answers at once and writes no rows. */
  readonly isReply: boolean;
}

/** What becomes of a call on several nodes: one question for all of them, again until all have ended. */
export function Batch({ calls, action, isReply }: BatchProps) {
  const { api, who } = useSession();
  const live = useLive();
  const [since] = useState(() => Math.floor(live.now() / 1000) - 5);
  const query = new URLSearchParams({ action, owner: who.identity, since: String(since), limit: String(MOST) });
  const { value } = usePolled(
    `batch ${query}`,
    (signal) => api.ask(`requests?${query}`, Requests, { signal }),
    BATCH_MS,
  );
  const found = new Map(value?.requests.map((request) => [request.token, request]));
  const rows = calls.map((call) => {
    const request = found.get(call.token);
    const state =
      call.error !== undefined ? 'refused' : request ? requestState(request) : isReply ? 'finished' : 'sending';
    return { ...call, request, state };
  });
  const counts = ['finished', 'failed', 'refused', 'open', 'sending']
    .map((state) => [state, rows.filter((row) => row.state === state).length] as const)
    .filter(([, count]) => count > 0);
  return (
    <section>
      <h2>{plural(calls.length, 'call')}</h2>
      <p role="status">{counts.map(([state, count]) => `${count} ${state}`).join(', ')}</p>
      <table class="rows cards">
        <caption class="hidden-label">Calls of {action}</caption>
        <thead>
          <tr>
            <th scope="col">Node</th>
            <th scope="col">State</th>
            <th scope="col">Took</th>
            <th scope="col">Token</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ target, token, error, request, state }) => (
            <tr key={token}>
              <th scope="row">{target || who.router.id}</th>
              <td data-label="State">
                <Badge mark={state === 'refused' ? 'failed' : state === 'sending' ? 'connecting' : (state as 'open')}>
                  {state}
                </Badge>
                {error !== undefined && <div class="reason">{sentenceOf(error)}</div>}
                {request?.error && <div class="reason">{request.error}</div>}
              </td>
              <td data-label="Took" class="number">
                {request && request.endedAt !== null && durationText(request.endedAt - request.acceptedAt)}
              </td>
              <td data-label="Token">
                {request ? <a href={hrefOf(['requests', token])}>{token}</a> : <span class="quiet">{token}</span>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
