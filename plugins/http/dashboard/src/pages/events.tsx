import type { Happened } from '../api/shapes.ts';
import { momentText } from '../format.ts';
import { Badge, type Mark, MarkIcon } from '../parts/marks.tsx';
import { Empty, Fault } from '../parts/notices.tsx';
import { Filter, Page } from '../parts/page.tsx';
import { isoOf } from '../parts/time.tsx';
import { hrefOf } from '../state/address.ts';
import { goTo } from '../state/place.ts';
import { useStore } from '../state/store.ts';
import { useLive } from '../state/use-live.ts';

/** What happens in the router, as it happens. */
export function EventsPage({ query: { q = '' } }: { query: Readonly<Record<string, string>> }) {
  const live = useLive();
  const events = useStore(live.events);
  const { state, error } = useStore(live.eventsState);
  const words = q.toLowerCase().split(/\s+/);
  const shown = events.filter((event) => {
    const text = `${event.kind} ${textOf(event)}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return (
    <Page
      title="Events"
      below={
        <>
          <Filter
            label="Filter events"
            value={q}
            onInput={(text) => goTo(hrefOf(['events'], { q: text }), { instead: true })}
          />
          {state === 'waiting' && <Badge mark="connecting">connection lost, trying again</Badge>}
        </>
      }
    >
      {state === 'absent' ? (
        <Empty title="This router does not tell what happens.">Update it: a newer version has events.</Empty>
      ) : (
        <Fault error={error} />
      )}
      {state !== 'refused' && state !== 'absent' && events.length === 0 && (
        <Empty title="Nothing happened yet.">
          Nodes that come and go, plugins that end, keys, refusals and purges appear here as they happen.
        </Empty>
      )}
      {events.length > 0 && shown.length === 0 && <Empty title="No event matches the filter." />}
      {shown.length > 0 && (
        <ol class="events" aria-live="polite" aria-relevant="additions">
          {shown.map((event) => (
            <li key={`${event.time} ${event.id}`}>
              <MarkIcon mark={markOf(event)} />
              <time dateTime={isoOf(msOf(event.time))}>{momentText(msOf(event.time))}</time>
              <span class="kind">{event.kind}</span>
              <span class="event-text">{textOf(event)}</span>
            </li>
          ))}
        </ol>
      )}
    </Page>
  );
}

/** Seconds or milliseconds since the epoch, as milliseconds. */
function msOf(time: number): number {
  return time < 1e11 ? time * 1000 : time;
}

/** The sentence of an event; one without shows its fields. */
function textOf({ id: _, time: __, kind: ___, text, ...fields }: Happened): string {
  if (text !== '') return text;
  return Object.entries(fields)
    .map(([key, value]) => `${key} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ');
}

const GOOD = new Set([
  'NODE_UP',
  'PLUGIN_OK',
  'PLUGIN_LOADED',
  'PLUGIN_RELOADED',
  'KEY_ACCEPTED',
  'KEY_JOINED',
  'STARTED',
]);
const BAD = new Set([
  'NODE_DOWN',
  'NODE_KEY_SHARED',
  'PLUGIN_ENDED',
  'PLUGIN_QUARANTINED',
  'PLUGIN_DEGRADED',
  'KEY_PENDING',
  'KEY_REFUSED',
  'BUSY',
]);

function markOf({ kind }: Happened): Mark {
  if (BAD.has(kind)) return 'warning';
  return GOOD.has(kind) ? 'up' : 'step';
}
