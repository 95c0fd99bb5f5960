import type { Clock } from '../clock.ts';

/** What is kept of the latest events, in bytes of their JSON. */
const KEPT_BYTES = 1024 * 1024;
/** A text from elsewhere within an event. */
const TEXT_CHARACTERS = 500;
/** Of what strangers, clients or plugins can bring about at will, so much is told as one event. */
const QUIET_MS = {
  BUSY: 10_000,
  PLUGIN_DEGRADED: 10_000,
  PLUGIN_OK: 10_000,
  KEY_PENDING: 600_000,
  KEY_REFUSED: 600_000,
};
/** Events that may repeat and are remembered; beyond that the oldest is forgotten. */
const REMEMBERED = 1000;

/** How often what a sentence tells came about, where that was more than once: `times` in `seconds`. */
interface Repeats {
  readonly times?: number;
  readonly seconds?: number;
}

function often({ times = 1, seconds = 0 }: Repeats): string {
  return times === 1 ? '' : ` (${times} times in ${seconds} s)`;
}

/** The kinds of events, each with its sentence. A kind is stable for ever. */
const SENTENCES = {
  STARTED: (d: { version: string }) => `This router has started, centreond ${d.version}.`,
  ROUTER_UP: (d: { router: string }) => `The router ${d.router} is up.`,
  ROUTER_DOWN: (d: { router: string; state: string }) => `The router ${d.router} is ${d.state}.`,
  ROUTER_TAKEN_OVER: (d: { router: string; requests: number }) =>
    `The router ${d.router} is gone, and what was open there was taken over: ${d.requests === 1 ? '1 request' : `${d.requests} requests`}.`,
  NATS_AWAY: (d: { reason: string }) => `NATS is away: ${d.reason}.`,
  NATS_UP: (d: { servers: string }) => `NATS is there, at ${d.servers}.`,
  CONFIG_READ: (d: { remarks: readonly string[] }) =>
    `The config was read again: ${d.remarks.join('; ') || 'no plugin changed'}.`,
  NODE_UP: (d: { node: string; kind: string; address?: string }) =>
    `The node ${d.node} is up${d.address === undefined ? '' : `, at ${d.address}`}.`,
  NODE_DOWN: (d: { node: string; state: string; reason: string }) => `The node ${d.node} is ${d.state}: ${d.reason}.`,
  NODE_KEY_SHARED: (d: { node: string; addresses: readonly string[] }) =>
    `Two machines connect with the key of ${d.node} by turns, from ${d.addresses.join(' and ')}.`,
  PLUGIN_ENDED: (d: { plugin: string; cause: string; againMs: number }) =>
    `The plugin ${d.plugin} ended: ${d.cause}; it starts again in ${d.againMs} ms.`,
  PLUGIN_RESTARTED: (d: { plugin: string }) => `The plugin ${d.plugin} runs again.`,
  PLUGIN_QUARANTINED: (d: { plugin: string; state: string; reason: string }) =>
    `The plugin ${d.plugin} is ${d.state}: ${d.reason}.`,
  PLUGIN_DEGRADED: (d: { plugin: string; why: string }) => `The plugin ${d.plugin} is degraded: ${d.why}.`,
  PLUGIN_OK: (d: { plugin: string }) => `The plugin ${d.plugin} is ok again.`,
  PLUGIN_LOADED: (d: { plugin: string; version: string }) => `The plugin ${d.plugin} ${d.version} was loaded.`,
  PLUGIN_UNLOADED: (d: { plugin: string }) => `The plugin ${d.plugin} was unloaded.`,
  PLUGIN_RELOADED: (d: { plugin: string; version: string }) =>
    `The plugin ${d.plugin} was reloaded, as version ${d.version}.`,
  KEY_PENDING: (d: { fingerprint: string; address: string } & Repeats) =>
    `An unknown key came from ${d.address}, and is pending${often(d)}: ${d.fingerprint}.`,
  KEY_REFUSED: (d: { cause: string; identity?: string; fingerprint?: string; address: string } & Repeats) =>
    `A handshake of ${d.identity ?? d.fingerprint ?? 'somebody'} from ${d.address} was refused${often(d)}: ${d.cause}.`,
  KEY_ACCEPTED: (d: { identity: string; fingerprint: string; roles: readonly string[] }) =>
    `The key ${d.fingerprint} was let in as ${d.identity} (${d.roles.join(', ')}).`,
  KEY_JOINED: (d: { identity: string; fingerprint: string; by: string; address: string }) =>
    `${d.identity} joined from ${d.address}, by a token of ${d.by}.`,
  KEY_INVITED: (d: { identity: string; by: string }) => `${d.by} made a join token for ${d.identity}.`,
  KEY_REVOKED: (d: { key: string; identity?: string; fingerprint?: string }) =>
    d.fingerprint === undefined
      ? `The join token of ${d.identity ?? d.key} was withdrawn.`
      : `The key ${d.fingerprint}${d.identity === undefined ? '' : ` of ${d.identity}`} was revoked.`,
  PURGED: (d: { rows: number; requests: number }) =>
    `${d.rows} rows and ${d.requests} requests were purged from the history.`,
  BUSY: (d: { identity: string; message: string } & Repeats) =>
    `A request of ${d.identity} was refused with BUSY${often(d)}: ${d.message}`,
} as const;

type Sentences = typeof SENTENCES;
/** What kind of event it is. */
export type Kind = keyof Sentences;
type Repeatable = keyof typeof QUIET_MS;
export type FieldsOf<K extends Kind> = Parameters<Sentences[K]>[0];

