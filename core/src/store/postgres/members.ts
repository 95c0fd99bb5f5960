import {
  type CarriedNode,
  DEAD_AFTER_SECONDS,
  Fenced,
  type Heartbeat,
  LOCKS_FREE_AFTER_SECONDS,
  type Members,
  type RouterRecord,
  type RouterStays,
  routerStateOf,
} from '../membership.ts';
import type { RequestRecord } from '../request-record.ts';
import type { Address } from './address.ts';
import { bigintArray, textArray } from './arrays.ts';
import type { Cells } from './cells.ts';
import { clusterSecret } from './cluster-secret.ts';
import { type Entered, enterRouter, type RouterSelf } from './entry.ts';
import { forgetRouter } from './forgotten-router.ts';
import { Link } from './link.ts';
import { BEAT, CARRIED, CARRY, CLAIM, GONE, HOLDER, KEEP, LOCK, NEWS, WRITE_TRUST } from './member-statements.ts';
import { openRequest, SELECT_OPEN_HERE } from './records.ts';
import { LOCKS } from './schema.ts';
import type { Session, Statement, Value } from './session.ts';

const LOCK_MS = 2000;
/** Requests that are taken over in one transaction: no heartbeat waits for more. */
const TAKEN_AT_ONCE = 10_000;

/**
 * The server ends the session of a router that is paused, whose locks others wait for: its machine still says that it is there. A router
 * that does not reach the server has ended by then what runs by those locks.
 */
const PULSE = {
  ...{
    idle_session_timeout: `${LOCKS_FREE_AFTER_SECONDS}s`,
    tcp_keepalives_idle: '6',
    tcp_keepalives_interval: '2',
    tcp_keepalives_count: '3',
  },
} as const;

/** No heartbeat waits for what a paused router holds. */
const TALK = { lock_timeout: `${LOCK_MS}ms` } as const;

/** This router among those of its database: two sessions of its own, so that no question holds up a heartbeat for long. */
export class PostgresMembers implements Members {
  /** Heartbeats, locks and what is taken over. */
  readonly #pulse: Link;
  /** Everything else. */
  readonly #talk: Link;
  readonly #cluster: string;
  readonly #me: Entered;
  onOpened: Members['onOpened'] = () => {};
  onEnded: Members['onEnded'] = () => {};
  #busy: Promise<unknown> = Promise.resolve();
  #sessions = 0;

  private constructor(pulse: Link, talk: Link, cluster: string, me: Entered, counted: { change: () => void }) {
    this.#pulse = pulse;
    this.#talk = talk;
    this.#cluster = cluster;
    this.#me = me;
    counted.change = () => {
      this.#sessions++;
    };
  }

  /** Enters the router. Rejects with a plain Error that says what is wrong, and what to change. */
  static async open(url: string, address: Address, self: RouterSelf): Promise<PostgresMembers> {
    const counted = { change: () => {} };
    const pulse = await Link.open({
      ...{ url, address, name: `router ${self.node}`, settings: PULSE },
      away: () => counted.change(),
      back: () => counted.change(),
    });
    try {
      const me = await enterRouter(pulse.session, self);
      const talk = await Link.open({ url, address, name: `cluster ${self.node}`, settings: TALK });
      return new PostgresMembers(pulse, talk, self.cluster, me, counted);
    } catch (error) {
      await pulse.close();
      throw error;
    }
  }

  get fence(): number {
    return this.#me.fence;
  }

  get session(): number {
    return this.#sessions;
  }

