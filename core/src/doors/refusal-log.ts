import type { Chronicle } from '../router/chronicle.ts';
import { Buckets } from './limits.ts';

// Of each cause so many lines at once, and one in ten seconds after that: a flood must not fill a disk with its log.
const BURST = 20;
const PER_SECOND = 0.1;
// Some causes carry a reason.
const CAUSES = 64;
const SUMMARY_MS = 60_000;
/** A key that is refused comes again and again: this much of it is told as one event. */
const QUIET_MS = 600_000;

export interface RefusalLogOptions {
  readonly clock: { monotonic(): number };
  readonly log: { warn(fields: object, message: string): void };
  readonly chronicle: Pick<Chronicle, 'tell'>;
}

/** What a refusal is about, as far as it is known. */
export interface RefusedFields {
  readonly cid?: unknown;
  readonly identity?: unknown;
  readonly address: string;
  readonly [field: string]: unknown;
}

/** The log's lines on refused handshakes: the first of each cause one by one, those of a flood as a count. */
export class RefusalLog {
  readonly #lines = new Buckets(PER_SECOND, BURST, CAUSES);
  readonly #unlogged = new Map<string, number>();
  #summarisedAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: RefusalLogOptions) {}

  /** Logs a refusal, or counts it. */
  refused(cause: string, fields: RefusedFields): void {
    const { clock, log, chronicle } = this.options;
    if (this.#lines.take(cause, clock.monotonic())) {
      log.warn({ ...fields, cause }, 'a handshake was refused');
      const { cid, identity, address } = fields;
      const who = {
        ...(typeof identity === 'string' && { identity }),
        ...(typeof cid === 'string' && { fingerprint: cid }),
      };
      const repeats = { key: `${String(cid ?? address)} ${cause}`, withinMs: QUIET_MS };
      if (fields.listed === true && who.fingerprint !== undefined) {
        chronicle.tell('KEY_PENDING', { fingerprint: who.fingerprint, address }, repeats);
      } else chronicle.tell('KEY_REFUSED', { cause, ...who, address }, repeats);
    } else {
      const name = this.#unlogged.has(cause) || this.#unlogged.size < CAUSES ? cause : 'others';
      this.#unlogged.set(name, (this.#unlogged.get(name) ?? 0) + 1);
    }
  }

  /** Logs what was only counted, at most once a minute. Called regularly. */
  sweep(): void {
    const { clock, log } = this.options;
    const now = clock.monotonic();
    this.#lines.sweep(now);
    if (this.#unlogged.size === 0 || now - this.#summarisedAt < SUMMARY_MS) return;
    const causes = Object.fromEntries(this.#unlogged);
    const count = Object.values(causes).reduce((sum, each) => sum + each, 0);
    this.#unlogged.clear();
    this.#summarisedAt = now;
    log.warn({ count, causes }, 'more handshakes were refused than are logged one by one');
  }
}
