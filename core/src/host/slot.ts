import type { Manifest } from '@centreond/plugin-sdk/internal';
import { type CentreondError, FAILED, FINISHED, failure, formatMessage, isTerminal } from '@centreond/protocol';
import type { Log } from '../log.ts';
import type { Chronicle } from '../router/chronicle.ts';
import type { Hearer } from '../router/executor.ts';
import type { Peer } from '../router/peer.ts';
import type { OpenRequest } from '../router/request.ts';
import type { Requests } from '../router/requests.ts';
import { Durations } from '../router/telemetry.ts';
import type { InstanceEvents, InstanceOptions, InstanceProcess } from './instance.ts';
import { InstanceWords } from './instance-words.ts';
import type { PluginMetrics } from './metrics.ts';
import { InstanceReports } from './reports.ts';
import { type RestartLimits, Supervisor } from './supervisor.ts';

/** How an instance ended: what `why` shows. */
export interface Exit {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly cause: string;
  /** Milliseconds it had run. */
  readonly uptimeMs: number;
  /** The version of the package that it ran. */
  readonly version: string;
  /** Whether that version was tried by a reload and not put into service. */
  readonly tried?: true;
  /** What it ran then, as `ACTION token`. */
  readonly running: readonly string[];
  /** The last lines that it wrote. */
  readonly tail: readonly string[];
}

/**
 * idle (not running) → starting → ready → dying → idle or starting; restarting between two starts; quarantined and failed until
 * an operator acts; stopped for good.
 */
export type SlotState = 'idle' | 'starting' | 'ready' | 'restarting' | 'dying' | 'quarantined' | 'failed' | 'stopped';

export interface SlotOptions {
  readonly id: string;
  readonly manifest: Manifest;
  /** The version of its package. */
  readonly version: string;
  /** Whether its version is tried by a reload, and not in service: what does not start then is not started again. */
  tried(): boolean;
  readonly instance: Omit<InstanceOptions, 'id'>;
  readonly restart: RestartLimits;
  readonly clock: { now(): number };
  readonly log: Log;
  readonly chronicle: Pick<Chronicle, 'tell'>;
  /** Of all processes of the plugin. */
  readonly metrics: PluginMetrics;
  readonly requests: Pick<Requests, 'row' | 'fail'>;
  /** Starts a process. It calls `exited` exactly once, also if it never started, and not within this call. */
  launch(options: InstanceOptions, events: InstanceEvents): InstanceProcess;
  /** Waits for its turn to start a process; the result is called when the start is over. */
  startTurn(): Promise<() => void>;
  /** Resident memory of a process in bytes, or null. */
  memoryOf(pid: number): number | null;
  /** Takes what an instance says that is no row: its own requests, and messages of its links. */
  message(peer: Peer, message: Buffer): void;
  /** A process is ready, and later it is gone. */
  ready(hearer: Hearer): void;
  gone(hearer: Hearer): void;
  /** It can take requests of `action`, or of every action. */
  room(slot: Slot, action?: string): void;
  /** A request died with the process. */
  lost(open: OpenRequest, error: CentreondError): void;
  /** Its process is gone, and does not come back before it is started again. */
  vacant(slot: Slot): void;
  /** It does not start again by itself. */
  quarantined(slot: Slot, reason: string): void;
  /** A start ended before READY. */
  startFailed(slot: Slot, cause: string): void;
}

const EXITS_KEPT = 10;
const SIGTERM_MS = 3000;
/** One in so many of what runs at once is kept for urgent requests, so that an operator need not wait for what others run. */
const URGENT_SHARE = 16;

/** One instance of a plugin over time: its process, what it runs, its restarts. */
export class Slot {
  state: SlotState = 'idle';
  reason: string | undefined;
  /** When it last had something to do, in milliseconds. */
  lastUsed: number;
  /** Whether a request ever finished in it: one that only refuses is not kept for long. */
  useful = false;
  readonly exits: Exit[] = [];
  readonly supervisor: Supervisor;
  readonly #durations = new Durations();
  readonly #words: InstanceWords;
  /** What it runs, by the name under which its process speaks of it: the token, or `?` and a number if it answers in the ACK. */
  readonly #running = new Map<string, OpenRequest>();
  #numbers = 0;
  /** Of each action, how many run, and how many may at once: in all, and of those that are not urgent. */
  readonly #rooms: ReadonlyMap<string, { running: number; readonly all: number; readonly others: number }>;
  #instance: InstanceProcess | undefined;
  /** What the process reported on itself. */
  #reports: InstanceReports | undefined;
  #starts = 0;
  #timer: NodeJS.Timeout | undefined;
  #dying: Promise<void> | undefined;
  #resting = false;
  /** The plugin on whose account its process is being ended. */
  #endsWith: string | undefined;
  #gone: (() => void)[] = [];

