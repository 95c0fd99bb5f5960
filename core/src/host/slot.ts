import { type CentreondError, failure, formatMessage, isTerminal, type Manifest } from '@centreond/plugin-sdk';
import type { Log } from '../log.ts';
import type { Peer } from '../router/peer.ts';
import type { OpenRequest } from '../router/request.ts';
import { Durations } from '../router/telemetry.ts';
import { Instance, type InstanceOptions } from './instance.ts';
import type { Hearer } from './plugin-host.ts';
import type { Question } from './question.ts';
import { type RestartLimits, Supervisor } from './supervisor.ts';

/** How an instance ended: what `why` shows. */
export interface Exit {
  readonly at: number;
  readonly cause: string;
  /** Milliseconds it had run. */
  readonly uptimeMs: number;
  /** What it ran then, as `ACTION token`. */
  readonly running: readonly string[];
  /** The last lines that it wrote. */
  readonly tail: readonly string[];
}

/** idle (on demand, not running) → starting → ready → dying → idle or starting; quarantined and failed until somebody acts. */
export type SlotState = 'idle' | 'starting' | 'ready' | 'restarting' | 'dying' | 'quarantined' | 'failed' | 'stopped';

export interface SlotOptions {
  readonly id: string;
  readonly manifest: Manifest;
  readonly instance: Omit<InstanceOptions, 'id'>;
  readonly restart: RestartLimits;
  readonly clock: { now(): number };
  readonly log: Log;
  /** Waits for its turn to start a process; the result is called when the start is over. */
  startTurn(): Promise<() => void>;
  /** Resident memory of a process in bytes, or null. */
  memoryOf(pid: number): number | null;
  row(open: OpenRequest, code: number, data: string): Promise<void> | undefined;
  message(peer: Peer, message: Buffer): void;
  /** A process is ready, and later it is gone. */
  ready(hearer: Hearer): void;
  gone(hearer: Hearer): void;
  /** Its session is over. */
  left(peer: Peer): void;
  /** It can take requests of `action`, or of every action. */
  room(slot: Slot, action?: string): void;
  /** A request died with the process. */
  lost(open: OpenRequest, error: CentreondError): void;
  /** It will not come back by itself. */
  quarantined(slot: Slot, reason: string): void;
  /** A start ended before READY. */
  startFailed(slot: Slot, cause: string): void;
}

const EXITS_KEPT = 10;
const SIGTERM_MS = 3000;

/** One instance of a plugin over time: its process, what it runs, its restarts. */
export class Slot {
  state: SlotState = 'idle';
  reason: string | undefined;
  /** When it last had something to do, in milliseconds. */
  lastUsed: number;
  readonly exits: Exit[] = [];
  readonly supervisor: Supervisor;
  readonly #durations = new Durations();
  readonly #running = new Map<string, OpenRequest>();
  /** What it is to answer in the ACK, by number. */
  readonly #asked = new Map<string, Question>();
  #questions = 0;
  readonly #runningOf = new Map<string, number>();
  readonly #limits: ReadonlyMap<string, number>;
  #instance: Instance | undefined;
  #starts = 0;
  #timer: NodeJS.Timeout | undefined;
  #dying: Promise<void> | undefined;
  #gone: (() => void)[] = [];

  constructor(readonly options: SlotOptions) {
    this.supervisor = new Supervisor(options.restart, options.clock);
    this.#limits = new Map(options.manifest.actions.map(({ name, concurrency }) => [name, concurrency]));
    this.lastUsed = options.clock.now();
  }

