import { countText, msText, plural } from '../format.ts';
import { MarkIcon } from '../parts/marks.tsx';
import { Segments } from '../parts/page.tsx';
import { hrefOf } from '../state/address.ts';
import { useSession } from '../state/session.ts';
import { countStates, type Group, type Grouping, groupsOf, labelKeys, type Member } from './fleet.ts';

/** Up to so many nodes each has a line of its own; beyond, they are drawn in groups. */
const LINES = 40;

export interface RouteMapProps {
  readonly members: readonly Member[];
  readonly query: Readonly<Record<string, string>>;
  onQuery(more: Record<string, string>): void;
}

/** Which node is reached through which: a line for each, or groups where there are many. */
export function RouteMap({ members, query, onQuery }: RouteMapProps) {
  const { who } = useSession();
  const keys = labelKeys(members);
  const byDefault = members.length <= LINES ? 'lines' : keys.includes('site') ? 'site' : 'router';
  const { by = byDefault } = query;
  const options = [
    { value: 'lines', label: 'Each node' },
    { value: 'router', label: 'By router' },
    ...keys.slice(0, 6).map((key) => ({ value: key, label: `By ${key}` })),
  ];
  const grouping: Grouping = by === 'router' ? { by: 'router' } : { by: 'label', key: by };
  return (
    <div class="map">
      <Segments label="Draw" value={by} options={options} onPick={(next) => onQuery({ by: next })} />
      <div class="map-router">
        <span class="station station-router">
          <b>{who.router.id}</b> <span class="quiet">this router</span>
        </span>
      </div>
      {by === 'lines' ? (
        <Lines members={members} />
      ) : (
        <Groups members={members} grouping={grouping} router={who.router.id} />
      )}
    </div>
  );
}

function Lines({ members }: { members: readonly Member[] }) {
  const direct = members.filter(({ via }) => via.length === 0);
  const ids = new Set(direct.map(({ id }) => id));
  // The filter may have left out the node between.
  const between = [...new Set(members.flatMap(({ via }) => via))].filter((id) => !ids.has(id));
  const behind = (router: string) => members.filter(({ via }) => via.includes(router));
  return (
    <ul class="lines">
      {direct.map((member) => (
        <Line key={member.id} member={member} behind={behind(member.id)} />
      ))}
      {between.map((id) => (
        <Line key={id} member={{ id, state: 'up', via: [], node: undefined, router: undefined }} behind={behind(id)} />
      ))}
    </ul>
  );
}

function Line({ member, behind }: { member: Member; behind: readonly Member[] }) {
  const { id, state, node } = member;
  return (
    <li class={`line line-${state}`}>
      <div class="line-own">
        <Station member={member} />
        <span class="line-facts quiet">
          {[
            node?.kind,
            node?.router && `at ${node.router}`,
            node?.address,
            node?.roundTripMs === null || !node ? undefined : msText(node.roundTripMs),
          ]
            .filter((fact) => fact)
            .join(' · ')}
        </span>
        {node?.reason && <span class="reason">{node.reason}</span>}
      </div>
      {behind.length > 0 && (
        <ul class="stops" aria-label={`Behind ${id}`}>
          {behind.map((stop) => (
            <li key={stop.id} class={`stop line-${state === 'up' ? 'up' : 'unreachable'}`}>
              <Station member={stop} />
              {stop.via.length > 1 && (
                <span class="quiet">also via {stop.via.filter((via) => via !== id).join(', ')}</span>
              )}
            </li>
          ))}
        </ul>
      )}
    </li>
  );
}

function Station({ member: { id, state } }: { member: Member }) {
  return (
    <a class={`station station-${state}`} href={hrefOf(['nodes', id])}>
      <MarkIcon mark={state} />
      {id}
      <span class="hidden-label"> {state}</span>
    </a>
  );
}

interface GroupsProps {
  readonly members: readonly Member[];
  readonly grouping: Grouping;
  readonly router: string;
}

/** A line for each group, with a mark for each node in it. */
function Groups({ members, grouping, router }: GroupsProps) {
  return (
    <ul class="lines groups">
      {groupsOf(members, grouping, router).map((group) => (
        <GroupLine key={group.name} group={group} grouping={grouping} router={router} />
      ))}
    </ul>
  );
}

function GroupLine({
  group: { name, members },
  grouping,
  router,
}: {
  group: Group;
  grouping: Grouping;
  router: string;
}) {
  const counts = countStates(members);
  const worst = counts.unreachable > 0 ? 'unreachable' : counts.connecting > 0 ? 'connecting' : 'up';
  const isRouter = grouping.by === 'router';
  // Another router of the cluster carries nodes itself; what is behind a node is reached through it.
  const isAtOther = isRouter && name !== router && members.some(({ via }) => via.length === 0);
  const way = name === router ? 'linked here' : isAtOther ? `at ${name}` : `via ${name}`;
  const title = name === '' ? 'without this label' : isRouter ? way : name;
  const filter = isAtOther ? `router:${name}` : isRouter ? `via:${name}` : `${grouping.key}=${name}`;
  const hasLink = name !== '' && !(isRouter && name === router);
  return (
    <li class={`line line-${counts.up > 0 ? 'up' : worst}`}>
      <div class="line-own">
        <span class={`station station-${worst}`}>
          <MarkIcon mark={worst} />
          {hasLink ? <a href={hrefOf(['nodes'], { q: filter })}>{title}</a> : title}
        </span>
        <span class="line-facts quiet">
          {plural(members.length, 'node')}: {countText(counts.up)} up
          {counts.connecting > 0 && `, ${countText(counts.connecting)} connecting`}
          {counts.unreachable > 0 && `, ${countText(counts.unreachable)} unreachable`}
        </span>
      </div>
      <div class="dots" aria-hidden="true">
        {members.map(({ id, state }) => (
          <a key={id} href={hrefOf(['nodes', id])} title={`${id}: ${state}`} tabIndex={-1}>
            <MarkIcon mark={state} />
          </a>
        ))}
      </div>
    </li>
  );
}
