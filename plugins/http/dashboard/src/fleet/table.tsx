import { msText } from '../format.ts';
import { Badge } from '../parts/marks.tsx';
import { PAGE_ROWS, Pager, pageOf } from '../parts/pager.tsx';
import { Ago } from '../parts/time.tsx';
import { hrefOf } from '../state/address.ts';
import { useNow } from '../state/use-live.ts';
import { compareIds, type Member } from './fleet.ts';

const STATE_ORDER = { unreachable: 0, connecting: 1, up: 2 } as const;
/** What the table can be ordered by; figures that are not known are last. */
const ORDERS: Readonly<Record<string, (a: Member, b: Member) => number>> = {
  node: (a, b) => compareIds(a.id, b.id),
  state: (a, b) => STATE_ORDER[a.state] - STATE_ORDER[b.state] || compareIds(a.id, b.id),
  router: (a, b) => compareKnown(a.router, b.router) || compareIds(a.id, b.id),
  version: (a, b) => compareKnown(a.node?.version, b.node?.version),
  trip: (a, b) => (a.node?.roundTripMs ?? Infinity) - (b.node?.roundTripMs ?? Infinity) || 0,
  answer: (a, b) => (b.node?.lastPong ?? 0) - (a.node?.lastPong ?? 0),
};

export interface FleetTableProps {
  readonly members: readonly Member[];
  /** Whether other routers carry some: which one carries a node is a column then. */
  readonly hasRouters: boolean;
  readonly query: Readonly<Record<string, string>>;
  readonly picked: ReadonlySet<string>;
  onPicked(picked: ReadonlySet<string>): void;
  onQuery(more: Record<string, string>): void;
}

/** The nodes, a page at a time. */
export function FleetTable({ members, hasRouters, query, picked, onPicked, onQuery }: FleetTableProps) {
  const now = useNow();
  const { order = 'node', back = '' } = query;
  const compare = ORDERS[order] ?? compareIdsOf;
  const sorted = [...members].sort(back === '' ? compare : (a, b) => compare(b, a));
  const { shown, page, pages } = pageOf(sorted, Number(query.page ?? 1));
  const head = (name: string, title: string) => (
    <th scope="col" aria-sort={order !== name ? undefined : back === '' ? 'ascending' : 'descending'}>
      <button type="button" onClick={() => onQuery({ order: name, back: order === name && back === '' ? '1' : '' })}>
        {title}
      </button>
    </th>
  );
  const pick = (id: string, isPicked: boolean) => {
    const next = new Set(picked);
    if (isPicked) next.add(id);
    else next.delete(id);
    onPicked(next);
  };
  const isAllShown = shown.every(({ id }) => picked.has(id));
  return (
    <>
      <table class="rows cards">
        <caption class="hidden-label">Nodes, {PAGE_ROWS} on a page</caption>
        <thead>
          <tr>
            <th scope="col" class="tick">
              <input
                type="checkbox"
                aria-label="Pick the nodes of this page"
                checked={isAllShown}
                onChange={() => onPicked(isAllShown ? new Set() : new Set([...picked, ...shown.map(({ id }) => id)]))}
              />
            </th>
            {head('node', 'Node')}
            {head('state', 'State')}
            {hasRouters && head('router', 'Router')}
            <th scope="col">Route</th>
            <th scope="col">Labels</th>
            {head('version', 'Version')}
            {head('trip', 'Round trip')}
            {head('answer', 'Last answer')}
          </tr>
        </thead>
        <tbody>
          {shown.map((member) => (
            <NodeRow
              key={member.id}
              member={member}
              hasRouters={hasRouters}
              now={now}
              isPicked={picked.has(member.id)}
              onPick={pick}
            />
          ))}
        </tbody>
      </table>
      <Pager page={page} pages={pages} count={members.length} onPage={(next) => onQuery({ page: String(next) })} />
    </>
  );
}

/** What is not known is last. */
function compareKnown(a: string | null | undefined, b: string | null | undefined): number {
  if (a && b) return compareIds(a, b);
  return Number(!a) - Number(!b);
}

const compareIdsOf = (a: Member, b: Member) => compareIds(a.id, b.id);

interface NodeRowProps {
  readonly member: Member;
  readonly hasRouters: boolean;
  readonly now: number;
  readonly isPicked: boolean;
  onPick(id: string, isPicked: boolean): void;
}

function NodeRow({ member: { id, state, via, node, router }, hasRouters, now, isPicked, onPick }: NodeRowProps) {
  const skew = node?.clockSkewSeconds ?? 0;
  return (
    <tr>
      <td class="tick">
        <input
          type="checkbox"
          aria-label={`Pick ${id}`}
          checked={isPicked}
          onChange={({ currentTarget }) => onPick(id, currentTarget.checked)}
        />
      </td>
      <th scope="row">
        <a href={hrefOf(['nodes', id])}>{id}</a>
        {node && node.name !== '' && node.name !== id && <span class="quiet"> {node.name}</span>}
      </th>
      <td data-label="State">
        <Badge mark={state}>{state}</Badge>
        {node?.reason && <div class="reason">{node.reason}</div>}
        {node && node.sharedBy.length > 0 && (
          <div class="reason">two machines share its key: {node.sharedBy.join(', ')}</div>
        )}
        {Math.abs(skew) >= 5 && (
          <div class="reason">
            its clock is {Math.abs(skew)} s {skew > 0 ? 'ahead' : 'behind'}
          </div>
        )}
      </td>
      {hasRouters && <td data-label="Router">{router}</td>}
      <td data-label="Route">
        {via.length > 0 ? <>via {via.join(', ')}</> : node?.kind}
        {node?.address && <div class="quiet">{node.address}</div>}
      </td>
      <td data-label="Labels">
        <Labels labels={node?.labels ?? {}} />
      </td>
      <td data-label="Version">{node?.version}</td>
      <td data-label="Round trip" class="number">
        {node && node.roundTripMs !== null && msText(node.roundTripMs)}
      </td>
      <td data-label="Last answer">{node && node.lastPong !== null && <Ago at={node.lastPong * 1000} now={now} />}</td>
    </tr>
  );
}

/** Labels, each of which leads to the nodes that have it. */
export function Labels({ labels }: { labels: Readonly<Record<string, string>> }) {
  return (
    <span class="labels">
      {Object.entries(labels).map(([key, value]) => (
        <a key={key} class="label" href={hrefOf(['nodes'], { q: `${key}=${value}` })}>
          {key}={value}
        </a>
      ))}
    </span>
  );
}
