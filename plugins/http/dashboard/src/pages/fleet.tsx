import { useState } from 'preact/hooks';
import { countStates, isMeant, type Member, membersOf } from '../fleet/fleet.ts';
import { RouteMap } from '../fleet/map.tsx';
import { FleetTable } from '../fleet/table.tsx';
import { useNodes } from '../fleet/use-nodes.ts';
import { countText, plural } from '../format.ts';
import { Badge } from '../parts/marks.tsx';
import { Empty, Fault, Loading } from '../parts/notices.tsx';
import { Filter, Page, Segments } from '../parts/page.tsx';
import { hrefOf } from '../state/address.ts';
import { goTo } from '../state/place.ts';
import { useSession } from '../state/session.ts';

type View = 'table' | 'map';
const STATES = ['', 'up', 'connecting', 'unreachable'] as const;
const FILTER_HINT =
  'Words that must all hold: a part of any text, site=paris, state:up, via:lyon, router:central, -word to exclude';

export interface FleetPageProps {
  readonly view: View;
  readonly query: Readonly<Record<string, string>>;
}

/** All nodes, as a table or as a map of the ways to them. */
export function FleetPage({ view, query }: FleetPageProps) {
  const { value, error } = useNodes();
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const { who } = useSession();
  const all = value ? membersOf(value.nodes, who.router.id) : [];
  const hasRouters = value?.nodes.some(({ router }) => router !== null) ?? false;
  const { q = '', state = '' } = query;
  const typed = all.filter((member) => isMeant(member, q));
  const shown = state === '' ? typed : typed.filter((member) => member.state === state);
  const room = view === 'table' ? 'nodes' : 'map';
  const change = (more: Record<string, string>) =>
    goTo(hrefOf([room], { ...query, page: '', ...more }), { instead: true });
  const counts = countStates(typed);
  const count = (each: (typeof STATES)[number]) => (each === '' ? typed.length : counts[each]);
  return (
    <Page
      title="Fleet"
      tools={
        <Segments<View>
          label="View"
          value={view}
          options={[
            { value: 'table', label: 'Table' },
            { value: 'map', label: 'Map' },
          ]}
          onPick={(next) => goTo(hrefOf([next === 'table' ? 'nodes' : 'map'], { q, state }))}
        />
      }
      below={
        <>
          <Filter label="Filter nodes" hint={FILTER_HINT} value={q} onInput={(text) => change({ q: text })} />
          <Segments
            label="State"
            value={state}
            options={STATES.map((each) => ({
              value: each as string,
              label: <StateCount state={each} count={count(each)} />,
            }))}
            onPick={(next) => change({ state: next })}
          />
          <Picked picked={picked} shown={shown} onChange={setPicked} />
        </>
      }
    >
      <Fault error={error} />
      {!value && error === undefined && <Loading what="the nodes" />}
      {value && all.length === 0 && (
        <Empty title="No nodes yet.">
          Type <code>npx centreond join NAME</code> on the router, and paste the line that it prints on the machine that
          is to be its node.
        </Empty>
      )}
      {all.length > 0 && shown.length === 0 && (
        <Empty title="No node matches the filter.">
          <a href={hrefOf([room])}>Show all {countText(all.length)}</a>
        </Empty>
      )}
      {shown.length > 0 && view === 'table' && (
        <FleetTable
          members={shown}
          hasRouters={hasRouters}
          query={query}
          picked={picked}
          onPicked={setPicked}
          onQuery={change}
        />
      )}
      {shown.length > 0 && view === 'map' && <RouteMap members={shown} query={query} onQuery={change} />}
    </Page>
  );
}

function StateCount({ state, count }: { state: (typeof STATES)[number]; count: number }) {
  if (state === '') return <>All {countText(count)}</>;
  return (
    <Badge mark={state}>
      {state} {countText(count)}
    </Badge>
  );
}

interface PickedProps {
  readonly picked: ReadonlySet<string>;
  readonly shown: readonly Member[];
  onChange(picked: ReadonlySet<string>): void;
}

/** What can be done with the nodes that are ticked. */
function Picked({ picked, shown, onChange }: PickedProps) {
  if (picked.size === 0) return null;
  const isAll = shown.every(({ id }) => picked.has(id));
  return (
    <div class="picked" role="status">
      <span>{plural(picked.size, 'node')} picked</span>
      {!isAll && (
        <button type="button" class="small" onClick={() => onChange(new Set(shown.map(({ id }) => id)))}>
          Pick all {countText(shown.length)}
        </button>
      )}
      <a class="button small" href={hrefOf(['call'], { on: [...picked].join(',') })}>
        Call an action on them
      </a>
      <button type="button" class="small" onClick={() => onChange(new Set())}>
        Clear
      </button>
    </div>
  );
}
