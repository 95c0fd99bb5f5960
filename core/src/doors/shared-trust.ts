import { reasonOf } from '@centreond/protocol';
import { fault } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Trust } from './trust.ts';
import { NOBODY, parseTrust, type TrustRecord } from './trust-file.ts';
import { mergeTrust, sameTrust } from './trust-merge.ts';

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1000;
const CLOSING_PAUSE_MS = 50;
/** What a start waits for the table, and any call of it. */
const START_MS = 10_000;
const CALL_MS = 30_000;

const LATER = 'what was accepted or revoked here is not in the table of the cluster yet';

/** Where the routers of a cluster keep what they share: one record, whose version goes up by one with each write. */
export interface TrustTable {
  /** Undefined where nothing was written yet. */
  readTrust(): Promise<{ readonly version: number; readonly record: string } | undefined>;
  /** Writes `record` over the version `over`, 0 where there is none. False where another version is there; then nothing changed. */
  writeTrust(record: string, over: number): Promise<boolean>;
}

export interface SharedTrustOptions {
  readonly trust: Trust;
  readonly table: TrustTable;
  readonly clock: { now(): number };
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  /** This router wrote that version: the others are to be told. It must not throw. */
  written?(version: number): void;
}

/**
 * Who may connect to any router of a cluster: the table is the truth, and the file of {@link Trust} this router's copy of it. What is
 * decided here counts here at once, and is in the table as soon as that can be written; what others decided is taken when
 * {@link changed} is called. Both come together by {@link mergeTrust}, so that nothing is lost whatever is written, killed or restored
 * in between, and nothing has to be remembered of what was shared.
 */
export class SharedTrust {
  readonly #options: SharedTrustOptions;
  readonly #counters = { reads: 0, writes: 0, conflicts: 0, failures: 0 };
  #version = 0;
  /** The table is to be read: it changed, or something here did. */
  #isDue = false;
  #running: Promise<void> | undefined;
  #isAway = false;
  #closed: Promise<void> | undefined;
  /** No further attempt is begun after this moment. */
  #until = Number.POSITIVE_INFINITY;
  #wake = () => {};

  private constructor(options: SharedTrustOptions) {
    this.#options = options;
  }

  /**
   * Brings the table and the file together. Rejects with TRUST_TABLE where the table cannot be read within 10 s, and with what
   * {@link Trust.take} throws. What cannot be written into the table within 10 s more is written later.
   */
  static async open(options: SharedTrustOptions): Promise<SharedTrust> {
    const shared = new SharedTrust(options);
    const { others } = await shared.#read(START_MS).catch((error: unknown) => {
      throw fault('TRUST_TABLE', { what: reasonOf(error) });
    });
    shared.#take(others);
    options.trust.onWritten(() => shared.#due());
    shared.#due();
    await within(shared.#running, START_MS).catch(() => {
      options.log.warn(`${LATER}; it is tried again`);
    });
    return shared;
  }

  /** The version of the table that was read or written last. */
  get version(): number {
    return this.#version;
  }

  /** `waiting`: something may not be in the table yet, or of the table not here. */
  get counters() {
    return { ...this.#counters, version: this.#version, waiting: this.#isDue || this.#running !== undefined };
  }

  /** The table was written by another router; `version` where that is known. Reads it, unless that is the one known here. */
  changed(version?: number): void {
    if (version === undefined || version !== this.#version) this.#due();
  }

  /** Goes on for `withinMs` where something is not in the table yet; the next start writes what is left. Joins a close. */
  close(withinMs: number): Promise<void> {
    this.#closed ??= this.#close(withinMs);
    return this.#closed;
  }

  async #close(withinMs: number): Promise<void> {
    this.#until = performance.now() + withinMs;
    this.#wake();
    // What is under way beyond the limit is counted below.
    await within(this.#running, withinMs).catch(() => undefined);
    if (this.#isDue || this.#running) this.#options.log.warn(`${LATER}; the next start writes it`);
  }

  #due(): void {
    this.#isDue = true;
    if (this.#closed) return;
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    for (let pause = FIRST_PAUSE_MS; this.#isDue && performance.now() < this.#until; ) {
      this.#isDue = false;
      const begun = performance.now();
      if (await this.#meetSafely()) {
        pause = FIRST_PAUSE_MS;
        // Thousands of keys take a while: nodes that join one after the other are shared together.
        if (this.#isDue) await this.#pause(performance.now() - begun);
        continue;
      }
      this.#isDue = true;
      // Those that met at the table do not meet there again.
      await this.#pause(pause * (0.5 + Math.random() / 2));
      pause = Math.min(2 * pause, this.#closed ? CLOSING_PAUSE_MS : LONGEST_PAUSE_MS);
    }
    this.#running = undefined;
  }

  async #meetSafely(): Promise<boolean> {
    const { log } = this.#options;
    try {
      const isMet = await this.#meet();
      if (this.#isAway) log.info('the keys that the routers of the cluster share are in step again');
      this.#isAway = false;
      return isMet;
    } catch (error) {
      this.#counters.failures++;
      if (!this.#isAway) {
        log.warn(
          `the keys that the routers of the cluster share cannot be brought in step: ${reasonOf(error)}; it is tried again, ` +
            'and what is accepted and revoked here counts here until then',
        );
      }
      this.#isAway = true;
      return false;
    }
  }

  /** Brings both together once. Resolves with false where another router wrote the table meanwhile. */
  async #meet(): Promise<boolean> {
    const { table, clock, written } = this.#options;
    const { version, others, isNew } = await this.#read(CALL_MS);
    if (performance.now() >= this.#until) return false;
    const record = this.#take(others);
    this.#version = version;
    // What is forgotten here because its time is over is nothing to write.
    if (!isNew && sameTrust(record, mergeTrust(others, NOBODY, clock.now()).record)) return true;
    if (!(await within(table.writeTrust(JSON.stringify(record), version), CALL_MS))) {
      this.#counters.conflicts++;
      return false;
    }
    this.#counters.writes++;
    this.#version = version + 1;
    written?.(version + 1);
    return true;
  }

  async #read(ms: number): Promise<{ version: number; others: TrustRecord; isNew: boolean }> {
    const found = await within(this.#options.table.readTrust(), ms);
    this.#counters.reads++;
    if (!found) return { version: 0, others: NOBODY, isNew: true };
    return { version: found.version, others: parseTrust(found.record), isNew: false };
  }

  #take(others: TrustRecord): TrustRecord {
    const { trust, log } = this.#options;
    const before = new Set(trust.warnings);
    const { record, warnings } = trust.take(others);
    for (const warning of [...warnings, ...trust.warnings.filter((one) => !before.has(one))]) log.warn(warning);
    return record;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** What `work` resolves with. Rejects after `ms`; what it comes to then is nobody's concern. */
async function within<T>(work: Promise<T>, ms: number): Promise<T>;
async function within<T>(work: Promise<T> | undefined, ms: number): Promise<T | undefined>;
async function within<T>(work: Promise<T> | undefined, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`there was no answer within ${Math.round(ms / 1000)} s`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
