import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { sentenceOf } from './api/http.ts';
import { type Cluster, type KeyList, Keys } from './api/shapes.ts';
import { inTrouble } from './cluster/routers.ts';
import { useCluster } from './cluster/use-cluster.ts';
import { ActionsPage } from './pages/actions.tsx';
import { CallPage } from './pages/call.tsx';
import { EventsPage } from './pages/events.tsx';
import { FleetPage } from './pages/fleet.tsx';
import { KeysPage } from './pages/keys.tsx';
import { NodePage } from './pages/node.tsx';
import { PluginPage } from './pages/plugin.tsx';
import { PluginsPage } from './pages/plugins.tsx';
import { RequestPage } from './pages/request.tsx';
import { RequestsPage } from './pages/requests.tsx';
import { RoutersPage } from './pages/routers.tsx';
import { Badge } from './parts/marks.tsx';
import { Empty } from './parts/notices.tsx';
import { Page } from './parts/page.tsx';
import { hrefOf } from './state/address.ts';
import { isForbidden } from './state/live.ts';
import { place } from './state/place.ts';
import { type Polled, usePolled } from './state/polled.ts';
import { logOut, useIsAdmin, useSession } from './state/session.ts';
import { useStore } from './state/store.ts';
import { useLive } from './state/use-live.ts';

const KEYS_MS = 5000;

/** The pages, below a head that leads to them. */
export function Frame() {
  const { path, query } = useStore(place);
  const [room = 'nodes', part] = path;
  const keys = useKeys();
  const cluster = useCluster();
  const main = useRef<HTMLElement>(null);
  useSlash();
  useEffect(() => {
    if (!location.hash.startsWith('#/')) location.replace('#/nodes');
  }, []);
  return (
    <>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      <Head room={room} keys={keys} cluster={cluster.value} />
      <main ref={main} tabIndex={-1}>
        <Router room={room} part={part} query={query} keys={keys} cluster={cluster} />
      </main>
    </>
  );
}

interface RouterProps {
  readonly room: string;
  readonly part: string | undefined;
  readonly query: Readonly<Record<string, string>>;
  readonly keys: Polled<KeyList> | undefined;
  readonly cluster: Polled<Cluster>;
}

function Router({ room, part, query, keys, cluster }: RouterProps) {
  switch (room) {
    case 'nodes':
      return part === undefined ? <FleetPage view="table" query={query} /> : <NodePage key={part} id={part} />;
    case 'map':
      return <FleetPage view="map" query={query} />;
    case 'routers':
      if (cluster.value?.cluster !== null) return <RoutersPage cluster={cluster} />;
      break;
    case 'plugins':
      return part === undefined ? <PluginsPage /> : <PluginPage key={part} type={part} />;
    case 'requests':
      return part === undefined ? <RequestsPage query={query} /> : <RequestPage key={part} token={part} />;
    case 'call':
      return part === undefined ? <ActionsPage query={query} /> : <CallPage key={part} name={part} query={query} />;
    case 'keys':
      if (keys) return <KeysPage keys={keys} />;
      break;
    case 'events':
      return <EventsPage query={query} />;
  }
  return (
    <Page title="Not found">
      <Empty title="There is no such page, or it is not for this token.">
        <a href="#/nodes">Go to the fleet</a>
      </Empty>
    </Page>
  );
}

/** The keys; undefined for who may not see them. */
function useKeys(): Polled<KeyList> | undefined {
  const { api } = useSession();
  const isAdmin = useIsAdmin();
  const keys = usePolled(
    isAdmin ? 'keys' : '',
    (signal) =>
      isAdmin ? api.ask('actions/KEYS', Keys, { method: 'POST', body: {}, signal }) : Promise.resolve({ keys: [] }),
    KEYS_MS,
  );
  return !isAdmin || isForbidden(keys.error) ? undefined : keys;
}

interface HeadProps {
  readonly room: string;
  readonly keys: Polled<KeyList> | undefined;
  readonly cluster: Cluster | undefined;
}

function Head({ room, keys, cluster }: HeadProps) {
  const { who } = useSession();
  const { state, error } = useStore(useLive().eventsState);
  // Refused without a question: it is not for this caller.
  const hasEvents = state !== 'refused' || error !== undefined;
  const pending = keys?.value?.keys.filter(({ state }) => state === 'pending').length ?? 0;
  return (
    <header class="head">
      <a class="brand" href="#/nodes" title={`centreond ${who.router.version}`}>
        <svg viewBox="0 0 32 32" aria-hidden="true" focusable="false">
          <path d="M5 16h9m0 0 7-8h6m-13 8 7 8h6" />
          <circle cx="14" cy="16" r="4" />
        </svg>
        <span>{who.router.id}</span>
      </a>
      <nav class="rooms" aria-label="Pages">
        <Room to="nodes" isHere={room === 'nodes' || room === 'map'}>
          Fleet
        </Room>
        {cluster && cluster.cluster !== null && (
          <Room to="routers" isHere={room === 'routers'}>
            Routers
            <Count of={inTrouble(cluster).length} what="in trouble" />
          </Room>
        )}
        <Room to="plugins" isHere={room === 'plugins'}>
          Plugins
        </Room>
        <Room to="requests" isHere={room === 'requests'}>
          Requests
        </Room>
        <Room to="call" isHere={room === 'call'}>
          Call
        </Room>
        {keys && (
          <Room to="keys" isHere={room === 'keys'}>
            Keys
            <Count of={pending} what="waiting" title="waiting for a decision" />
          </Room>
        )}
        {hasEvents && (
          <Room to="events" isHere={room === 'events'}>
            Events
          </Room>
        )}
      </nav>
      <div class="head-end">
        <Connection />
        <span class="who" title={`${who.identity}: ${who.roles.join(', ')}`}>
          {who.name}
        </span>
        <button type="button" class="small" onClick={() => logOut()}>
          Log out
        </button>
      </div>
    </header>
  );
}

function Room({ to, isHere, children }: { to: string; isHere: boolean; children: ComponentChildren }) {
  return (
    <a href={hrefOf([to])} aria-current={isHere ? 'page' : undefined}>
      {children}
    </a>
  );
}

/** How many there are that somebody should look at; nothing where there are none. */
function Count({ of, what, title = what }: { of: number; what: string; title?: string }) {
  if (of === 0) return null;
  return (
    <span class="count" title={`${of} ${title}`}>
      {of}
      <span class="hidden-label"> {what}</span>
    </span>
  );
}

/** Whether the router answers. */
function Connection() {
  const live = useLive();
  const fault = useStore(live.fault);
  const status = useStore(live.status);
  return (
    <span class="connection" role="status" title={fault === undefined ? undefined : sentenceOf(fault)}>
      {fault !== undefined ? (
        <Badge mark="unreachable">no answer</Badge>
      ) : status ? (
        <Badge mark="up">live</Badge>
      ) : (
        <Badge mark="connecting">connecting</Badge>
      )}
    </span>
  );
}

/** The key / goes to the filter of the page. */
function useSlash(): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const { target } = event;
      const isTyping = target instanceof Element && target.closest('input, textarea, select, [contenteditable]');
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
      const filter = document.querySelector<HTMLInputElement>('input[data-filter]');
      if (!filter) return;
      event.preventDefault();
      filter.focus();
      filter.select();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, []);
}
