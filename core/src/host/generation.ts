import { type CentreondError, failure, type JsonObject, type Manifest } from '@centreond/plugin-sdk';
import type { OpenRequest } from '../router/request.ts';
import type { Question } from './question.ts';
import { Slot, type SlotOptions } from './slot.ts';
import { Waiting } from './waiting.ts';

/** A request whose instances died this often is not tried again. */
const DEATHS_LIMIT = 3;
const REST_MS = 2000;
const SWEEP_MS = 1000;
/** Instances of a keyed plugin, dead ones that may come back included. */
const KEYS_LIMIT = 10_000;
/** Questions that wait for an instance. */
const QUESTIONS_LIMIT = 1000;

export interface GenerationOptions extends Omit<SlotOptions, 'id' | 'room' | 'lost' | 'quarantined' | 'startFailed'> {
  fail(open: OpenRequest, error: CentreondError): void;
  /** The keys of a plugin's eager instances, over restarts of the daemon. */
  readonly keys: { of(type: string): Promise<string[]>; add(type: string, key: string): void };
}

interface Group {
  readonly slots: Slot[];
  readonly waiting: Waiting<OpenRequest>;
  readonly questions: Waiting<Question>;
}

/** One version of a plugin at work: its instances (one, a pool, or one for each key) and what waits for them. */
export class Generation {
  readonly #groups = new Map<string, Group>();
  readonly #keyField: string | undefined;
  #sweep: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(readonly options: GenerationOptions) {
    const { instances } = options.manifest;
    this.#keyField = 'key' in instances ? instances.key : undefined;
    if ('pool' in instances) {
      const ids = Array.from({ length: instances.pool }, (_, i) => String(i + 1));
      this.#groups.set('', this.#group(ids));
    } else if (instances.start === 'on-demand') {
      this.#sweep = setInterval(() => this.#restIdle((instances.idleSeconds ?? 600) * 1000), SWEEP_MS);
      this.#sweep.unref();
    }
  }

  get manifest(): Manifest {
    return this.options.manifest;
  }
  get #eager(): boolean {
    const { instances } = this.manifest;
    return 'key' in instances && instances.start === 'eager';
  }
  get slots(): Slot[] {
    return [...this.#groups.values()].flatMap(({ slots }) => slots);
  }
  get waitingCount(): number {
    let count = 0;
    for (const { waiting, questions } of this.#groups.values()) count += waiting.size + questions.size;
    return count;
  }
  get inFlight(): number {
    return this.slots.reduce((sum, slot) => sum + slot.inFlight, 0);
  }

  #group(ids: readonly string[]): Group {
    const waiting = new Waiting<OpenRequest>();
    const slots = ids.map(
      (id) =>
        new Slot({
          ...this.options,
          id,
          room: (slot, action) => this.#dispatch(group, slot, action),
          lost: (open, error) => this.#lost(group, open, error),
          quarantined: (_, reason) => this.#quarantined(group, reason),
          startFailed: (_, cause) => this.#startFailed?.(cause),
        }),
    );
    const group: Group = { slots, waiting, questions: new Waiting<Question>() };
    return group;
  }

  #startFailed: ((cause: string) => void) | undefined;

  /**
   * Starts what is to run from the beginning. Resolves when each first start is over: undefined where all are ready, else the
   * cause of the first that failed. Eager instances are those that were ever asked for; `keys` are started in any case.
   */
  async start(keys: readonly string[] = []): Promise<string | undefined> {
    let cause: string | undefined;
    this.#startFailed = (failed) => {
      cause ??= failed;
    };
    const known = this.#eager ? await this.options.keys.of(this.manifest.type) : [];
    for (const key of new Set([...keys, ...known])) this.#groupOf(key);
    await Promise.all(this.slots.map((slot) => slot.start()));
    this.#startFailed = undefined;
    return cause;
  }

  /** Why it would not take a request now, or undefined. */
  refusal(data: JsonObject): CentreondError | undefined {
    const { type } = this.manifest;
    const key = this.#keyOf(data);
    const group = this.#groups.get(key);
    if (!group) {
      if (this.#groups.size < KEYS_LIMIT) return undefined;
      return failure('BUSY', { what: `the list of instances of ${type}`, limit: KEYS_LIMIT });
    }
    if (group.slots.some((slot) => slot.serves)) return undefined;
    const slot = group.slots[0];
    const name = this.#keyField === undefined ? type : `${type}/${key}`;
    return failure('NOT_READY', { type: name, state: slot?.state ?? 'gone', reason: slot?.reason ?? '' });
  }

  #keyOf(data: JsonObject): string {
    return this.#keyField === undefined ? '' : String(data[this.#keyField] ?? '');
  }

  #groupOf(key: string): Group {
    let group = this.#groups.get(key);
    if (!group) {
      group = this.#group([key]);
      this.#groups.set(key, group);
      if (this.#eager) this.options.keys.add(this.manifest.type, key);
    }
    return group;
  }

  /** Runs an accepted request, or lets it wait; an instance on demand starts for it. */
  submit(open: OpenRequest): void {
    const key = this.#keyField === undefined ? '' : this.#keyOf(JSON.parse(open.data) as JsonObject);
    const group = this.#groupOf(key);
    if (!group.slots.some((slot) => slot.serves)) {
      this.#crashed(open, group.slots[0]?.reason ?? 'it is stopped');
      return;
    }
    const action = open.action.manifest.name;
    const slot = group.waiting.has(action) ? undefined : freest(group.slots, action);
    if (slot) slot.run(open);
    else {
      group.waiting.add(open);
      this.#wake(group);
    }
  }

  /**
   * Hands an instance what it is to answer in the ACK, or lets it wait for one. A refusal goes to whoever asked: NOT_READY, BUSY
   * beyond the limit, PLUGIN_CRASHED or PLUGIN_KILLED where the instance dies with it.
   */
  ask(question: Question, data: JsonObject): void {
    const waits = this.#groups.get(this.#keyOf(data))?.questions.size ?? 0;
    const what = `the queue of the plugin ${this.manifest.type}`;
    const refusal = waits < QUESTIONS_LIMIT ? this.refusal(data) : failure('BUSY', { what, limit: QUESTIONS_LIMIT });
    if (refusal) {
      question.refuse(refusal);
      return;
    }
    const group = this.#groupOf(this.#keyOf(data));
    const { name } = question.options.action;
    const slot = group.questions.has(name) ? undefined : freest(group.slots, name);
    if (slot) slot.ask(question);
    else {
      group.questions.add(question);
      question.onLate = () => group.questions.remove(question);
      this.#wake(group);
    }
  }

  #wake(group: Group): void {
    if (this.#stopped) return;
    for (const slot of group.slots) if (slot.state === 'idle') void slot.start();
  }

  #dispatch(group: Group, slot: Slot, action: string | undefined): void {
    for (const name of action === undefined ? [...group.waiting.actions] : [action]) {
      group.waiting.drain(name, (open) => {
        const room = slot.hasRoom(name);
        if (room) slot.run(open);
        return room;
      });
    }
    for (const name of action === undefined ? [...group.questions.actions] : [action]) {
      group.questions.drain(name, (question) => {
        const room = slot.hasRoom(name);
        if (room) slot.ask(question);
        return room;
      });
    }
  }

  #lost(group: Group, open: OpenRequest, error: CentreondError): void {
    if (open.state === 'ended') return;
    open.deaths++;
    const { idempotent, inFlight } = open.action.manifest;
    const again = idempotent && inFlight === 'requeue' && !open.aborted && !this.#stopped && open.deaths < DEATHS_LIMIT;
    if (!again) {
      this.options.fail(open, error);
      return;
    }
    open.state = 'waiting';
    open.deadline = open.wantedUntil;
    group.waiting.add(open);
    queueMicrotask(() => this.#wake(group));
  }

  #quarantined(group: Group, reason: string): void {
    if (group.slots.some((slot) => slot.serves)) return;
    for (const open of group.waiting.takeAll()) this.#crashed(open, reason);
    const { type } = this.manifest;
    for (const question of group.questions.takeAll()) {
      question.refuse(failure('NOT_READY', { type, state: group.slots[0]?.state ?? 'gone', reason }));
    }
  }

  #crashed(open: OpenRequest, cause: string): void {
    this.options.fail(open, failure('PLUGIN_CRASHED', { type: this.manifest.type, token: open.token, cause }));
  }

  withdraw(open: OpenRequest): void {
    for (const { waiting } of this.#groups.values()) if (waiting.remove(open)) return;
  }

  /** Tells the instance that runs the request to stop. False where none here does. */
  abort(open: OpenRequest, reason: CentreondError): boolean {
    const slot = this.slots.find((one) => one.runs(open));
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
          if (eager || group.waiting.size + group.questions.size > 0) void slot.start();
        }),
    );
    await Promise.all(killing);
  }

  #restIdle(idleMs: number): void {
    const now = this.options.clock.now();
    for (const [key, group] of this.#groups) {
      const { slots, waiting, questions } = group;
      const [slot] = slots;
      if (!slot || waiting.size + questions.size > 0 || slot.inFlight > 0 || now - slot.lastUsed < idleMs) continue;
      if (slot.state === 'ready') {
        void slot.rest(REST_MS).then(() => {
          if (waiting.size + questions.size > 0) this.#wake(group);
        });
      } else if (slot.state === 'idle' && slot.exits.length === 0) this.#groups.delete(key);
    }
  }

  /** Takes what waits, to hand it to a successor. */
  takeWaiting(): OpenRequest[] {
    return [...this.#groups.values()].flatMap(({ waiting }) => waiting.takeAll());
  }

  /** Takes the questions that wait, to hand them to a successor. */
  takeQuestions(): Question[] {
    return [...this.#groups.values()].flatMap(({ questions }) => questions.takeAll());
  }

  /** Ends all its processes within `limitMs`, for good. */
  async stop(limitMs: number): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#sweep);
    for (const question of this.takeQuestions()) question.refuse(failure('INTERRUPTED', { token: question.name }));
    await Promise.all(this.slots.map((slot) => slot.stop(limitMs)));
  }

  /** Ends all its processes at once. */
  killNow(): void {
    this.#stopped = true;
    clearInterval(this.#sweep);
    for (const slot of this.slots) slot.killNow();
  }
}

function freest(slots: readonly Slot[], action: string): Slot | undefined {
  let best: Slot | undefined;
  for (const slot of slots) {
    if (slot.hasRoom(action) && (!best || slot.inFlight < best.inFlight)) best = slot;
  }
  return best;
}
