import type { Cluster, Router } from '../api/shapes.ts';
import { inTrouble, stateReason } from '../cluster/routers.ts';
import { compareIds } from '../fleet/fleet.ts';
import { countText, shortNumber, spanText } from '../format.ts';
import { Badge, MarkIcon, routerMark } from '../parts/marks.tsx';
import { Fault, Loading } from '../parts/notices.tsx';
import { Figure, Page } from '../parts/page.tsx';
import { Ago } from '../parts/time.tsx';
import { hrefOf } from '../state/address.ts';
import type { Polled } from '../state/polled.ts';
import { useNow } from '../state/use-live.ts';

/** A clock that is this far off is worth a word. */
const SKEW_SECONDS = 2;

/** The routers that share one history, and how they are. */
export function RoutersPage({ cluster: { value, error } }: { cluster: Polled<Cluster> }) {
  const now = useNow();
  if (!value) {
    return (
      <Page title="Routers">{error === undefined ? <Loading what="the routers" /> : <Fault error={error} />}</Page>
    );
  }
  const { cluster, natsAway, clockSkewSeconds, routers } = value;
  const up = routers.filter(({ state }) => state === 'up');
  const troubled = inTrouble(value).length;
  const total = (figure: 'open' | 'nodes') => up.reduce((sum, router) => sum + router[figure], 0);
  return (
    <Page title="Routers">
      <Fault error={error} />
      <dl class="figures">
        <Figure name="Cluster">{cluster}</Figure>
        <Figure name="Routers up">
          <Badge mark={troubled > 0 ? 'warning' : 'up'}>
            {countText(up.length)} of {countText(routers.length)}
          </Badge>
        </Figure>
        <Figure name="NATS">
          <Nats isReached={natsAway === null} />
        </Figure>
        <Figure name="Open requests">{countText(total('open'))}</Figure>
        <Figure name="Nodes">{countText(total('nodes'))}</Figure>
        {Math.abs(clockSkewSeconds) >= SKEW_SECONDS && (
          <Figure name="Clock">
            {shortNumber(Math.abs(clockSkewSeconds))} s {clockSkewSeconds > 0 ? 'behind' : 'ahead of'} the database
          </Figure>
        )}
      </dl>
      {natsAway !== null && (
        <div class="notice notice-bad" role="status">
          <MarkIcon mark="warning" />
          <p>
            This router does not reach NATS: {natsAway.replace(/\.$/, '')}. It goes on with its own plugins and nodes;
            nodes of the other routers are not reached until NATS is back.
          </p>
        </div>
      )}
      <RouterTable routers={[...routers].sort((a, b) => compareIds(a.id, b.id))} now={now} />
    </Page>
  );
}

function RouterTable({ routers, now }: { routers: readonly Router[]; now: number }) {
  return (
    <table class="rows cards">
      <caption class="hidden-label">The routers of the cluster</caption>
      <thead>
        <tr>
          <th scope="col">Router</th>
          <th scope="col">State</th>
          <th scope="col">NATS</th>
          <th scope="col">Open requests</th>
          <th scope="col">Nodes</th>
          <th scope="col">Version</th>
          <th scope="col">Started</th>
          <th scope="col">Heard</th>
        </tr>
      </thead>
      <tbody>
        {routers.map((router) => (
          <RouterRow key={router.id} router={router} now={now} />
        ))}
      </tbody>
    </table>
  );
}

function RouterRow({ router, now }: { router: Router; now: number }) {
  const { id, endpoint, version, state, startedAt, silentSeconds, self, open, nodes, nats } = router;
  const isUp = state === 'up';
  const reason = stateReason(router);
  return (
    <tr>
      <th scope="row">
        {id}
        {self && <span class="quiet"> this router</span>}
        {endpoint !== '' && <div class="quiet">{endpoint}</div>}
      </th>
      <td data-label="State">
        <Badge mark={routerMark(state)}>{state}</Badge>
        {reason !== '' && <div class="reason">{reason}</div>}
      </td>
      <td data-label="NATS">{isUp && <Nats isReached={nats} />}</td>
      <td data-label="Open requests" class="number">
        {isUp && countText(open)}
      </td>
      <td data-label="Nodes" class="number">
        {isUp && (nodes > 0 ? <a href={hrefOf(['nodes'], { q: `router:${id}` })}>{countText(nodes)}</a> : '0')}
      </td>
      <td data-label="Version">{version}</td>
      <td data-label="Started">{isUp && startedAt !== null && <Ago at={startedAt} now={now} />}</td>
      <td data-label="Heard">{silentSeconds < 1 ? 'now' : `${spanText(silentSeconds)} ago`}</td>
    </tr>
  );
}

/** Whether NATS is reached. */
function Nats({ isReached }: { isReached: boolean }) {
  return <Badge mark={isReached ? 'up' : 'unreachable'}>{isReached ? 'reached' : 'away'}</Badge>;
}