  async beat(endpoint: string, load: object): Promise<Heartbeat> {
    const start = Date.now();
    const { number, fence } = this.#me;
    const found = await this.#alone((session) =>
      session.rows(BEAT, [number, fence, endpoint, JSON.stringify(load), this.#cluster, DEAD_AFTER_SECONDS]),
    );
    const middle = (start + Date.now()) / 2;
    const [first] = found;
    if (!first) throw new Fenced();
    const [clock, trust] = [first.number(), first.number()];
    const routers = found.map((cells, i) => routerRecord(cells, i > 0));
    return { routers, trust, clockSkewSeconds: Math.round(clock - middle) / 1000 };
  }

  async takeOver(): Promise<{ router: string; tokens: string[] } | undefined> {
    return this.#alone((session) =>
      session.transaction(async () => {
        // Heartbeats wait behind this.
        await session.rows(`SET LOCAL lock_timeout = '${LOCK_MS}ms'`);
        await this.#checkFence(session);
        const [found] = await session.rows(GONE, [this.#cluster, this.#me.number, DEAD_AFTER_SECONDS]);
        if (!found) return undefined;
        const [gone, router] = [found.number(), found.text()];
        const [raised] = await session.rows(
          'UPDATE centreond_writer SET fence = fence + 1 WHERE node = $1 RETURNING fence',
          [gone],
        );
        await session.rows(
          `UPDATE centreond_router SET fence = $2, state = CASE state WHEN 'up' THEN 'taken' ELSE state END WHERE node = $1`,
          [gone, raised?.number() ?? 0],
        );
        await session.rows('DELETE FROM centreond_carried WHERE router = $1', [gone]);
        const taken = await session.rows(
          `UPDATE centreond_open o SET router = $2, started = o.started OR r.target = $3 FROM centreond_request r
            WHERE o.id IN (SELECT id FROM centreond_open WHERE router = $1 ORDER BY id LIMIT $4) AND r.id = o.id
            RETURNING r.token`,
          [gone, this.#me.number, router, TAKEN_AT_ONCE],
        );
        return { router, tokens: taken.map((cells) => cells.text()) };
      }),
    );
  }

  async openHere(tokens: readonly string[]): Promise<RequestRecord[]> {
    const found = await this.#rows(SELECT_OPEN_HERE, [textArray([...tokens]), this.#me.number]);
    return found.map(openRequest).map(({ id, request: { state: _, ctime: __, ...request } }) => {
      this.onOpened(request.token, { id, action: request.action });
      return request;
    });
  }

  async claim(token: string, from: string, kept: number): Promise<RequestRecord | string | undefined> {
    const { number, fence } = this.#me;
    const claimed = await this.#rows(CLAIM, [token, from, number, fence, kept]);
    if (claimed.length === 0) return this.holderOf(token);
    const [request] = await this.openHere([token]);
    return request;
  }

  async keep(token: string): Promise<number | undefined> {
    const { number, fence } = this.#me;
    const [kept] = await this.#rows(KEEP, [token, number, fence]);
    return kept?.number();
  }

  ended(token: string): void {
    this.onEnded(token);
  }

  async holderOf(token: string): Promise<string | undefined> {
    const [found] = await this.#rows(HOLDER, [token]);
    return found?.text();
  }

  async newsOf(seen: ReadonlyMap<string, number>): Promise<Map<string, number>> {
    if (seen.size === 0) return new Map();
    const found = await this.#rows(NEWS, [textArray([...seen.keys()]), bigintArray([...seen.values()])]);
    return new Map(found.map((cells) => [cells.text(), cells.number()]));
  }

  async carry(nodes: readonly Omit<CarriedNode, 'router'>[], gone: readonly string[], all: boolean): Promise<void> {
    const { number, fence } = this.#me;
    const ids = nodes.map(({ node }) => node);
    await this.#rows(CARRY, [
      number,
      fence,
      textArray(ids),
      textArray(nodes.map(({ told }) => told)),
      textArray([...gone]),
      all,
    ]);
  }

  async carried(): Promise<CarriedNode[]> {
    const found = await this.#rows(CARRIED, [this.#cluster, this.#me.number]);
    return found.map((cells) => ({ router: cells.text(), node: cells.text(), told: cells.text() }));
  }

  async forget(router: string): Promise<'forgotten' | 'unknown' | RouterStays> {
    return forgetRouter(this.#talk.session, { ...this.#me, cluster: this.#cluster }, router);
  }

  async lock(name: string): Promise<boolean> {
    return this.#alone(async (session) => {
      const { number, fence } = this.#me;
      const [got] = await session.rows(LOCK, [LOCKS.application, name, number, fence]);
      if (!got) throw new Fenced();
      return got.bool();
    });
  }

  async unlock(name: string): Promise<void> {
    await this.#alone((session) =>
      session.rows('SELECT pg_advisory_unlock($1, hashtext($2))', [LOCKS.application, name]),
    );
  }

  secret(): Promise<string> {
    return clusterSecret(this.#talk.session, this.#cluster);
  }

  async readTrust(): Promise<{ version: number; record: string } | undefined> {
    const [found] = await this.#rows('SELECT version, record FROM centreond_trust WHERE cluster = $1', [this.#cluster]);
    return found && { version: found.number(), record: found.text() };
  }

  async writeTrust(record: string, over: number): Promise<boolean> {
    const { number, fence } = this.#me;
    const written = await this.#rows(WRITE_TRUST, [this.#cluster, record, over, number, fence]);
    return written.length > 0;
  }

  async leave(): Promise<void> {
    const { number, fence } = this.#me;
    await this.#alone((session) =>
      session.rows(`UPDATE centreond_router SET state = 'stopped', beat = '-infinity' WHERE node = $1 AND fence = $2`, [
        number,
        fence,
      ]),
    );
  }

  async close(): Promise<void> {
    await Promise.all([this.#pulse.close(), this.#talk.close()]);
  }

  async #checkFence(session: Session): Promise<void> {
    const { number, fence } = this.#me;
    const [me] = await session.rows('SELECT 1 FROM centreond_router WHERE node = $1 AND fence = $2 FOR UPDATE', [
      number,
      fence,
    ]);
    if (!me) throw new Fenced();
  }

  async #rows(statement: string | Statement, values: readonly Value[]): Promise<Cells[]> {
    return this.#talk.session.rows(statement, values);
  }

  /** One after the other: statements of a transaction stand together. */
  #alone<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const done = this.#busy.then(() => work(this.#pulse.session));
    this.#busy = done.catch(() => {});
    return done;
  }
}

/** A row of {@link BEAT}; `isFull` where its first two cells were not read yet. */
function routerRecord(cells: Cells, isFull: boolean): RouterRecord {
  if (isFull) {
    cells.number();
    cells.number();
  }
  const [id, fingerprint, endpoint, version] = [cells.text(), cells.text(), cells.text(), cells.text()];
  const state = routerStateOf(cells.text());
  const [startedAt, silentSeconds] = [cells.number(), cells.number()];
  return { id, fingerprint, endpoint, version, state, startedAt, silentSeconds, load: cells.text() };
}