  constructor(readonly options: SlotOptions) {
    this.supervisor = new Supervisor(options.restart, options.clock);
    this.#words = new InstanceWords(options.manifest, options.instance.maxMessage);
    this.#rooms = new Map(
      options.manifest.actions.map(({ name, concurrency: all }) => [
        name,
        { running: 0, all, others: all - Math.floor(all / URGENT_SHARE) },
      ]),
    );
    this.lastUsed = options.clock.now();
  }

  get id(): string {
    return this.options.id;
  }
  get inFlight(): number {
    return this.#running.size;
  }
  /** Whether it takes requests, now or once it has started. */
  get serves(): boolean {
    return this.state !== 'quarantined' && this.state !== 'failed' && this.state !== 'stopped';
  }
  /** Whether it has a process, or is about to have one. */
  get live(): boolean {
    return this.#instance !== undefined || this.state === 'starting' || this.state === 'restarting';
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
    const { clock, log, chronicle } = this.options;
    const over = await this.options.startTurn();
    if (this.#instance || !this.serves) return over();
    this.state = 'starting';
    this.#starts++;
    const reports = new InstanceReports({
      label: this.#label,
      clock,
      log,
      chronicle,
      metrics: this.options.metrics.open(),
    });
    await new Promise<void>((settled) => {
      const instance: InstanceProcess = this.options.launch(
        { ...this.options.instance, id: this.id },
        {
          ready: () => {
            this.supervisor.ready();
            this.state = 'ready';
            this.reason = undefined;
            this.lastUsed = clock.now();
            log.info({ plugin: this.#label, pid: instance.pid }, `plugin ${this.#label} is ready`);
            if (state === 'restarting') chronicle.tell('PLUGIN_RESTARTED', { plugin: this.#label });
            settled();
            this.options.ready(instance);
            this.options.room(this);
          },
          said: (name, code, data) => this.#said(instance, name, code, data),
          reported: (report, redacted) => reports.take(report, redacted),
          message: this.options.message,
          running: () => this.#describeRunning(),
          ending: (by) => {
            this.#endsWith = by;
            if (this.state !== 'stopped') this.state = 'dying';
          },
          exited: (cause, isBystander) => {
            this.#exited(instance, cause, isBystander);
            settled();
          },
        },
      );
      this.#instance = instance;
      this.#reports = reports;
    });
    over();
  }

  /** Whether it can run one more request of `action` now. */
  hasRoom(action: string, urgent: boolean): boolean {
    const room = this.#rooms.get(action);
    return this.state === 'ready' && room !== undefined && room.running < (urgent ? room.all : room.others);
  }

  /** Runs a request. Only when it has room. One that ends before its instance says so takes up its room until then. */
  run(open: OpenRequest): void {
    const { name, timeoutSeconds } = open.action.manifest;
    const now = this.options.clock.now();
    const number = open.answered ? String(++this.#numbers) : '';
    const heldAs = open.answered ? `?${number}` : open.token;
    open.started(now, Math.min(now + timeoutSeconds * 1000, open.wantedUntil), heldAs);
    this.lastUsed = now;
    this.#running.set(heldAs, open);
    const room = this.#rooms.get(name);
    if (room) room.running++;
    const on = open.answered ? open.target : open.workedOn;
    const target = on === '' ? '' : `,"target":"${on}"`;
    const delivery = `{"$":{"from":"${open.owner}","deadline":${open.deadline}${target}}${open.data === '{}' ? '' : ','}${open.data.slice(1)}`;
    this.#instance?.send(formatMessage(name, open.token, number, delivery));
  }

  /** Whether it runs this request. */
  runs(open: OpenRequest): boolean {
    return open.isHeld && this.#running.get(open.heldAs) === open;
  }

  /** Its process, where it is ready. */
  get hearer(): Hearer | undefined {
    return this.state === 'ready' ? this.#instance : undefined;
  }

  abort(open: OpenRequest, reason: CentreondError): void {
    const number = open.answered ? open.heldAs.slice(1) : '';
    this.#instance?.send(formatMessage('ABORT', open.token, number, reason.toData()));
  }

  /** Its process said `code` of what it runs under `name`. A process that says what it may not is ended with that as its cause. */
  #said(instance: InstanceProcess, name: string, code: number, data: string): Promise<void> | undefined {
    const open = this.#running.get(name);
    if (!open) return undefined;
    const said = this.#words.check(code, data);
    if ('fault' in said) {
      instance.condemn(`it sent ${said.fault}`);
      return undefined;
    }
    if (!isTerminal(code)) return this.options.requests.row(open, code, data);
    const { clock, requests } = this.options;
    this.#release(open);
    this.#durations.add(clock.now() - open.startedAt);
    this.lastUsed = clock.now();
    if (code === FINISHED) this.useful = true;
    if (said.error) this.#logFault(open, said.error.error, said.error.message);
    let stored: Promise<void> | undefined;
    // A process that is being killed ends what it runs; what may run again is not over then.
    const lost = code === FAILED && !open.abortedFor ? this.#lostFor(open) : undefined;
    if (lost) this.options.lost(open, lost);
    else stored = requests.row(open, code, data);
    this.options.room(this, open.action.manifest.name);
    return stored;
  }

  /** Why a request is lost that its process ends because it is being ended itself; undefined if it is not. */
  #lostFor({ name: token }: OpenRequest): CentreondError | undefined {
    if (this.#dying) return this.#killed(token);
    if (this.#endsWith === undefined) return undefined;
    const { type } = this.options.manifest;
    return failure('PLUGIN_CRASHED', { type, token, cause: `ended with ${this.#endsWith}, which shares its process` });
  }

  /** An output that its schema does not allow is the plugin's fault, not its caller's: its author looks in the log. */
  #logFault({ action, token }: OpenRequest, error: string, message: string): void {
    if (error !== 'INVALID_OUTPUT') return;
    const { log } = this.options;
    log.error({ plugin: this.#label, action: action.manifest.name, token }, `plugin ${this.#label}: ${message}`);
  }

  #release(open: OpenRequest): void {
    this.#running.delete(open.heldAs);
    const room = this.#rooms.get(open.action.manifest.name);
    if (room) room.running--;
    open.released();
  }

  #describeRunning(): string[] {
    return [...this.#running.values()].map((open) => `${open.action.manifest.name} ${open.token}`.trimEnd());
  }

  #exited(instance: InstanceProcess, cause: string, isBystander: boolean): void {
    if (this.#instance !== instance) return;
    const { clock, manifest } = this.options;
    this.#instance = undefined;
    this.#reports?.end();
    this.#reports = undefined;
    this.options.gone(instance);
    const { tail } = instance;
    const running = this.#describeRunning();
    const now = clock.now();
    if (!this.#resting) {
      const { version } = this.options;
      const tried = this.options.tried() && { tried: true as const };
      this.exits.unshift({
        at: now,
        cause,
        uptimeMs: now - instance.startedAt,
        version,
        ...tried,
        running,
        tail: [...tail],
      });
      this.exits.length = Math.min(this.exits.length, EXITS_KEPT);
    }
    const dying = this.#dying;
    this.#dying = undefined;
    this.#resting = false;
    this.#endsWith = undefined;
    for (const open of [...this.#running.values()].reverse()) {
      this.#release(open);
      const token = open.name;
      const stopped = this.state === 'stopped' ? failure('INTERRUPTED', { token }) : undefined;
      const crashed = failure('PLUGIN_CRASHED', { type: manifest.type, token, cause });
      this.options.lost(open, open.abortedFor ?? (dying ? this.#killed(token) : (stopped ?? crashed)));
    }
    for (const resolve of this.#gone.splice(0)) resolve();
    if (this.state !== 'stopped') this.#afterExit(instance, cause, { ordered: dying !== undefined, isBystander });
    if (!this.live) this.options.vacant(this);
  }

  #afterExit(
    { tail, wasReady }: InstanceProcess,
    cause: string,
    { ordered, isBystander }: { ordered: boolean; isBystander: boolean },
  ): void {
    const { log, chronicle } = this.options;
    if (ordered) {
      this.state = 'idle';
      return;
    }
    this.reason = cause;
    if (this.options.tried() && !wasReady) {
      this.state = 'failed';
      log.error({ plugin: this.#label, tail }, `the new version of the plugin ${this.#label} did not start (${cause})`);
      this.options.startFailed(this, cause);
      return;
    }
    const stale = cause.startsWith('MANIFEST_STALE');
    const next = stale ? 'quarantine' : isBystander ? this.supervisor.bystander() : this.supervisor.exited();
    if (next === 'quarantine') this.#quarantine(stale ? 'failed' : 'quarantined', cause, tail);
    else {
      this.state = 'restarting';
      const ms = Math.round(next);
      log.warn({ plugin: this.#label, tail }, `plugin ${this.#label} ended (${cause}); it starts again in ${ms} ms`);
      chronicle.tell('PLUGIN_ENDED', { plugin: this.#label, cause, againMs: ms });
      this.#timer = setTimeout(() => void this.start('restarting'), next);
    }
    if (!wasReady) this.options.startFailed(this, cause);
  }

  #killed(token: string): CentreondError {
    return failure('PLUGIN_KILLED', { type: this.options.manifest.type, token });
  }

  #quarantine(state: 'failed' | 'quarantined', cause: string, tail: readonly string[]): void {
    const { log, restart, chronicle } = this.options;
    this.state = state;
    const often = `it ended more than ${restart.max} times within ${restart.withinMs / 1000} s, last: ${cause}`;
    this.reason = state === 'failed' ? cause : often;
    log.error({ plugin: this.#label, tail }, `plugin ${this.#label} is ${state}: ${this.reason}`);
    chronicle.tell('PLUGIN_QUARANTINED', { plugin: this.#label, state, reason: this.reason });
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

  /** Ends the process for now: an instance on demand that has nothing to do. It is no exit: `why` does not show it. */
  async rest(limitMs: number): Promise<void> {
    if (!this.#instance || this.inFlight > 0 || this.#dying) return;
    this.#resting = true;
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
      health: this.#reports?.health ?? null,
      metrics: this.#reports?.metrics ?? {},
    };
  }
}
