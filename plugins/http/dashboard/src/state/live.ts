import { readEvents, type StreamState } from '../api/event-stream.ts';
import { ApiError } from '../api/http.ts';
import { type DeclaredPlugin, Happened, Happenings, Plugins, Status } from '../api/shapes.ts';
import { SAMPLE_MS, type Sample, sampleOf, withSample } from './figures.ts';
import type { Session } from './session.ts';
import { Store } from './store.ts';
import { isVisible } from './visible.ts';

/** Events that are kept for the page. */
const EVENTS = 1000;

/** Events that are asked for at once. */
const PAGE = 1000;
/** The action behind the events; not every router has it, and not every caller may call it. */
const EVENTS_ACTION = 'GETEVENTS';

export interface EventsState {
  readonly state: StreamState | 'absent' | 'refused';
  readonly error?: unknown;
}

/** What goes on in the router while the page is open: figures over time, events, and what its plugins declare. */
export class Live {
  readonly status = new Store<Status | undefined>(undefined);
  /** Why the router did not answer last; undefined while it does. */
  readonly fault = new Store<unknown>(undefined);
  readonly samples = new Store<readonly Sample[]>([]);
  readonly declared = new Store<readonly DeclaredPlugin[]>([]);
  /** The newest first. */
  readonly events = new Store<readonly Happened[]>([]);
  readonly eventsState = new Store<EventsState>({ state: 'connecting' });
  /** How far the router's clock is ahead of the browser's, in milliseconds. */
  readonly #aheadMs = new Store(0);
  #lastEvent = '';
  #declaredFor = '';

  constructor(private readonly session: Session) {}

  /** The router's time. */
  now(): number {
    return Date.now() + this.#aheadMs.value;
  }

  /** Follows while the tab is shown, until the result is called. */
  start(): () => void {
    let shown: AbortController | undefined;
    const follow = () => {
      shown?.abort();
      if (!isVisible.value) return;
      shown = new AbortController();
      void this.#sample(shown.signal);
    };
    follow();
    const unsubscribe = isVisible.subscribe(follow);
    return () => {
      unsubscribe();
      shown?.abort();
    };
  }

  async #sample(signal: AbortSignal): Promise<void> {
    const { api } = this.session;
    let isFollowing = false;
    while (!signal.aborted) {
      try {
        const startedAt = Date.now();
        const status = await api.ask('status', Status, { signal });
        if (signal.aborted) return;
        const at = Date.now();
        if (status.time !== undefined) this.#aheadMs.set(status.time - (startedAt + at) / 2);
        this.status.set(status);
        this.samples.set(withSample(this.samples.value, sampleOf(status, at)));
        await this.#declare(status, signal);
        if (!isFollowing) void this.#follow(signal);
        isFollowing = true;
        this.fault.set(undefined);
      } catch (error) {
        if (signal.aborted) return;
        this.fault.set(error);
      }
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
    }
  }

  /** What plugins declare is asked for when others run than before. */
  async #declare({ plugins }: Status, signal: AbortSignal): Promise<void> {
    const names = plugins.map(({ type, version, actions }) => `${type} ${version} ${actions.map(({ name }) => name)}`);
    const running = names.join('\n');
    if (running === this.#declaredFor) return;
    const { plugins: declared } = await this.session.api.ask('plugins', Plugins, { signal });
    this.#declaredFor = running;
    this.declared.set(declared);
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { api, who } = this.session;
    const action = this.declared.value.flatMap(({ actions }) => actions).find(({ name }) => name === EVENTS_ACTION);
    if (!action) return this.eventsState.set({ state: 'absent' });
    if (!who.roles.includes('admin') && !action.access.includes('client')) {
      return this.eventsState.set({ state: 'refused' });
    }
    try {
      if (this.#lastEvent === '') await this.#readPast(signal);
      await readEvents({
        signal,
        lastId: this.#lastEvent,
        open: (lastId, until) =>
          fetch('api/events', {
            headers: { ...api.headers, ...(lastId !== '' && { 'last-event-id': lastId }) },
            signal: until,
            cache: 'no-store',
          }),
        refusalOf: (response) => api.refusalOf(response),
        onState: (state) => this.eventsState.set({ state }),
        onEvent: ({ id, data }) => {
          this.#lastEvent = id;
          const event = Happened.safeParse(JSON.parse(data));
          if (event.success) this.#add([event.data]);
        },
      });
    } catch (error) {
      if (signal.aborted) return;
      this.eventsState.set({ state: 'refused', error });
    }
  }

  /** What happened before, as far as the router keeps it. */
  async #readPast(signal: AbortSignal): Promise<void> {
    let after = 0;
    for (let isMore = true; isMore; ) {
      const body = { after, limit: PAGE };
      const ask = { method: 'POST', body, signal } as const;
      const { events, last } = await this.session.api.ask(`actions/${EVENTS_ACTION}`, Happenings, ask);
      this.#add(events);
      isMore = events.length === PAGE && last > after;
      after = last;
    }
    this.#lastEvent = String(after);
  }

  #add(events: readonly Happened[]): void {
    this.events.set([...events.toReversed(), ...this.events.value].slice(0, EVENTS));
  }
}

/** Whether the caller may not. */
export function isForbidden(error: unknown): boolean {
  return error instanceof ApiError && error.status === 403;
}
