import { createHash } from 'node:crypto';
import { copyFileSync, existsSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Trust } from '../../../core/dist/doors/trust.js';
import type { Invitation, TrustRecord } from '../../../core/dist/doors/trust-file.js';
import { mergeTrust, sameTrust } from '../../../core/dist/doors/trust-merge.js';
import { changeOf, tokenOf } from '../../../core/dist/doors/trust-record.js';
import type { Role } from '../../../core/dist/router/peer.js';
import { isCentreondError } from '../../../plugin-sdk/protocol/dist/index.js';
import { TestClock, until } from './attacker.ts';
import { SharedRouter } from './shared-router.ts';
import { FakeTable } from './shared-table.ts';

const RUNS = process.env.LONG ? 500 : 40;
/** A failure is made smaller for so long. */
const LIMITS = process.env.LONG ? {} : { interruptAfterTimeLimit: 60_000 };
const KEYS = [0, 1, 2, 3, 4].map((i) => createHash('sha256').update(`key ${i}`).digest('base64url'));
const NAMES = ['oslo', 'rome', 'york'];
const EPOCH = 1_790_000_000_000;

const key = fc.constantFrom(...KEYS);
const name = fc.constantFrom(...NAMES);
const who = fc.nat(2);
const Move = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('accept'), who, key, name, admin: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('revoke'), who, which: fc.oneof(key, name) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('invite'), who, name }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('enrol'), who, key, token: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('rename'), who, name, to: name }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('offline'), who, key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('kill'), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('copy'), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('put back'), who }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('hint'), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('trouble'), conflicts: fc.nat(2), lost: fc.nat(1) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('away'), away: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('turns'), turns: fc.nat(20), ms: fc.nat(5000) }) },
);
type Move = typeof Move extends fc.Arbitrary<infer T> ? T : never;

/** Three routers over one table, and what must not be lost of all that was ever decided at any of them. */
class World {
  readonly table = new FakeTable();
  readonly routers: SharedRouter[];
  readonly invitations: Invitation[] = [];
  readonly #seen: TrustRecord[] = [];
  /** Revocations that an operator accepted a key over, knowing of them. */
  readonly #over = new Set<string>();

  constructor(delays: readonly number[]) {
    let calls = 0;
    const delay = () => delays[calls++ % delays.length] ?? 0;
    // The clocks of three machines.
    this.routers = [0, 40, -70].map((skew) => new SharedRouter(this.table, new TestClock(EPOCH + skew), { delay }));
  }

  async move(move: Move): Promise<void> {
    if (move.do === 'turns') {
      for (const { clock } of this.routers) clock.advance(move.ms);
      for (let turns = move.turns; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
    } else if (move.do === 'away') this.table.isAway = move.away;
    else if (move.do === 'trouble') {
      this.table.conflicts = move.conflicts;
      this.table.lostAnswers = move.lost;
    } else await this.#at(this.routers[move.who] as SharedRouter, move);
  }

  async #at(router: SharedRouter, move: Extract<Move, { who: number }>): Promise<void> {
    for (const { clock } of this.routers) clock.advance(1);
    const copy = `${router.folder}/copy`;
    if (move.do === 'hint') router.shared.changed();
    else if (move.do === 'copy') {
      if (existsSync(router.file)) copyFileSync(router.file, copy);
    } else if (move.do === 'kill') {
      await router.kill();
      await this.#restart(router);
    } else if (move.do === 'offline') {
      await router.kill();
      this.#decide(router.offline(), { ...move, do: 'revoke', which: move.key }, router);
      await this.#restart(router);
    } else if (move.do === 'put back') {
      // What only the newer copy has is lost with it: a restore begins with a stop.
      this.table.isAway = false;
      await router.inStep();
      await router.stop();
      if (existsSync(copy)) copyFileSync(copy, router.file);
      await this.#restart(router);
    } else this.#decide(router.trust, move, router);
  }

