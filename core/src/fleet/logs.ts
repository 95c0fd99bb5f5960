import { failure, type Json } from '@centreond/protocol';
import type { Log } from '../log.ts';
import type { Peer } from '../router/peer.ts';
import type { Adopted, Cursor, ForeignRow, SetAside, TokenStore } from '../store/token-store.ts';
import { type LogMark, MARK_CHARACTERS, markOf } from './log-mark.ts';

/** Whoever brings a node's log has it to itself for so long after its last page. */
const LEASE_MS = 60_000;
/** How long a log may take to get here once it was asked for. */
const SYNC_LIMIT_MS = 10_000;
/** Who may wait for logs at once. */
const WAITING_LIMIT = 10_000;
const SAME_REFUSAL_MS = 60_000;

/** A row as its node tells it. */
export interface ToldRow {
  readonly id: number;
  readonly token: string;
  readonly type: string;
  readonly node: string;
  readonly code: number;
  readonly etime: number;
  readonly data: Json;
  /** Where the teller has it from a node behind it: what names it there. */
  readonly origin?: { readonly epoch: string; readonly id: number };
}

/** One message of a node's log: `rows` are all that it has after the message before, up to `last`. */
export interface ToldLog {
  readonly epoch: string;
  readonly rows: readonly ToldRow[];
  readonly last: number;
}

/** What became of a message: rows stored, rows that were here already, rows that were not taken, and where the node's cursor stands. */
export interface Taken {
  readonly stored: number;
  readonly known: number;
  readonly refused: readonly { readonly id: number; readonly error: string }[];
  readonly last: number;
  /** In the answer to a message without rows: the newest row of that epoch here, up to the message's `last` if it is not 0. */
  readonly mark?: LogMark;
}

/** Who brings a log. */
export interface Teller {
  /** Whose log it is. */
  readonly node: string;
  /** Whether this node may hand over rows of `other`, and is a way to it. */
  speaksFor(other: string): boolean;
}

export interface LogsOptions {
  /** This router's id. */
  readonly id: string;
  readonly store: TokenStore;
  readonly clock: { monotonic(): number };
  readonly log: Log;
  /** What is wrong with a row's data: the code of an error, or undefined. */
  fault(text: string, data: Json): string | undefined;
  /** The database of a node is another one than before. */
  renewed(node: string): void;
  adopt(
    page: Parameters<TokenStore['adopt']>[0],
    reaches: (target: string) => boolean,
  ): Promise<{ rows: readonly Adopted[]; cursor: number }>;
}

interface Lease {
  readonly peer: Peer;
  /** Monotonic milliseconds. */
  until: number;
  epoch: string;
  /** Up to where the messages of this session go; undefined before the first. */
  covered: number | undefined;
  /** The first row of the oldest message that could not be stored. Until it is here, what comes behind it is not taken. */
  missed: number | undefined;
}

/**
 * The logs of the nodes, as far as they are here. Each is brought by one session at a time, which streams it; what it brings is
 * stored in its order, each row once. A gap moves no cursor, so that whoever looks from there finds it.
 */
export class Logs {
  readonly #options: LogsOptions;
  readonly #cursors = new Map<string, Cursor>();
  readonly #leases = new Map<string, Lease>();
  /** Peers that ever held a lease. */
  readonly #holders = new WeakSet<Peer>();
  readonly #waiting = new Set<{ node: string; check(): void }>();
  readonly #reported = new Map<string, number>();
  readonly counters = { rows: 0, known: 0, refused: 0, aside: 0 };

  constructor(options: LogsOptions) {
    this.#options = options;
  }

