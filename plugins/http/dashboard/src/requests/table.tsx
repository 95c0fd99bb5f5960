import { type Request, Requests } from '../api/shapes.ts';
import { durationText } from '../format.ts';
import { Badge, requestState } from '../parts/marks.tsx';
import { Ago } from '../parts/time.tsx';
import { hrefOf } from '../state/address.ts';
import { usePolled } from '../state/polled.ts';
import { useSession } from '../state/session.ts';
import { useLive } from '../state/use-live.ts';
import { queryOf, type RequestFilters } from './filters.ts';

const REQUESTS_MS = 3000;

/** The newest requests that the filters let through, asked for while the page is shown. */
export function useRequests(filters: RequestFilters, limit: number) {
  const { api } = useSession();
  const live = useLive();
  const ask = (signal: AbortSignal) =>
    api.ask(`requests?${queryOf(filters, limit, Math.floor(live.now() / 1000))}`, Requests, { signal });
  return usePolled(JSON.stringify([filters, limit]), ask, REQUESTS_MS);
}

export interface RequestTableProps {
  readonly requests: readonly Request[];
  readonly now: number;
  /** A column that would say the same in each row. */
  readonly without?: 'target';
}

export function RequestTable({ requests, now, without }: RequestTableProps) {
  const { who } = useSession();
  const hasRouters = requests.some(({ router }) => router !== null && router !== who.router.id);
  return (
    <table class="rows cards">
      <caption class="hidden-label">Requests, the newest first</caption>
      <thead>
        <tr>
          <th scope="col">Action</th>
          <th scope="col">State</th>
          <th scope="col">When</th>
          <th scope="col">Took</th>
          {without !== 'target' && <th scope="col">Node</th>}
          {hasRouters && <th scope="col">Router</th>}
          <th scope="col">Who</th>
          <th scope="col">Asked for</th>
        </tr>
      </thead>
      <tbody>
        {requests.map((request) => {
          const { token, action, target, owner, acceptedAt, endedAt, error, router, data } = request;
          const state = requestState(request);
          return (
            <tr key={request.id}>
              <th scope="row">
                <a href={hrefOf(['requests', token])} title={token}>
                  {action}
                </a>
              </th>
              <td data-label="State">
                <Badge mark={state}>{state}</Badge>
                {error !== null && <div class="reason">{error}</div>}
              </td>
              <td data-label="When">
                <Ago at={acceptedAt * 1000} now={now} />
              </td>
              <td data-label="Took" class="number">
                {durationText((endedAt ?? Math.max(acceptedAt, Math.floor(now / 1000))) - acceptedAt)}
                {endedAt === null && ' so far'}
              </td>
              {without !== 'target' && (
                <td data-label="Node">
                  {target === '' ? <span class="quiet">here</span> : <a href={hrefOf(['nodes', target])}>{target}</a>}
                </td>
              )}
              {hasRouters && <td data-label="Router">{router}</td>}
              <td data-label="Who">{owner}</td>
              <td data-label="Asked for" class="asked">
                <code>{askedFor(data)}</code>
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

const LONGEST = 100;

/** DATA on one line. */
function askedFor(data: unknown): string {
  const text = typeof data === 'string' ? data : JSON.stringify(data ?? {});
  if (text === '{}') return '';
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}…`;
}
