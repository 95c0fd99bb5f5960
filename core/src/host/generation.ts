import { type KeyOrFault, keyAt, type Manifest } from '@centreond/plugin-sdk/internal';
import { type CentreondError, failure, type JsonObject } from '@centreond/protocol';
import type { OpenRequest } from '../router/request.ts';
import { Slot, type SlotOptions } from './slot.ts';
import { Waiting } from './waiting.ts';

/** A request whose instances died this often is not run again. */
const DEATHS_LIMIT = 3;
const REST_MS = 2000;
const SWEEP_MS = 1000;
/** How long an on-demand instance is kept in which no request has ever finished. */
const REFUSING_IDLE_MS = 10_000;
/** Keys whose instances are set aside, at most; the oldest is forgotten, and may be tried again. */
const SET_ASIDE_LIMIT = 1000;

export interface GenerationOptions
  extends Omit<SlotOptions, 'id' | 'tried' | 'room' | 'lost' | 'vacant' | 'quarantined' | 'startFailed'> {
  /** Runs a request again whose instance died: on the running version, which may be a later one. */
  requeue(open: OpenRequest): void;
  /** None of its processes starts again by itself, and it serves nothing. Only of a plugin without keys. */
  setAside(): void;
  /** The keys of a plugin's eager instances, over restarts of the daemon. */
  readonly keys: { of(type: string): Promise<string[]>; add(type: string, key: string): void };
  /** Processes of a keyed plugin that may run at once. */
  readonly maxInstances: number;
}

/** The instances of one key, or of the whole pool, and what waits for them. */
interface Group {
  readonly key: string;
  readonly slots: Slot[];
  readonly waiting: Waiting<OpenRequest>;
}

/** One version of a plugin at work: its instances (one, a pool, or one for each key) and what waits for them. */
export class Generation {
  readonly #groups = new Map<string, Group>();
  /** Of a keyed plugin: the way to the key in an input. */
  readonly #keyPath: readonly string[] | undefined;
  /** Groups of a keyed plugin whose process may start once another has ended. */
  readonly #startLine = new Set<Group>();
  #sweep: NodeJS.Timeout | undefined;
  #stopped = false;
  #startFailed: ((cause: string) => void) | undefined;
  #tried: boolean;

  /** `tried` for one that is to replace another, until {@link inService}. */
  constructor(
    readonly options: GenerationOptions,
    tried = false,
  ) {
    this.#tried = tried;
    const { instances } = options.manifest;
    this.#keyPath = 'key' in instances ? instances.key.split('.') : undefined;
    if ('pool' in instances) {
      const ids = Array.from({ length: instances.pool }, (_, i) => String(i + 1));
      this.#groups.set('', this.#group('', ids));
    } else if (instances.start === 'on-demand') {
      this.#sweep = setInterval(() => this.#restIdle((instances.idleSeconds ?? 600) * 1000), SWEEP_MS);
      this.#sweep.unref();
    }
  }

