import { reasonOf } from '@centreond/protocol';
import pg from 'pg';
import { type Batch, type Call, type Outcome, readCalls, type WriterSettings } from '../batch.ts';
import { Fenced } from '../membership.ts';
import { type Done, outcomeBehind, outcomeOf, refused } from '../outcome.ts';
import type { Address } from './address.ts';
import { EMPTY_BYTES, Overtaken } from './changes.ts';
import { Group, idsOf } from './group.ts';
import { Link } from './link.ts';
import { Purge } from './purge.ts';
import { numberOf, readMeta } from './schema.ts';
import type { Session } from './session.ts';
import { faultOf } from './writable.ts';

/** What the server's errors begin with that are one call's own: its values cannot be stored. */
const OF_A_CALL = /^(22|23|54)/;
/** The server gave up a transaction for another one: it is done again. */
const OF_ANOTHER = /^(40|55P03)/;
const ATTEMPTS = 10;

/** What the writer is told of its database. */
export interface PostgresWriterSettings extends WriterSettings {
  readonly url: string;
  readonly address: Address;
  /** This router's id. */
  readonly node: string;
  /** What was raised when this router started: whoever raises it again shuts this process out. */
  readonly fence: number;
}

/** What happens to the writer's session. */
export interface Watch {
  away(reason: string): void;
  back(): void;
  /** Something is wrong that does not keep the writer from going on. */
  fault(reason: string): void;
  /** Another process took this router's place: nothing can be written any more. */
  fenced(reason: string): void;
}

/** The session that writes: one group of calls, one transaction, one after the other. */
export class PostgresWriter {
  readonly #settings: PostgresWriterSettings;
  readonly #watch: Watch;
  readonly #link: Link;
  /** The session that was written with last. */
  #session: Session;
  /** The number of this router's id. */
  readonly #node: number;
  /** Groups that this router has committed. */
  #groups: number;
  /** Whole seconds of the transaction under way. */
  #now = 0;
  /** The requests of accepts whose outcome may not be known yet where rows come from: their ids by the number of the accept. */
  readonly #accepted = new Map<number, number>();
  readonly purge: Purge;
  /** Bytes in use after the last transaction. */
  bytes: number;
  readonly epoch: string;

  private constructor(settings: PostgresWriterSettings, watch: Watch, link: Link, found: Found, purge: Purge) {
    this.#settings = settings;
    this.#watch = watch;
    this.#link = link;
    this.#session = link.session;
    this.#node = found.node;
    this.#groups = found.groups;
    this.bytes = found.bytes;
    this.epoch = found.epoch;
    this.purge = purge;
  }

  /** Opens a database that the router has entered. Rejects with a plain Error that says what is wrong, and what to change. */
  static async open(settings: PostgresWriterSettings, watch: Watch): Promise<PostgresWriter> {
    const { url, address, node, synchronous } = settings;
    const commit = synchronous === 'extra' || synchronous === 'full' ? 'on' : 'off';
    const link = await Link.open({
      ...{ url, address, name: `writer ${node}`, settings: { synchronous_commit: commit } },
      away: (reason) => watch.away(reason),
      back: () => watch.back(),
    });
    try {
      const found = await find(link.session, node);
      const purge = await Purge.open(link, settings, found.node);
      return new PostgresWriter(settings, watch, link, found, purge);
    } catch (error) {
      await link.close();
      throw error;
    }
  }