/** Something that happened on this router: its kind and sentence, and the fields of its kind. */
export interface Happening {
  /** Ascends, over restarts too unless the clock was set back. */
  readonly id: number;
  /** In milliseconds since the epoch. */
  readonly time: number;
  readonly kind: Kind;
  readonly text: string;
}

/** A page of what happened. */
export interface Happenings {
  readonly events: readonly Happening[];
  /** Up to where it goes: what comes next has a greater id. */
  readonly last: number;
  /** Something after the id that was asked for is not kept any more. */
  readonly gap: boolean;
}

interface Kept {
  readonly happening: Happening;
  readonly bytes: number;
}

interface Repeated {
  readonly kind: Kind;
  readonly fields: object;
  readonly until: number;
  readonly withinMs: number;
  count: number;
}

/** The latest events of this router, for people: kept in memory within a bound, and told to those who wait for them. */
export class Chronicle {
  readonly #clock: Clock;
  #kept: Kept[] = [];
  #bytes = 0;
  /** The id before that of the first event kept. */
  #before: number;
  #last: number;
  readonly #listeners: ((happening: Happening) => void)[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #repeated = new Map<string, Repeated>();
  #timer: NodeJS.Timeout | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#last = clock.now();
    this.#before = this.#last;
  }

  /** `listener` hears each event once it is told. */
  onTold(listener: (happening: Happening) => void): void {
    this.#listeners.push(listener);
  }

  /**
   * Tells an event. Of a kind that others can bring about at will, `repeats` says whom or what it is about: the first of those is told
   * at once, and what comes within the time of its kind after it as one, with the number as `times`.
   */
  tell<K extends Exclude<Kind, Repeatable>>(kind: K, fields: FieldsOf<K>): void;
  tell<K extends Repeatable>(kind: K, fields: FieldsOf<K>, repeats: string): void;
  tell<K extends Kind>(kind: K, fields: FieldsOf<K>, repeats?: string): void {
    if (repeats === undefined) {
      this.#tell(kind, fields);
      return;
    }
    const withinMs = QUIET_MS[kind as Repeatable];
    const key = `${kind} ${repeats}`;
    const known = this.#repeated.get(key);
    if (known) {
      known.count++;
      return;
    }
    for (const oldest of this.#repeated.keys()) {
      if (this.#repeated.size < REMEMBERED) break;
      this.#settle(oldest);
    }
    this.#repeated.set(key, { kind, fields, until: this.#clock.monotonic() + withinMs, withinMs, count: 0 });
    this.#timer ??= setInterval(() => this.#sweep(), 1000).unref();
    this.#tell(kind, fields);
  }

  #tell(kind: Kind, fields: object): void {
    const cut = Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [
        name,
        typeof value === 'string' && value.length > TEXT_CHARACTERS ? `${value.slice(0, TEXT_CHARACTERS - 1)}…` : value,
      ]),
    );
    const text = (SENTENCES[kind] as (d: object) => string)(cut).replace(/([.?!])\.$/, '$1');
    const happening: Happening = { ...cut, id: ++this.#last, time: this.#clock.now(), kind, text };
    const bytes = Buffer.byteLength(JSON.stringify(happening));
    this.#kept.push({ happening, bytes });
    this.#bytes += bytes;
    let gone = 0;
    while (this.#bytes > KEPT_BYTES && gone < this.#kept.length - 1) this.#bytes -= this.#kept[gone++]?.bytes ?? 0;
    if (gone > 0) {
      this.#before = this.#kept[gone - 1]?.happening.id ?? this.#before;
      this.#kept = this.#kept.slice(gone);
    }
    for (const listener of this.#listeners) listener(happening);
    for (const wake of [...this.#waiting]) wake();
  }

  /** Those after `after`, at most `limit`; all that are kept for 0. */
  after(after: number, limit: number): Happenings {
    // Of another run of this daemon, or from the future: nobody can say what it missed.
    const isOdd = after !== 0 && (after < this.#before || after > this.#last);
    const from = after > this.#last ? 0 : after;
    const start = this.#kept.findIndex(({ happening }) => happening.id > from);
    const events = start < 0 ? [] : this.#kept.slice(start, start + limit).map(({ happening }) => happening);
    return { events, last: events.at(-1)?.id ?? this.#last, gap: isOdd };
  }

  /** Resolves once there is one after `after`, or `ms` have passed. */
  async wait(after: number, ms: number): Promise<void> {
    if (after < this.#last || ms <= 0) return;
    let over = () => {};
    const woken = new Promise<void>((resolve) => {
      over = resolve;
      this.#waiting.add(over);
    });
    const timer = setTimeout(over, ms).unref();
    await woken;
    clearTimeout(timer);
    this.#waiting.delete(over);
  }

  /** The id of the latest event. */
  get last(): number {
    return this.#last;
  }

  #sweep(): void {
    const now = this.#clock.monotonic();
    for (const [key, { until }] of this.#repeated) if (until <= now) this.#settle(key);
    if (this.#repeated.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Tells how often it was repeated meanwhile, if it was; the next one is told at once. */
  #settle(key: string): void {
    const repeated = this.#repeated.get(key);
    this.#repeated.delete(key);
    if (!repeated || repeated.count === 0) return;
    const { kind, fields, count: times, withinMs } = repeated;
    this.#tell(kind, { ...fields, times, seconds: withinMs / 1000 });
  }
}
