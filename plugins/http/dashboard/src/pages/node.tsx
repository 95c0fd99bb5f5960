import { compareIds, membersOf } from '../fleet/fleet.ts';
import { NodeActions } from '../fleet/node-actions.tsx';
import { Labels } from '../fleet/table.tsx';
import { useNodes } from '../fleet/use-nodes.ts';
import { countText, msText } from '../format.ts';
import { Badge } from '../parts/marks.tsx';
import { Empty, Fault, Loading } from '../parts/notices.tsx';
import { Figure, Page } from '../parts/page.tsx';
import { Ago } from '../parts/time.tsx';
import { RequestTable, useRequests } from '../requests/table.tsx';
import { hrefOf } from '../state/address.ts';
import { useSession } from '../state/session.ts';
import { useNow } from '../state/use-live.ts';

/** One node: what is known of it, its last requests, and what can be called there. */
export function NodePage({ id }: { id: string }) {
  const { who } = useSession();
  const now = useNow();
  const { value, error } = useNodes();
  const requests = useRequests({ node: id }, 20);
  const member = value && membersOf(value.nodes, who.router.id).find((each) => each.id === id);
  const node = member?.node;
  if (value && !member) {
    return (
      <Page title={id}>
        <Empty
          title={
            id === who.router.id ? `${id} is this router itself.` : `The router ${who.router.id} knows no node ${id}.`
          }
        >
          <a href="#/nodes">Show the fleet</a>
        </Empty>
      </Page>
    );
  }
  return (
    <Page
      title={id}
      tools={
        <>
          <a class="button" href={hrefOf(['requests'], { node: id })}>
            All its requests
          </a>
          <a class="button primary" href={hrefOf(['call'], { on: id })}>
            Call an action
          </a>
        </>
      }
    >
      <Fault error={error} />
      {!member && error === undefined && <Loading what="the node" />}
      {member && (
        <dl class="figures">
          <Figure name="State">
            <Badge mark={member.state}>{member.state}</Badge>
          </Figure>
          <Figure name="Route">
            {member.via.length > 0
              ? member.via.map((via, index) => (
                  <>
                    {index > 0 && ', '}
                    via <a href={hrefOf(['nodes', via])}>{via}</a>
                  </>
                ))
              : `${node?.kind || 'linked'}, directly`}
          </Figure>
          {node && node.router !== null && (
            <Figure name="Router">
              <a href={hrefOf(['nodes'], { q: `router:${node.router}` })}>{node.router}</a>
            </Figure>
          )}
          {node?.address && <Figure name="Address">{node.address}</Figure>}
          {node?.version && <Figure name="Version">{node.version}</Figure>}
          {node && node.roundTripMs !== null && <Figure name="Round trip">{msText(node.roundTripMs)}</Figure>}
          {node && node.clockSkewSeconds !== null && (
            <Figure name="Clock">
              {node.clockSkewSeconds === 0
                ? 'as here'
                : `${Math.abs(node.clockSkewSeconds)} s ${node.clockSkewSeconds > 0 ? 'ahead' : 'behind'}`}
            </Figure>
          )}
          {node && node.lastPong !== null && (
            <Figure name="Last answer">
              <Ago at={node.lastPong * 1000} now={now} />
            </Figure>
          )}
          {node && node.cursor !== null && <Figure name="Log read up to">row {countText(node.cursor)}</Figure>}
        </dl>
      )}
      {node?.reason && (
        <p class="notice notice-bad">
          It is {node.state}: {node.reason}
        </p>
      )}
      {node && Object.keys(node.labels).length > 0 && <Labels labels={node.labels} />}
      {node && node.subnodes.length > 0 && (
        <section>
          <h2>Behind it</h2>
          <p class="links">
            {[...node.subnodes].sort(compareIds).map((each) => (
              <a key={each} href={hrefOf(['nodes', each])}>
                {each}
              </a>
            ))}
          </p>
        </section>
      )}
      {member && (
        <section>
          <h2>Its last requests</h2>
          <Fault error={requests.error} />
          {requests.value && requests.value.requests.length === 0 && (
            <Empty title="Nothing was asked of it, or nothing that you may see." />
          )}
          {requests.value && requests.value.requests.length > 0 && (
            <RequestTable requests={requests.value.requests} now={now} without="target" />
          )}
        </section>
      )}
      {node && node.actions.length > 0 && <NodeActions id={id} names={node.actions} />}
    </Page>
  );
}