  /** Does the calls of `batches` in one transaction. Never rejects. */
  async write(batches: readonly Batch[]): Promise<Outcome> {
    const started = performance.now();
    this.#now = batches.at(-1)?.now ?? 0;
    this.#forgetUpTo(batches[0]?.settled ?? 0);
    const calls = batches.flatMap(readCalls);
    let dones: Done[] = [];
    let failed: string | undefined;
    try {
      dones = await this.#sound(calls);
    } catch (error) {
      failed = reasonOf(error);
    }
    const { length } = batches;
    const ms = performance.now() - started;
    return outcomeOf(dones, { batches: length, ctime: this.#now, failed, bytes: this.bytes, ms });
  }

  /** Does nothing of what `batches` ask, since what was before them failed for `reason`. */
  refuse({ length }: readonly Batch[], reason: string): Outcome {
    return outcomeBehind({ batches: length, ctime: this.#now, bytes: this.bytes }, reason);
  }

  /** Removes the next of what is old; false when there is no more. Rejects with what the database says. */
  async purgeOn(): Promise<boolean> {
    const { bytes, goesOn } = await this.purge.chunk(this.bytes);
    this.bytes = bytes;
    return goesOn;
  }

  async close(): Promise<void> {
    await this.#link.close();
  }

  /** No row that comes from now on names an accept up to `number` by it. */
  #forgetUpTo(number: number): void {
    for (const accept of this.#accepted.keys()) {
      if (accept > number) break;
      this.#accepted.delete(accept);
    }
  }

  /** Does those calls that can be stored at all. */
  async #sound(calls: readonly Call[]): Promise<Done[]> {
    const faults = calls.map(faultOf);
    if (faults.every((fault) => fault === undefined)) return this.#together(calls);
    const sound = await this.#together(calls.filter((_, at) => faults[at] === undefined));
    const next = sound.values();
    return faults.map((fault) => (fault === undefined ? (next.next().value ?? 0) : refused('FAILED', fault)));
  }

  async #together(calls: readonly Call[]): Promise<Done[]> {
    try {
      return await this.#transaction(calls);
    } catch (error) {
      if (!isServer(error, OF_A_CALL) || calls.length === 0) throw error;
      const dones: Done[] = [];
      for (const call of calls) dones.push(await this.#alone(call));
      return dones;
    }
  }

  async #alone(call: Call): Promise<Done> {
    try {
      const [done] = await this.#transaction([call]);
      return done ?? 0;
    } catch (error) {
      return refused('FAILED', reasonOf(error));
    }
  }

  async #transaction(calls: readonly Call[]): Promise<Done[]> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(calls, attempt > 1);
      } catch (error) {
        const isOvertaken = error instanceof Overtaken || isServer(error, OF_ANOTHER);
        if (!isOvertaken || attempt === ATTEMPTS) throw error;
      }
    }
  }

  async #attempt(calls: readonly Call[], isCareful: boolean): Promise<Done[]> {
    const { session } = this.#link;
    const amount = calls.reduce((sum, call) => sum + idsOf(call), 0);
    const begin =
      amount === 0 ? 'BEGIN; SELECT last_value + 1 FROM centreond_id' : `BEGIN; SELECT centreond_take(${amount})`;
    if (session !== this.#session) await this.#resume(session);
    const [first] = await session.rows(begin).catch((error: unknown) => {
      // It may hold what the next one waits for.
      session.end();
      throw error;
    });
    const firstId = first?.number() ?? 0;
    const group = new Group({
      ...{ session, firstId, isCareful, isFull: this.bytes >= this.#settings.maxBytes },
      author: { node: this.#node, fence: this.#settings.fence, groups: this.#groups, now: this.#now },
      accepted: (number) => this.#accepted.get(number),
    });
    let done: Awaited<ReturnType<Group['do']>>;
    try {
      done = await group.do(calls);
      const [taken, used] = [firstId + amount - 1, group.nextId - 1];
      if (used < taken) await session.rows(GIVE, [taken, used]);
    } catch (error) {
      await this.#rollBack(session, error, firstId, amount);
      if (error instanceof Fenced) this.#watch.fenced(error.message);
      throw error;
    }
    await this.#commit(session);
    for (const [number, id] of group.accepted) this.#accepted.set(number, id);
    this.bytes = done.bytes;
    return done.dones;
  }

  /** A standby that took over may not have the last groups: they were acknowledged, and nobody can write them again. */
  async #resume(session: Session): Promise<void> {
    const [row] = await session.rows('SELECT groups FROM centreond_writer WHERE node = $1', [this.#node]);
    const missing = this.#groups - (row?.number() ?? 0);
    if (missing > 0) {
      this.#watch.fault(
        `the server that is there now does not have the last ${missing} transactions that were acknowledged; have its standby confirm them (synchronous_standby_names)`,
      );
      this.#groups -= missing;
    }
    this.#session = session;
  }

  async #rollBack(session: Session, cause: unknown, firstId: number, amount: number): Promise<void> {
    if (session.lost) return;
    try {
      // Where the server has not given up the transaction, its ids are not lost.
      if (cause instanceof Overtaken && amount > 0) await session.rows(GIVE, [firstId + amount - 1, firstId - 1]);
      await session.rows('ROLLBACK');
    } catch {
      // The session is in no known state: the server ends the transaction with it.
      session.end();
    }
  }

  /** Commits the group. Rejects only if it is not in the database, or the store was closed before that was known. */
  async #commit(session: Session): Promise<void> {
    try {
      const { command } = await session.run('COMMIT');
      if (command !== 'COMMIT') throw new Error('the server rolled the transaction back');
    } catch (error) {
      if (!session.lost) throw error;
      if (!(await this.#isCommitted())) throw error;
    }
    this.#groups++;
  }

  /**
   * Asks a later session whether the group is there of whose commit no answer came. The row is locked until the server is done
   * with that commit. (The number of a transaction does not tell: after a crash the server may give it a second time.)
   */
  async #isCommitted(): Promise<boolean> {
    for (;;) {
      const session = await this.#link.regained();
      try {
        const [row] = await session.rows('SELECT fence, groups FROM centreond_writer WHERE node = $1 FOR UPDATE', [
          this.#node,
        ]);
        // Of a later process's groups nobody knows whether this one is among them: it is not acknowledged.
        if (row === undefined || row.number() !== this.#settings.fence) return false;
        return row.number() > this.#groups;
      } catch (error) {
        if (!session.lost) throw error;
      }
    }
  }
}

const GIVE = { name: 'give', text: 'SELECT centreond_give($1, $2)' };

interface Found {
  readonly node: number;
  readonly groups: number;
  readonly bytes: number;
  readonly epoch: string;
}

/** Finds what the router `node` has written. */
async function find(session: Session, node: string): Promise<Found> {
  const number = await numberOf(session, node);
  const [row] = await session.rows('SELECT groups FROM centreond_writer WHERE node = $1', [number]);
  const [sum] = await session.rows('SELECT sum(bytes) FROM centreond_writer');
  const epoch = await readMeta(session, 'epoch');
  return { node: number, groups: row?.number() ?? 0, bytes: EMPTY_BYTES + (sum?.number() ?? 0), epoch };
}

function isServer(error: unknown, codes: RegExp): boolean {
  return error instanceof pg.DatabaseError && codes.test(error.code ?? '');
}