  get id(): string {
    return this.options.id;
  }
  get inFlight(): number {
    return this.#running.size + this.#asked.size;
  }
  /** Whether it takes requests, now or once it has started. */
  get serves(): boolean {
    return this.state !== 'quarantined' && this.state !== 'failed' && this.state !== 'stopped';
  }
  get #label(): string {
    const { manifest, id } = this.options;
    return `${manifest.type}${'key' in manifest.instances || manifest.instances.pool > 1 ? `/${id}` : ''}`;
  }

  /** Starts the process unless there is one. Resolves when it is ready or this start has failed. */
  async start(state: 'starting' | 'restarting' = 'starting'): Promise<void> {
    if (this.#instance || this.state === 'starting' || this.#dying || !this.serves) return;
    clearTimeout(this.#timer);
    this.state = state === 'starting' ? 'starting' : 'restarting';
    const { clock, log } = this.options;
    const over = await this.options.startTurn();
    if (this.#instance || !this.serves) return over();
    this.state = 'starting';
    this.#starts++;
    await new Promise<void>((settled) => {
      const instance: Instance = new Instance(
        { ...this.options.instance, id: this.id },
        {
          ready: () => {
            this.supervisor.ready();
            this.state = 'ready';
            this.reason = undefined;
            this.lastUsed = clock.now();
            log.info({ plugin: this.#label, pid: instance.pid }, `plugin ${this.#label} is ready`);
            settled();
            this.options.ready(instance);
            this.options.room(this);
          },
          row: (token, code, data) => this.#row(token, code, data),
          answer: (number, code, data) => this.#answer(number, code, data),
          message: this.options.message,
          running: () => this.#describeRunning(),
          exited: (cause) => {
            this.#exited(instance, cause);
            settled();
          },
        },
      );
      this.#instance = instance;
    });
    over();
  }

  /** Whether it can run one more request of `action` now. */
  hasRoom(action: string): boolean {
    return this.state === 'ready' && (this.#runningOf.get(action) ?? 0) < (this.#limits.get(action) ?? 0);
  }

  /** Runs a request. Only when it has room. */
  run(open: OpenRequest): void {
    const { name, timeoutSeconds } = open.action.manifest;
    const now = this.options.clock.now();
    open.state = 'running';
    open.startedAt = now;
    open.deadline = Math.min(now + timeoutSeconds * 1000, open.wantedUntil);
    this.lastUsed = now;
    this.#running.set(open.token, open);
    this.#runningOf.set(name, (this.#runningOf.get(name) ?? 0) + 1);
    const target = open.workedOn === '' ? '' : `,"target":"${open.workedOn}"`;
    const delivery = `{"$":{"from":"${open.owner}","deadline":${open.deadline}${target}}${open.data === '{}' ? '' : ','}${open.data.slice(1)}`;
    this.#instance?.send(formatMessage(name, open.token, '', delivery));
  }

  /**
   * Has it answer a question. Only when it has room; one that is late is aborted and takes up its room until the instance
   * has answered.
   */
  ask(question: Question): void {
    const { action, data, token, from, target } = question.options;
    const number = String(++this.#questions);
    this.lastUsed = this.options.clock.now();
    this.#asked.set(number, question);
    this.#runningOf.set(action.name, (this.#runningOf.get(action.name) ?? 0) + 1);
    question.onLate = () => {
      const late = failure('TIMEOUT', { action: action.name, seconds: action.timeoutSeconds });
      if (this.#asked.get(number) === question)
        this.#instance?.send(formatMessage('ABORT', token, number, late.toData()));
    };
    const on = target === '' ? '' : `,"target":"${target}"`;
    const delivery = `{"$":{"from":"${from}","deadline":${question.deadline}${on}}${data === '{}' ? '' : ','}${data.slice(1)}`;
    this.#instance?.send(formatMessage(action.name, token, number, delivery));
  }

  #answer(number: string, code: number, data: string): void {
    const question = this.#asked.get(number);
    if (!question) return;
    const { name } = question.options.action;
    this.#settled(number, question);
    // An instance that is killed ends what it was asked, as if it were stopped.
    if (code === 1 && this.#dying) question.refuse(this.#killed(question.name));
    else question.take(code, data);
    this.options.room(this, name);
  }

  #settled(number: string, question: Question): void {
    const { name } = question.options.action;
    this.#asked.delete(number);
    this.#runningOf.set(name, (this.#runningOf.get(name) ?? 1) - 1);
    this.lastUsed = this.options.clock.now();
  }

  /** Whether it runs this request. */
  runs(open: OpenRequest): boolean {
    return this.#running.get(open.token) === open;
  }

  /** Its process, where it is ready. */
  get hearer(): Hearer | undefined {
    return this.state === 'ready' ? this.#instance : undefined;
  }

  abort(open: OpenRequest, reason: CentreondError): void {
    this.#instance?.send(formatMessage('ABORT', open.token, '', reason.toData()));
  }

  #row(token: string, code: number, data: string): Promise<void> | undefined {
    const open = this.#running.get(token);
    if (!open) return undefined;
    if (!isTerminal(code)) return this.options.row(open, code, data);
    const { clock } = this.options;
    this.#release(open);
    this.#durations.add(clock.now() - open.startedAt);
    this.lastUsed = clock.now();
    let stored: Promise<void> | undefined;
    // An instance that is killed ends what it runs; what may run again is not over then.
    if (code === 1 && this.#dying && !open.aborted) this.options.lost(open, this.#killed(open.token));
    else stored = this.options.row(open, code, data);
    this.options.room(this, open.action.manifest.name);
    return stored;
  }

  #release(open: OpenRequest): void {
    const { name } = open.action.manifest;
    this.#running.delete(open.token);
    this.#runningOf.set(name, (this.#runningOf.get(name) ?? 1) - 1);
  }

  #describeRunning(): string[] {
    const asked = [...this.#asked.values()].map(({ options }) => `${options.action.name} ${options.token}`.trimEnd());
    return [...this.#running.values()].map((open) => `${open.action.manifest.name} ${open.token}`).concat(asked);
  }

  #exited(instance: Instance, cause: string): void {
    if (this.#instance !== instance) return;
    const { clock, log, manifest } = this.options;
    const { wasReady } = instance;
    this.#instance = undefined;
    this.options.gone(instance);
    if (instance.peer) this.options.left(instance.peer);
    this.exits.unshift({
      at: clock.now(),
      cause,
      uptimeMs: clock.now() - instance.startedAt,
      running: this.#describeRunning(),
      tail: [...instance.tail],
    });
    this.exits.length = Math.min(this.exits.length, EXITS_KEPT);
    const dying = this.#dying;
    this.#dying = undefined;
    for (const open of [...this.#running.values()].reverse()) {
      this.#release(open);
      const crashed = failure('PLUGIN_CRASHED', { type: manifest.type, token: open.token, cause });
      this.options.lost(open, open.aborted ?? (dying ? this.#killed(open.token) : crashed));
    }
    for (const [number, question] of [...this.#asked]) {
      this.#settled(number, question);
      const token = question.name;
      const crashed = failure('PLUGIN_CRASHED', { type: manifest.type, token, cause });
      const stopped = this.state === 'stopped' ? failure('INTERRUPTED', { token }) : crashed;
      question.refuse(dying ? this.#killed(token) : stopped);
    }
    for (const resolve of this.#gone.splice(0)) resolve();
    if (this.state === 'stopped') return;
    if (dying) {
      this.state = 'idle';
      return;
    }
    this.reason = cause;
    const stale = cause.startsWith('MANIFEST_STALE');
    const next = stale ? 'quarantine' : this.supervisor.exited();
    if (next === 'quarantine') this.#quarantine(stale ? 'failed' : 'quarantined', cause, instance.tail);
    else {
      this.state = 'restarting';
      const ms = Math.round(next);
      log.warn(
        { plugin: this.#label, tail: instance.tail },
        `plugin ${this.#label} ended (${cause}); it starts again in ${ms} ms`,
      );
      this.#timer = setTimeout(() => void this.start('restarting'), next);
    }
    if (!wasReady) this.options.startFailed(this, cause);
  }

  #killed(token: string): CentreondError {
    return failure('PLUGIN_KILLED', { type: this.options.manifest.type, token });
  }

  #quarantine(state: 'failed' | 'quarantined', cause: string, tail: readonly string[]): void {
    const { log, restart } = this.options;
    this.state = state;
    const often = `it ended more than ${restart.max} times within ${restart.withinMs / 1000} s, last: ${cause}`;
    this.reason = state === 'failed' ? cause : often;
    log.error({ plugin: this.#label, tail }, `plugin ${this.#label} is ${state}: ${this.reason}`);
    this.options.quarantined(this, this.reason);
  }

  /**
   * Ends the process as KILL does: no more requests, the plugin's kill handler within its grace, SIGTERM, 3 s, SIGKILL, each
   * to the whole process group. What runs is lost with PLUGIN_KILLED. A second call joins the first.
   */
  async kill(progress: (step: string) => void): Promise<void> {
    if (this.#dying) return this.#dying;
    clearTimeout(this.#timer);
    const instance = this.#instance;
    if (!instance) {
      // Between two starts, or set aside: taking it back into service is all there is to do.
      if (this.state !== 'starting') this.state = 'idle';
      this.supervisor.reset();
      return;
    }
    const gone = new Promise<void>((resolve) => this.#gone.push(resolve));
    this.#dying = gone;
    this.state = 'dying';
    this.supervisor.reset();
    const graceMs = (this.options.manifest.kill?.graceSeconds ?? 0) * 1000;
    if (this.options.manifest.kill) progress(`instance ${this.id}: released by the plugin within ${graceMs / 1000} s`);
    await Promise.race([instance.release(this.id, this.#killed('these requests'), graceMs), gone]);
    progress(`instance ${this.id}: SIGTERM`);
    instance.kill('SIGTERM');
    const timer = setTimeout(() => {
      progress(`instance ${this.id}: SIGKILL`);
      instance.kill('SIGKILL');
    }, SIGTERM_MS);
    await gone;
    clearTimeout(timer);
  }

  /** Ends the process within `limitMs`, for good. What still runs in it is lost; drain first. */
  async stop(limitMs: number): Promise<void> {
    clearTimeout(this.#timer);
    this.state = 'stopped';
    await this.#instance?.stop(limitMs);
  }

  /** Lets the process go for now: an instance on demand that has nothing to do. */
  async rest(limitMs: number): Promise<void> {
    if (!this.#instance || this.inFlight > 0) return;
    const gone = new Promise<void>((resolve) => this.#gone.push(resolve));
    this.#dying = gone;
    this.state = 'dying';
    await this.#instance.stop(limitMs);
  }

  /** Ends the process at once, for good. */
  killNow(): void {
    clearTimeout(this.#timer);
    this.state = 'stopped';
    this.#instance?.kill('SIGKILL');
  }

  status() {
    const pid = this.#instance?.pid ?? null;
    return {
      id: this.id,
      pid,
      state: this.state,
      restarts: Math.max(0, this.#starts - 1),
      inFlight: this.inFlight,
      p50Ms: this.#durations.quantile(0.5),
      p99Ms: this.#durations.quantile(0.99),
      rss: pid === null ? null : this.options.memoryOf(pid),
    };
  }
}