  #decide(trust: Trust, move: Extract<Move, { who: number }>, router: SharedRouter): void {
    const before = router.record;
    try {
      if (move.do === 'accept') {
        const { key: fingerprint, name: identity } = move;
        trust.accept({ fingerprint, identity, roles: [move.admin ? 'admin' : 'client'] });
        for (const mark of before.revoked) if (mark.fingerprint === fingerprint) this.#over.add(text(mark));
      } else if (move.do === 'revoke') trust.revoke(move.which);
      else if (move.do === 'invite') {
        trust.invite({ identity: move.name, seconds: 3600, by: 'root' });
        this.invitations.push(...router.record.invited);
      } else if (move.do === 'rename') trust.rename(move.name, move.to);
      else if (move.do === 'enrol') {
        const invitation = this.invitations.at(-1 - move.token);
        if (invitation) trust.enrol(invitation, move.key);
      }
    } catch (error) {
      if (!isCentreondError(error) || error.code !== 'KEY_REFUSED') throw error;
    }
    this.#seen.push(router.record);
  }

  async #restart(router: SharedRouter): Promise<void> {
    this.table.isAway = false;
    await router.start();
  }

  /** Everybody hears of what everybody wrote. */
  async settle(): Promise<void> {
    Object.assign(this.table, { isAway: false, conflicts: 0, lostAnswers: 0 });
    const isOne = () =>
      this.routers.every(
        ({ shared, record }) => !shared.counters.waiting && sameTrust(record, this.routers[0]?.record ?? record),
      );
    await until(async () => {
      for (const { shared } of this.routers) shared.changed();
      for (const router of this.routers) await router.inStep();
      return isOne();
    }, 'one record at all routers');
  }

  /** What is wrong with what all routers came to. */
  check(): void {
    const [record] = this.routers.map((router) => router.record);
    if (!record) throw new Error('no router');
    const inTable = JSON.parse(this.table.record) as TrustRecord;
    expect(sameTrust(record, inTable)).toBe(true);
    const shut = new Set(record.revoked.map(({ fingerprint }) => fingerprint));
    for (const { trust } of this.routers) for (const one of shut) expect(trust.lookup(one)).toBeUndefined();
    this.#checkRevocations(record);
    this.#checkAcceptances(record);
    // One key for an identity, one for a token, one identity for a key; nobody by a token that was withdrawn.
    const { accepted, spent, invited } = record;
    const tokens = accepted.flatMap(({ token }) => (token === undefined ? [] : [token]));
    for (const list of [tokens, accepted.map((one) => one.identity), accepted.map((one) => one.fingerprint)]) {
      expect(new Set(list).size).toBe(list.length);
    }
    const withdrawn = new Set(spent.flatMap((one) => (one.withdrawn ? [one.token] : [])));
    expect(tokens.filter((token) => withdrawn.has(token))).toEqual([]);
    // A token that anybody used or withdrew is open nowhere.
    const gone = new Set(this.#seen.flatMap((one) => one.spent.map(({ token }) => token)));
    expect(invited.filter((one) => gone.has(tokenOf(one)))).toEqual([]);
  }

  #checkRevocations(record: TrustRecord): void {
    const kept = new Set(record.revoked.map(text));
    for (const seen of this.#seen.flatMap(({ revoked }) => revoked.map(text))) {
      expect(kept.has(seen) || this.#over.has(seen), `the revocation ${seen} is there or was accepted over`).toBe(true);
    }
    // A revocation that was taken back is so because of an operator who knew it.
    for (const mark of record.lifted) expect(this.#over.has(text(mark))).toBe(true);
  }

  #checkAcceptances(record: TrustRecord): void {
    for (const seen of this.#seen) for (const entry of seen.accepted) this.#checkAcceptance(record, seen, entry);
  }

  #checkAcceptance(record: TrustRecord, seen: TrustRecord, entry: TrustRecord['accepted'][number]): void {
    const is = (one: { fingerprint: string }) => one.fingerprint === entry.fingerprint;
    const isThere = record.accepted.some((one) => is(one) && changeOf(one) >= changeOf(entry));
    // It met a revocation that who accepted the key did not know of, which may have been taken back since.
    const knew = new Set(seen.lifted.map(text));
    const isRevoked = [...record.revoked, ...record.lifted].some((mark) => is(mark) && !knew.has(text(mark)));
    const isDropped = record.dropped.some((mark) => is(mark) && mark.at >= changeOf(entry));
    const isWithdrawn = record.spent.some((one) => one.withdrawn && one.token === entry.token);
    expect(
      isThere || isRevoked || isDropped || isWithdrawn,
      `${entry.fingerprint} is still ${entry.identity}, or that is over`,
    ).toBe(true);
  }
}

function text({ fingerprint, at }: { fingerprint: string; at: number }): string {
  return `${fingerprint} ${at}`;
}

async function played(moves: readonly Move[], delays: readonly number[]): Promise<void> {
  const world = new World(delays);
  try {
    await Promise.all(world.routers.map((router) => router.start()));
    for (const move of moves) await world.move(move);
    await world.settle();
    world.check();
  } finally {
    for (const router of world.routers) await router.remove();
  }
}

test('whatever is decided where, and whatever fails meanwhile, all routers come to one record in which nothing is lost', async () => {
  const moves = fc.array(Move, { minLength: 5, maxLength: 40, size: 'max' });
  const delays = fc.array(fc.nat(6), { minLength: 1, maxLength: 7 });
  await fc.assert(fc.asyncProperty(moves, delays, played), { numRuns: RUNS, ...LIMITS });
}, 600_000);

const at = fc.integer({ min: 1, max: 6 });
const mark = fc.record({ fingerprint: key, at });
const token = fc.constantFrom(...KEYS);
const Accepted = fc.record(
  { identity: name, fingerprint: key, roles: fc.constantFrom<Role[]>(['node'], ['admin']), at, token },
  { requiredKeys: ['identity', 'fingerprint', 'roles', 'at'] },
);
const Invited = fc.record({ identity: name, key: token, at, until: fc.constant(10), by: fc.constant('root') });
const Spent = fc
  .record({ token, until: fc.constant(10), withdrawn: fc.boolean() })
  .map(({ withdrawn, ...rest }) => ({ ...rest, ...(withdrawn && { withdrawn: true as const }) }));
const list = <T>(one: fc.Arbitrary<T>) => fc.array(one, { maxLength: 4 });
const Trusting: fc.Arbitrary<TrustRecord> = fc.record({
  ...{ version: fc.constant(1 as const), accepted: list(Accepted), revoked: list(mark), invited: list(Invited) },
  ...{ lifted: list(mark), dropped: list(mark), spent: list(Spent) },
});

test('two records come to the same whichever is first, and coming together again changes nothing', () => {
  fc.assert(
    fc.property(Trusting, Trusting, (a, b) => {
      const both = mergeTrust(a, b, 5).record;
      expect(mergeTrust(b, a, 5).record).toEqual(both);
      expect(mergeTrust(both, both, 5)).toEqual({ record: both, warnings: [] });
      expect(mergeTrust(both, a, 5).record).toEqual(both);
    }),
    { numRuns: 25 * RUNS },
  );
});