  /** Reads where the logs stand. Call once, before the first `take`. */
  async start(): Promise<void> {
    for (const cursor of await this.#options.store.cursors()) this.#cursors.set(cursor.node, cursor);
  }

  /** The node `to` is the node `from` under another id: what is here of its log does not come again. */
  async inherit(from: string, to: string): Promise<void> {
    await this.#options.store.inherit(from, to);
    const cursor = this.#cursors.get(from);
    if (cursor) this.#cursors.set(to, { ...cursor, node: to });
    for (const node of [from, to]) this.#leases.delete(node);
  }

  /** The id of the last row of a node's log that is here with all before it, or null. */
  cursorOf(node: string): number | null {
    return this.#cursors.get(node)?.last ?? null;
  }

  /** The same for one database of it: 0 where nothing of that is here. */
  positionOf(node: string, epoch: string): number {
    const cursor = this.#cursors.get(node);
    return cursor?.epoch === epoch ? cursor.last : 0;
  }

  /** Which database of the node is known, where it told. */
  epochOf(node: string): string | undefined {
    return this.#leases.get(node)?.epoch ?? this.#cursors.get(node)?.epoch;
  }

  /**
   * Takes a message of a node's log. Rejects with BUSY while another session brings it, and with what the store says; after
   * that with STORE_FAILED, until the message that was not stored comes again or the node asks where its log stands.
   */
  async take(peer: Peer, teller: Teller, message: ToldLog): Promise<Taken> {
    const lease = this.#leaseFor(peer, teller.node);
    const { epoch } = message;
    const first = message.rows[0]?.id;
    if (lease.missed !== undefined && first !== undefined && first > lease.missed) {
      const reason = `a message of the log of ${teller.node} before this one is not stored; it has to come first`;
      throw failure('STORE_FAILED', { reason });
    }
    lease.missed = undefined;
    const from = lease.epoch === epoch ? lease.covered : undefined;
    lease.epoch = epoch;
    // Also where it is not stored in the end: then what follows does not move the cursor past it.
    lease.covered = Math.max(message.last, message.rows.at(-1)?.id ?? 0);
    try {
      const taken = await this.#store(teller, { ...message, last: lease.covered }, from);
      if (first !== undefined) return taken;
      const newest = await this.#options.store.foreignRow({
        node: teller.node,
        epoch,
        upTo: message.last === 0 ? Number.MAX_SAFE_INTEGER : message.last,
        characters: MARK_CHARACTERS,
      });
      return newest ? { ...taken, mark: markOf(newest) } : taken;
    } catch (error) {
      if (first !== undefined) lease.missed = Math.min(first, lease.missed ?? first);
      throw error;
    }
  }

  /** Takes a page that was asked for from the cursor on. */
  async takeAnswer(teller: Teller, message: ToldLog, from: number): Promise<Taken> {
    const taken = await this.#store(teller, message, from);
    const lease = this.#leases.get(teller.node);
    if (lease && taken.last >= (lease.covered ?? 0)) lease.missed = undefined;
    return taken;
  }

  #leaseFor(peer: Peer, node: string): Lease {
    const now = this.#options.clock.monotonic();
    const held = this.#leases.get(node);
    if (held && held.peer !== peer && held.peer.open && held.until > now) {
      throw failure('BUSY', { what: `The place of who brings the log of ${node}`, limit: 1 });
    }
    const lease = held?.peer === peer ? held : { peer, until: 0, epoch: '', covered: undefined, missed: undefined };
    lease.until = now + LEASE_MS;
    this.#leases.set(node, lease);
    if (!this.#holders.has(peer)) {
      this.#holders.add(peer);
      peer.onLeft(() => this.#left(peer));
    }
    return lease;
  }

  async #store(teller: Teller, { epoch, rows, last }: ToldLog, from: number | undefined): Promise<Taken> {
    const { id: here, fault } = this.#options;
    const { node } = teller;
    const refused: { id: number; error: string }[] = [];
    const aside: SetAside[] = [];
    const fit: ForeignRow[] = [];
    const ids: number[] = [];
    let known = 0;
    for (const { id, data: value, origin, ...row } of rows) {
      const data = JSON.stringify(value ?? null);
      if (row.node === here) known++;
      else if (row.node !== node && !teller.speaksFor(row.node)) refused.push({ id, error: 'FORBIDDEN' });
      else {
        const error = fault(data, value);
        if (error === undefined) {
          const own = row.node === node || origin === undefined;
          fit.push({ ...row, data, epoch: own ? epoch : origin.epoch, originId: own ? id : origin.id });
          ids.push(id);
        } else {
          refused.push({ id, error });
          aside.push({ originId: id, reason: error, text: JSON.stringify({ id, ...row, data: value }) });
        }
      }
    }
    const page = { node, epoch, rows: fit, aside, ...(from !== undefined && { from }), last };
    const { rows: adopted, cursor } = await this.#options.adopt(page, (target) => teller.speaksFor(target));
    let stored = 0;
    for (const [i, one] of adopted.entries()) {
      if (one === 'known') known++;
      else if (one === 'ended') refused.push({ id: ids[i] ?? 0, error: 'TOKEN_ENDED' });
      else stored++;
    }
    const before = this.#cursors.get(node)?.epoch;
    this.#cursors.set(node, { node, epoch, last: cursor });
    if (before !== undefined && before !== epoch) this.#options.renewed(node);
    this.#count(node, stored, known, refused);
    for (const waiting of this.#waiting) if (waiting.node === node) waiting.check();
    return { stored, known, refused, last: cursor };
  }

  #count(node: string, stored: number, known: number, refused: readonly { id: number; error: string }[]): void {
    const { counters } = this;
    counters.rows += stored;
    counters.known += known;
    for (const { id, error } of refused) {
      if (error === 'FORBIDDEN') counters.refused++;
      else counters.aside++;
      const what = error === 'FORBIDDEN' ? 'is of a node that it may not speak for' : `is set aside (${error})`;
      this.#report(
        `${node} ${error}`,
        { node, row: id },
        `the row ${id} of the log of ${node} ${what}; the rest goes on`,
      );
    }
  }

  /** One that lasts is told once a minute. */
  #report(key: string, fields: object, message: string): void {
    const now = this.#options.clock.monotonic();
    if (now - (this.#reported.get(key) ?? Number.NEGATIVE_INFINITY) < SAME_REFUSAL_MS) return;
    this.#reported.set(key, now);
    this.#options.log.warn(fields, message);
  }

  /** `peer` says whether it carries `node` now: who else had its log to bring, or `peer` if it does not, brings no more of it. */
  carriedBy(node: string, peer: Peer, carries: boolean): void {
    if ((this.#leases.get(node)?.peer === peer) !== carries) this.#leases.delete(node);
  }

  #left(peer: Peer): void {
    for (const [node, lease] of this.#leases) if (lease.peer === peer) this.#leases.delete(node);
  }

  /** Resolves when the log of `node` is here up to `last`; rejects with NODE_UNREACHABLE where it does not come. */
  reaches(node: string, epoch: string, last: number): Promise<void> {
    const isHere = () => this.#cursors.get(node)?.epoch === epoch && this.positionOf(node, epoch) >= last;
    if (isHere()) return Promise.resolve();
    if (this.#waiting.size >= WAITING_LIMIT) {
      return Promise.reject(failure('BUSY', { what: 'The list of those who wait for logs', limit: WAITING_LIMIT }));
    }
    return new Promise((resolve, reject) => {
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(waiting);
      };
      const waiting = {
        node,
        check: () => {
          if (!isHere()) return;
          done();
          resolve();
        },
      };
      const timer = setTimeout(() => {
        done();
        const why = `did not bring its log within ${SYNC_LIMIT_MS / 1000} s`;
        reject(failure('NODE_UNREACHABLE', { target: node, why }));
      }, SYNC_LIMIT_MS);
      this.#waiting.add(waiting);
    });
  }
}
