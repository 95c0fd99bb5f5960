import { keyAt, type Manifest } from '@centreond/plugin-sdk/internal';
import {
  type CentreondError,
  FAILED,
  failure,
  formatMessage,
  isTerminal,
  type Json,
  type JsonObject,
  reasonOf,
} from '@centreond/protocol';
import type { Runner, TestRequest, TestRequests } from './test-requests.ts';
import { Turns } from './turns.ts';

/** A request whose instances died this often is not run again. */
const DEATHS_LIMIT = 3;
/** One in so many of what runs at once is kept for urgent requests. */
const URGENT_SHARE = 16;

/** How the instances of a plugin are started and ended. */
export interface InstanceHost {
  /** Starts the instance `id`, which is told from one before it by its address. Resolves when it is ready; rejects with why it is not. */
  start(address: string, id: string): Promise<void>;
  /** Hands a message to an instance. */
  send(address: string, message: string): void;
  /** Has an instance release what it holds, within its grace, and ends it. Resolves when it is gone. */
  kill(address: string, reason: CentreondError, progress: (step: string) => void): Promise<void>;
}

interface Slot {
  /** Its id, but for one that a reload started. */
  readonly address: string;
  readonly id: string;
  readonly group: Group;
  /** `leaving`: a reload has replaced it, and it goes on with what it runs. */
  state: 'idle' | 'starting' | 'ready' | 'dying' | 'leaving';
  /** What it runs, by the name under which it speaks of it: the token, or `?` and a number for what is answered in the ACK. */
  readonly running: Map<string, TestRequest>;
}

/** The instances of one key, or of the whole pool, and what waits for them. */
interface Group {
  readonly slots: Slot[];
  readonly waiting: Map<string, Turns>;
}

/** The instances of the plugin under test, and what runs in each: one, a pool, or one for each key. */
export class Crew implements Runner {
  readonly #slots = new Map<string, Slot>();
  readonly #groups = new Map<string, Group>();
  /** The fields from the input to the key; undefined for a plugin that has none. */
  readonly #keyPath: readonly string[] | undefined;
  #numbers = 0;
  #reloads = 0;
  /** Why nothing is run any more. */
  gone: CentreondError | undefined;

  /** `only` is the instance that takes every request, whatever the manifest says of instances. */
  constructor(
    private readonly manifest: Manifest,
    private readonly requests: TestRequests,
    private readonly host: InstanceHost,
    private readonly isReady: (address: string) => void,
    private readonly vacant: (address: string) => void,
    only?: string,
  ) {
    const { instances } = manifest;
    this.#keyPath = 'key' in instances && only === undefined ? instances.key.split('.') : undefined;
    const pool = 'pool' in instances ? instances.pool : 1;
    if (only !== undefined) this.#group('', [only]);
    else if (this.#keyPath === undefined)
      this.#group(
        '',
        Array.from({ length: pool }, (_, i) => String(i + 1)),
      );
  }

  /** The ids of the instances that there are. */
  get ids(): readonly string[] {
    return [...this.#slots.values()].filter(({ state }) => state !== 'leaving').map(({ id }) => id);
  }
  /** The addresses of those that are ready. */
  get ready(): readonly string[] {
    return [...this.#slots.values()].filter(({ state }) => state === 'ready').map(({ address }) => address);
  }

  /** Whether the instances run nothing that is open. */
  get isIdle(): boolean {
    return [...this.#slots.values()].every(({ running }) =>
      [...running.values()].every(({ state }) => state === 'ended'),
    );
  }

  #group(key: string, ids: readonly string[]): Group {
    const group: Group = { slots: [], waiting: new Map() };
    for (const id of ids) {
      this.#add({ address: id, id, group, state: 'idle', running: new Map() });
    }
    this.#groups.set(key, group);
    return group;
  }

  #add(slot: Slot): Slot {
    slot.group.slots.push(slot);
    this.#slots.set(slot.address, slot);
    return slot;
  }

