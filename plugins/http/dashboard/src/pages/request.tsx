import { Requests } from '../api/shapes.ts';
import { durationText } from '../format.ts';
import { Copy } from '../parts/copy.tsx';
import { isObject } from '../parts/data.tsx';
import { Badge, requestState } from '../parts/marks.tsx';
import { Empty, Fault, Loading } from '../parts/notices.tsx';
import { Figure, Page } from '../parts/page.tsx';
import { Moment } from '../parts/time.tsx';
import { Cancel } from '../requests/cancel.tsx';
import { endOf } from '../requests/entries.ts';
import { Timeline } from '../requests/timeline.tsx';
import { useRows } from '../requests/use-rows.ts';
import { hrefOf } from '../state/address.ts';
import { usePolled } from '../state/polled.ts';
import { useSession } from '../state/session.ts';
import { useNow } from '../state/use-live.ts';

const REQUEST_MS = 5000;
/** DATA in an address has to stay short. */
const LONGEST_DATA = 4000;

/** One request: what was asked, and its life as it goes on. */
export function RequestPage({ token }: { token: string }) {
  const { api, who } = useSession();
  const now = useNow();
  const { rows, state, error } = useRows(token);
  const ended = endOf(rows);
  const found = usePolled(
    `${token} ${ended ? 'ended' : 'open'}`,
    (signal) => api.ask(`requests?${new URLSearchParams({ token })}`, Requests, { signal }),
    REQUEST_MS,
  );
  const request = found.value?.requests[0];
  const isOpen = ended === undefined && state !== 'refused' && (request === undefined || request.endedAt === null);
  const isUnknown = found.value !== undefined && !request && rows.length === 0;
  const name = request?.action ?? rows[0]?.type ?? 'Request';
  const standing = ended ? (ended.code === 1 ? 'failed' : 'finished') : request ? requestState(request) : 'open';
  const endedAt = ended?.etime ?? request?.endedAt ?? null;
  return (
    <Page
      title={name}
      tools={
        <>
          <Copy text={token} what="token" />
          {request && <CallAgain action={request.action} target={request.target} data={request.data} />}
          {isOpen && request && <Cancel token={token} action={name} />}
        </>
      }
    >
      <p class="token">
        <span class="quiet">Token</span> <code>{token}</code>
      </p>
      <Fault error={error ?? found.error} />
      {isUnknown && (
        <Empty title="Nothing is known of this token.">
          It was never used here, its rows were purged, or it belongs to somebody else.{' '}
          <a href="#/requests">Show requests</a>
        </Empty>
      )}
      {!isUnknown && !request && rows.length === 0 && error === undefined && <Loading what="the request" />}
      {(request || rows.length > 0) && (
        <>
          <dl class="figures">
            <Figure name="State">
              <Badge mark={standing}>{standing}</Badge>
            </Figure>
            {request && (
              <>
                <Figure name="Who">{request.owner}</Figure>
                <Figure name="Node">
                  {request.target === '' ? (
                    'this router'
                  ) : (
                    <a href={hrefOf(['nodes', request.target])}>{request.target}</a>
                  )}
                </Figure>
                {isOpen && request.router !== null && request.router !== who.router.id && (
                  <Figure name="Open at">{request.router}</Figure>
                )}
                <Figure name="Accepted">
                  <Moment at={request.acceptedAt * 1000} now={now} />
                </Figure>
                <Figure name={endedAt === null ? 'Runs for' : 'Took'}>
                  {durationText(Math.max(0, (endedAt ?? Math.floor(now / 1000)) - request.acceptedAt))}
                </Figure>
              </>
            )}
            {isOpen && state !== 'live' && (
              <Figure name="Stream">
                <Badge mark="connecting">{state === 'waiting' ? 'lost, trying again' : state}</Badge>
              </Figure>
            )}
          </dl>
          <Timeline rows={rows} asked={request?.data} isOpen={isOpen} now={now} />
        </>
      )}
    </Page>
  );
}

/** Leads to the form of the action, filled with the same DATA. */
function CallAgain({ action, target, data }: { action: string; target: string; data: unknown }) {
  const text = JSON.stringify(data ?? {});
  if (!isObject(data) || text.length > LONGEST_DATA) return null;
  return (
    <a class="button" href={hrefOf(['call', action], { on: target, data: text })}>
      Call it again…
    </a>
  );
}