  get manifest(): Manifest {
    return this.options.manifest;
  }
  get #onDemand(): boolean {
    const { instances } = this.manifest;
    return 'key' in instances && instances.start === 'on-demand';
  }
  get #eager(): boolean {
    const { instances } = this.manifest;
    return 'key' in instances && instances.start === 'eager';
  }
  get slots(): Slot[] {
    return [...this.#groups.values()].flatMap(({ slots }) => slots);
  }
  /** Whether it takes requests, now or once its processes have started. */
  get serves(): boolean {
    const { slots } = this;
    return slots.length === 0 || slots.some((slot) => slot.serves);
  }
  get waitingCount(): number {
    let count = 0;
    for (const { waiting } of this.#groups.values()) count += waiting.size;
    return count;
  }
  get inFlight(): number {
    return this.slots.reduce((sum, slot) => sum + slot.inFlight, 0);
  }

  #group(key: string, ids: readonly string[]): Group {
    const waiting = new Waiting<OpenRequest>();
    const slots = ids.map(
      (id) =>
        new Slot({
          ...this.options,
          id,
          tried: () => this.#tried,
          room: (slot, action) => this.#dispatch(group, slot, action),
          lost: (open, error) => this.#lost(open, error),
          vacant: () => this.#vacant(group),
          quarantined: (_, reason) => this.#quarantined(group, reason),
          startFailed: (_, cause) => this.#startFailed?.(cause),
        }),
    );
    const group: Group = { key, slots, waiting };
    return group;
  }

  /**
   * Starts what runs from the beginning. Resolves when each first start is over: undefined if all are ready, else the cause of
   * the first that failed. Eager instances are those that were ever asked for; `keys` are started in any case.
   */
  async start(keys: readonly string[] = []): Promise<string | undefined> {
    let cause: string | undefined;
    this.#startFailed = (failed) => {
      cause ??= failed;
    };
    const known = this.#eager ? await this.options.keys.of(this.manifest.type) : [];
    for (const key of new Set([...keys, ...known])) this.#groupOf(key);
    const first = this.#keyPath === undefined ? this.slots : this.slots.slice(0, this.options.maxInstances);
    await Promise.all(first.map((slot) => slot.start()));
    this.#startFailed = undefined;
    return cause;
  }

  /** It is in service from now on: what ends is started again. */
  inService(): void {
    this.#tried = false;
  }

  /** Why it would not take a request now, or undefined. */
  refusal(action: string, data: JsonObject): CentreondError | undefined {
    const { type } = this.manifest;
    const found = this.#keyOf(data);
    if ('fault' in found) return failure('INVALID_DATA', { action, reason: found.fault });
    const { key } = found;
    const group = this.#groups.get(key);
    if (!group || group.slots.some((slot) => slot.serves)) return undefined;
    const slot = group.slots[0];
    const name = this.#keyPath === undefined ? type : `${type}/${key}`;
    return failure('NOT_READY', { type: name, state: slot?.state ?? 'gone', reason: slot?.reason ?? '' });
  }

  #keyOf(data: JsonObject): KeyOrFault {
    return this.#keyPath === undefined ? { key: '' } : keyAt(data, this.#keyPath);
  }

  #keyOfRequest(open: OpenRequest): KeyOrFault {
    return this.#keyPath === undefined ? { key: '' } : this.#keyOf(open.parsedData());
  }

  /** The group of a request, if there is one yet. */
  #groupWith(open: OpenRequest): Group | undefined {
    const found = this.#keyOfRequest(open);
    return 'key' in found ? this.#groups.get(found.key) : undefined;
  }

  #groupOf(key: string): Group {
    let group = this.#groups.get(key);
    if (!group) {
      group = this.#group(key, [key]);
      this.#groups.set(key, group);
      if (this.#eager) this.options.keys.add(this.manifest.type, key);
    }
    return group;
  }

  /** Runs an accepted request, or queues it; an instance on demand starts for it. */
  submit(open: OpenRequest): void {
    const found = this.#keyOfRequest(open);
    if ('fault' in found) {
      // It was accepted for a version with another key.
      const { name: action } = open.action.manifest;
      this.options.requests.fail(open, failure('INVALID_DATA', { action, reason: found.fault }));
      return;
    }
    const group = this.#groupOf(found.key);
    if (this.#stopped || !group.slots.some((slot) => slot.serves)) {
      this.#crashed(open, this.#stopped ? 'it is stopped' : (group.slots[0]?.reason ?? 'it is stopped'));
      return;
    }
    const slot = group.waiting.hasBefore(open) ? undefined : freest(group.slots, open);
    if (slot) slot.run(open);
    else {
      group.waiting.add(open);
      this.#wake(group);
    }
  }

  /** Starts the processes of a group for which something waits; a keyed one once there is room for a further process. */
  #wake(group: Group): void {
    if (this.#stopped) return;
    const idle = group.slots.filter(({ state }) => state === 'idle');
    if (idle.length === 0) return;
    if (this.#keyPath !== undefined && this.#liveCount() >= this.options.maxInstances) {
      this.#startLine.add(group);
      this.#makeRoom();
    } else for (const slot of idle) void slot.start();
  }

  #liveCount(): number {
    let live = 0;
    for (const { slots } of this.#groups.values()) for (const slot of slots) if (slot.live) live++;
    return live;
  }

  /** Ends the process that has had nothing to do for the longest, unless one is ending already for each group in line. */
  #makeRoom(): void {
    const dying = this.slots.filter(({ state }) => state === 'dying').length;
    if (dying >= this.#startLine.size) return;
    let oldest: Slot | undefined;
    for (const { slots, waiting } of this.#groups.values()) {
      const [slot] = slots;
      if (slot?.state !== 'ready' || slot.inFlight > 0 || waiting.size > 0) continue;
      if (!oldest || slot.lastUsed < oldest.lastUsed) oldest = slot;
    }
    void oldest?.rest(REST_MS);
  }

  /** A process of `group` is gone for now. */
  #vacant(group: Group): void {
    if (this.#stopped) return;
    const [next] = this.#startLine;
    if (next && this.#liveCount() < this.options.maxInstances) {
      this.#startLine.delete(next);
      this.#wake(next);
    }
    if (group.waiting.size > 0) queueMicrotask(() => this.#wake(group));
    else if (this.#onDemand && group.slots.every(({ state }) => state === 'idle')) this.#forget(group);
  }

  /** A key of which nothing is left is forgotten; one whose process crashed lately is kept for `why`. */
  #forget(group: Group): void {
    if (group.slots.some(({ supervisor }) => supervisor.recentExits > 0)) return;
    if (this.#groups.get(group.key) === group) this.#groups.delete(group.key);
  }

  #dispatch(group: Group, slot: Slot, action: string | undefined): void {
    for (const name of action === undefined ? group.waiting.actions : [action]) {
      group.waiting.drain(
        name,
        (urgent) => slot.hasRoom(name, urgent),
        (open) => slot.run(open),
      );
    }
    // It has nothing to do now, and others wait for a process of their own.
    if (this.#startLine.size > 0 && slot.inFlight === 0) this.#makeRoom();
  }

  #lost(open: OpenRequest, error: CentreondError): void {
    if (open.state === 'ended') return;
    open.died();
    const { idempotent, inFlight } = open.action.manifest;
    const again =
      idempotent && inFlight === 'requeue' && !open.abortedFor && !this.#stopped && open.deaths < DEATHS_LIMIT;
    if (!again) {
      this.options.requests.fail(open, error);
      return;
    }
    open.requeued();
    // Once the slot has seen to its exit: the request may go to it again.
    queueMicrotask(() => {
      if (open.state === 'waiting') this.options.requeue(open);
    });
  }

  #quarantined(group: Group, reason: string): void {
    if (this.#keyPath !== undefined) this.#boundSetAside();
    if (group.slots.some((slot) => slot.serves)) return;
    if (this.#keyPath === undefined) this.options.setAside();
    for (const open of group.waiting.takeAll()) this.#crashed(open, reason);
  }

  #boundSetAside(): void {
    const aside = [...this.#groups.values()].filter(({ slots }) => slots.every(({ serves }) => !serves));
    for (const { key } of aside.slice(0, Math.max(0, aside.length - SET_ASIDE_LIMIT))) this.#groups.delete(key);
  }

  #crashed(open: OpenRequest, cause: string): void {
    const { type } = this.manifest;
    const error = open.answered
      ? failure('NOT_READY', { type, state: 'not running', reason: cause })
      : failure('PLUGIN_CRASHED', { type, token: open.token, cause, ran: open.everStarted });
    this.options.requests.fail(open, error);
  }

  /** Forgets a request that waits here. Returns whether it did. */
  withdraw(open: OpenRequest): boolean {
    return this.#groupWith(open)?.waiting.remove(open) ?? false;
  }

  /** Tells the instance that runs the request to stop. Returns false if none here does. */
  abort(open: OpenRequest, reason: CentreondError): boolean {
    const slot = this.#groupWith(open)?.slots.find((one) => one.runs(open));
    slot?.abort(open, reason);
    return slot !== undefined;
  }

  /** Ends instance `id`, or all; those that run from the beginning, or are waited for, start again. */
  async kill(id: string, progress: (step: string) => void): Promise<void> {
    const { instances } = this.manifest;
    const eager = 'pool' in instances || instances.start === 'eager';
    const killing = [...this.#groups.values()].flatMap((group) =>
      group.slots
        .filter((slot) => id === '' || slot.id === id)
        .map(async (slot) => {
          await slot.kill(progress);
          if (this.#stopped) return;
          if (eager || group.waiting.size > 0) this.#wake(group);
        }),
    );
    await Promise.all(killing);
  }

  #restIdle(idleMs: number): void {
    const now = this.options.clock.now();
    for (const group of this.#groups.values()) {
      const [slot] = group.slots;
      if (!slot || group.waiting.size > 0 || slot.inFlight > 0) continue;
      const limit = slot.useful ? idleMs : Math.min(idleMs, REFUSING_IDLE_MS);
      if (slot.state === 'ready' && now - slot.lastUsed >= limit) void slot.rest(REST_MS);
      else if (slot.state === 'idle') this.#forget(group);
    }
  }

  /** Takes what waits, to hand it to a successor, the oldest first in each group. */
  takeWaiting(): OpenRequest[] {
    this.#startLine.clear();
    return [...this.#groups.values()].flatMap(({ waiting }) => waiting.takeAll());
  }

  /** Ends all its processes within `limitMs`, for good. */
  async stop(limitMs: number): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#sweep);
    for (const open of this.takeWaiting()) {
      this.options.requests.fail(open, failure('INTERRUPTED', { token: open.name }));
    }
    await Promise.all(this.slots.map((slot) => slot.stop(limitMs)));
  }

  /** Ends all its processes at once. */
  killNow(): void {
    this.#stopped = true;
    clearInterval(this.#sweep);
    for (const slot of this.slots) slot.killNow();
  }
}

function freest(slots: readonly Slot[], { action, urgent }: OpenRequest): Slot | undefined {
  let best: Slot | undefined;
  for (const slot of slots) {
    if (slot.hasRoom(action.manifest.name, urgent) && (!best || slot.inFlight < best.inFlight)) best = slot;
  }
  return best;
}