  #remove({ address, group }: Slot): void {
    this.#slots.delete(address);
    const at = group.slots.findIndex((slot) => slot.address === address);
    if (at >= 0) group.slots.splice(at, 1);
  }

  /** Starts what runs from the beginning, and the instances `keys`. Rejects with why one does not start. */
  async start(keys: readonly string[] = []): Promise<void> {
    for (const key of keys) if (this.#keyPath !== undefined && !this.#groups.has(key)) this.#group(key, [key]);
    for (const slot of this.#slots.values()) await this.#start(slot);
  }

  async #start(slot: Slot): Promise<void> {
    slot.state = 'starting';
    try {
      await this.host.start(slot.address, slot.id);
    } catch (error) {
      slot.state = 'idle';
      throw error;
    }
    slot.state = 'ready';
    this.isReady(slot.address);
    this.#drain(slot);
  }

  submit(request: TestRequest): void {
    if (this.gone) {
      this.requests.fail(request, request.answered ? this.gone : this.#crashed(request, this.gone.message));
      return;
    }
    const key = this.#keyOf(request);
    const group = this.#groups.get(key) ?? this.#group(key, [key]);
    const turns = group.waiting.get(request.action.name);
    const slot = turns?.hasBefore(request) ? undefined : this.#freest(group, request);
    if (slot) {
      this.#run(slot, request);
      return;
    }
    const queue = turns ?? new Turns();
    group.waiting.set(request.action.name, queue);
    queue.add(request);
    for (const idle of group.slots) if (idle.state === 'idle') this.#wake(idle);
  }

  #wake(slot: Slot): void {
    this.#start(slot).catch((error: unknown) => {
      const waiting = [...slot.group.waiting.values()].flatMap((queue) => queue.takeAll());
      for (const request of waiting) this.requests.fail(request, this.#crashed(request, reasonOf(error)));
    });
  }

  #crashed({ token, startedAt }: TestRequest, cause: string): CentreondError {
    return failure('PLUGIN_CRASHED', { type: this.manifest.type, token, cause, ran: startedAt > 0 });
  }

  /** Why a request with this DATA has no instance to go to, if that is so. */
  refusal(action: string, data: JsonObject): CentreondError | undefined {
    const found = this.#keyPath && keyAt(data, this.#keyPath);
    return found && 'fault' in found ? failure('INVALID_DATA', { action, reason: found.fault }) : undefined;
  }

  #keyOf({ data }: TestRequest): string {
    const found = this.#keyPath && keyAt(data, this.#keyPath);
    return found && 'key' in found ? found.key : '';
  }

  #hasRoom(slot: Slot, name: string, urgent: boolean): boolean {
    const { concurrency: all = 0 } = this.manifest.actions.find((action) => action.name === name) ?? {};
    const running = [...slot.running.values()].filter(({ action }) => action.name === name).length;
    return slot.state === 'ready' && running < (urgent ? all : all - Math.floor(all / URGENT_SHARE));
  }

  #freest({ slots }: Group, { action, urgent }: TestRequest): Slot | undefined {
    return slots
      .filter((slot) => this.#hasRoom(slot, action.name, urgent))
      .reduce<Slot | undefined>(
        (best, slot) => (best && best.running.size <= slot.running.size ? best : slot),
        undefined,
      );
  }

  #run(slot: Slot, request: TestRequest): void {
    const { action, token, owner, target, data } = request;
    const number = request.answered ? String(++this.#numbers) : '';
    slot.running.set(request.answered ? `?${number}` : token, request);
    this.requests.started(request);
    const worksOn = action.runs === 'here' || request.answered ? target : '';
    const $ = { from: owner, deadline: request.deadline, ...(worksOn !== '' && { target: worksOn }) };
    this.host.send(slot.address, formatMessage(action.name, token, number, { $, ...data }));
  }

  #drain(slot: Slot, action?: string): void {
    for (const [name, queue] of slot.group.waiting) {
      if (action !== undefined && action !== name) continue;
      for (;;) {
        const request = queue.next((urgent) => this.#hasRoom(slot, name, urgent));
        if (!request) break;
        this.#run(slot, request);
      }
    }
  }

  abort(request: TestRequest, reason: CentreondError): void {
    for (const slot of this.#slots.values()) {
      for (const [name, one] of slot.running) {
        if (one !== request) continue;
        const number = name.startsWith('?') ? name.slice(1) : '';
        this.host.send(slot.address, formatMessage('ABORT', request.token, number, reason.toData()));
      }
    }
  }

  withdraw(request: TestRequest): void {
    this.#groups.get(this.#keyOf(request))?.waiting.get(request.action.name)?.remove(request);
  }

  /** An instance wrote a row, or the end, of `token`. */
  row(address: string, token: string, code: number, data: Json): void {
    this.#said(address, token, token, code, data);
  }

  /** An instance answered the request with this number. */
  answered(address: string, number: string, code: number, data: JsonObject): void {
    this.#said(address, `?${number}`, '', code === 0 ? 2 : FAILED, data);
  }

  #said(address: string, name: string, token: string, code: number, data: Json): void {
    const slot = this.#slots.get(address);
    const request = slot?.running.get(name);
    if (!slot || !request) {
      this.requests.dropped(token, '', code);
      return;
    }
    if (!isTerminal(code)) {
      this.requests.row(request, code, data);
      return;
    }
    slot.running.delete(name);
    // An instance that is being killed ends what it runs; what may run again is not over then.
    if (code === FAILED && slot.state === 'dying' && !request.aborted) this.#lost(request, this.#killed(request));
    else this.requests.row(request, code, data);
    this.#drain(slot, request.action.name);
  }

  #killed({ name }: TestRequest): CentreondError {
    return failure('PLUGIN_KILLED', { type: this.manifest.type, token: name });
  }

  /** What ran `request` is gone: it runs again where it may, else it ends with `error`. */
  #lost(request: TestRequest, error: CentreondError): void {
    if (request.state === 'ended') return;
    request.deaths++;
    const { idempotent, inFlight } = request.action;
    const again =
      idempotent && inFlight === 'requeue' && !request.aborted && !this.gone && request.deaths < DEATHS_LIMIT;
    if (!again) {
      this.requests.fail(request, request.aborted ?? error);
      return;
    }
    this.requests.requeued(request);
    queueMicrotask(() => this.requests.submit(request));
  }

  /** Ends instance `id`, or with `''` all, as KILL does; they start again. Resolves when they are gone. */
  async kill(id: string, progress: (step: string) => void): Promise<void> {
    const reason = failure('PLUGIN_KILLED', { type: this.manifest.type, token: 'these requests' });
    const killed = [...this.#slots.values()].filter((slot) => id === '' || slot.id === id);
    await Promise.all(
      killed.map(async (slot) => {
        if (slot.state !== 'ready') return;
        slot.state = 'dying';
        await this.host.kill(slot.address, reason, progress);
        slot.state = 'idle';
        this.vacant(slot.address);
        for (const request of [...slot.running.values()].reverse()) this.#lost(request, this.#killed(request));
        slot.running.clear();
        const waits = [...slot.group.waiting.values()].some((queue) =>
          queue.hasBefore({ urgent: false } as TestRequest),
        );
        if (this.#keyPath === undefined || waits) this.#wake(slot);
      }),
    );
  }

  /**
   * Starts a successor of each instance that is ready; from then on the ones before it take nothing more. Resolves with the addresses
   * of those. Rejects with why a successor does not start; then all is as it was.
   */
  async reload(): Promise<readonly string[]> {
    const before = [...this.#slots.values()].filter(({ state }) => state === 'ready');
    const number = ++this.#reloads;
    const started: Slot[] = [];
    try {
      for (const { id, group } of before) {
        const address = `${id} of reload ${number}`;
        started.push(this.#add({ address, id, group, state: 'idle', running: new Map() }));
        await this.#start(started.at(-1) as Slot);
      }
    } catch (error) {
      for (const slot of started) this.#remove(slot);
      throw error;
    }
    for (const slot of before) {
      slot.state = 'leaving';
      slot.group.slots.splice(slot.group.slots.indexOf(slot), 1);
    }
    return before.map(({ address }) => address);
  }

  /** An instance that a reload has replaced is gone: what it still ran is lost with it. */
  left(address: string): void {
    const slot = this.#slots.get(address);
    if (!slot) return;
    this.#remove(slot);
    this.vacant(address);
    for (const request of [...slot.running.values()].reverse()) this.#lost(request, this.#killed(request));
  }

  /** Nothing is run any more, for `why`: what is open ends with what `reasonFor` says. */
  end(why: CentreondError, reasonFor: (token: string) => CentreondError): void {
    this.gone ??= why;
    for (const request of this.requests.all) {
      if (request.runner === this) this.requests.fail(request, request.aborted ?? reasonFor(request.name));
    }
    for (const slot of this.#slots.values()) {
      slot.running.clear();
      this.vacant(slot.address);
      if (slot.state === 'leaving') this.#slots.delete(slot.address);
      slot.state = 'idle';
    }
  }

  /** After {@link end}: starts every instance that there was. Rejects with why one does not start. */
  async restart(): Promise<void> {
    this.gone = undefined;
    await this.start();
  }
}
