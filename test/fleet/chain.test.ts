import { connect } from '@centreond/client';
import type { HistoryRow } from '@centreond/protocol';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../daemon-process.ts';
import { runs } from '../faults/ledger.ts';
import { Fleet, fresh } from './fleet.ts';
import { type Machine, PROXY, PULL } from './machine.ts';
import { report } from './report.ts';

/** The entry of a pushed node in its router's config. */
const entry = (machine: Machine, more: object = {}) => ({
  id: machine.id,
  type: 'push',
  address: machine.endpoint,
  fingerprint: machine.fingerprint,
  ...more,
});
const pullFrom = (router: Machine) => ({
  package: PULL,
  allowCore: true,
  config: { router: { address: router.endpoint, fingerprint: router.fingerprint } },
});
const asNode = (machine: Machine, more: object = {}) => ({
  identity: machine.id,
  fingerprint: machine.fingerprint,
  roles: ['node'],
  ...more,
});
const asRouter = (machine: Machine) => ({
  identity: machine.id,
  fingerprint: machine.fingerprint,
  roles: ['router'],
});

/** What the chain is made of: who connects to whom. */
const CHAINS = ['pull', 'push'] as const;

describe.each(CHAINS)('central, relay and poller, each linked by %s', (kind) => {
  let fleet: Fleet;
  let relay: Machine;
  let poller: Machine;
  let stranger: Machine;

  beforeAll(async () => {
    fleet = await Fleet.prepare();
    relay = await fleet.machine({ id: 'relay', door: true });
    poller = await fleet.machine({ id: 'poller', door: true });
    // Behind the relay too, and on nobody's list.
    stranger = await fleet.machine({ id: 'stranger', door: true });
    const { central } = fleet;
    if (kind === 'pull') {
      central.clients.push(asNode(relay, { subnodes: ['poller'] }));
      relay.settings.plugins?.push(pullFrom(central));
      for (const node of [poller, stranger]) {
        relay.clients.push(asNode(node));
        node.settings.plugins?.push(pullFrom(relay));
      }
    } else {
      central.settings.plugins?.push({ package: PROXY, config: { nodes: [entry(relay, { subnodes: ['poller'] })] } });
      relay.clients.push(asRouter(central));
      relay.settings.plugins?.push({ package: PROXY, config: { nodes: [entry(poller), entry(stranger)] } });
      for (const node of [poller, stranger]) node.clients.push(asRouter(relay));
    }
    await fleet.start([relay, poller, stranger]);
    await reachable();
    report(`on ${fleet.network.description}`);
  });
  afterAll(async () => fleet?.close());

  const reachable = async () => {
    let refusal = '';
    const answers = () =>
      fleet.alice.send('PING', {}, { target: 'poller' }).then(
        ({ data }) => data.id === 'poller',
        (error: unknown) => {
          refusal = String(error);
          return false;
        },
      );
    await until('the poller is reached', answers, 60_000).catch(async (error: Error) => {
      throw new Error(`${error.message} (${refusal}); the nodes are ${JSON.stringify(await fleet.nodes())}`);
    });
  };
  /** Rows of a token on one router, as `node code`. */
  const rowsOn = async (machine: Machine, token: string) => {
    const local = await connect({ address: machine.socket });
    const rows = await local.query({ token });
    await local.close();
    return rows.map(({ node, code }) => `${node} ${code}`);
  };

  test('a call runs at the end of the chain, once, under one token, and all its rows are read on each hop', async () => {
    const token = fresh(`call-${kind}`);
    const rows: HistoryRow[] = [];
    const options = { target: 'poller', token, onRow: (row: HistoryRow) => rows.push(row) };
    const outcome = await fleet.alice.call('ONCE', { ms: 0, rows: 3 }, options);
    expect(outcome).toMatchObject({ ok: true, row: { node: 'poller' } });
    const there = ['poller 0', 'poller 50', 'poller 50', 'poller 50', 'poller 2'];
    const seen = (own: readonly string[]) => expect.arrayContaining([...own, ...there]);
    expect(rows.map(({ node, code }) => `${node} ${code}`)).toEqual(seen(['central 0']));
    expect(rows.map(({ node, code }) => `${node} ${code}`).filter((row) => row.startsWith('poller'))).toEqual(there);
    expect(await rowsOn(poller, token)).toEqual(there);
    expect((await rowsOn(relay, token)).filter((row) => row.startsWith('poller'))).toEqual(there);
    expect([runs(poller).get(token), runs(relay).get(token), runs(fleet.central).get(token)]).toEqual([
      1,
      undefined,
      undefined,
    ]);
    // Sent again it is the same request.
    expect((await fleet.alice.send('ONCE', { ms: 0, rows: 3 }, { target: 'poller', token })).data).toMatchObject({
      duplicate: true,
    });
    expect(runs(poller).get(token)).toBe(1);
  });

  test('GETLOG with TARGET brings what the end of the chain has written', async () => {
    const local = await fleet.local(poller);
    const root = await fleet.local(fleet.central);
    for (let n = 1; n <= 5; n++) {
      const token = fresh(`log-${kind}-${n}`);
      await local.send('PUTLOG', { token, code: 50, data: { n } });
      const { data } = await root.send('GETLOG', { token }, { target: 'poller' });
      expect(data.result).toMatchObject([{ token, node: 'poller', data: { n } }]);
    }
    await local.close();
    await root.close();
  });

  test('a request is cancelled at the end of the chain by who sent it', async () => {
    const token = fresh(`cancel-${kind}`);
    const call = fleet.alice.call('ONCE', { ms: 60_000 }, { target: 'poller', token });
    await until('it runs there', async () => (await rowsOn(poller, token)).length > 0);
    await fleet.alice.cancel(token);
    expect(await call).toMatchObject({ ok: false, data: { error: 'CANCELLED' }, row: { node: 'poller' } });
  });

  test('an action that the poller does not have is refused before it is sent, and a node that is on no list is unknown', async () => {
    await expect(fleet.alice.send('NOSUCH', {}, { target: 'poller' })).rejects.toMatchObject({
      code: expect.stringMatching(/^(NODE_LACKS_ACTION|UNKNOWN_ACTION)$/),
    });
    await expect(fleet.alice.send('ECHO', {}, { target: 'stranger' })).rejects.toMatchObject({
      code: 'UNKNOWN_TARGET',
    });
    // The relay itself reaches it: only the central was not told to take it.
    const local = await fleet.local(relay);
    await until(
      'the relay reaches it',
      () =>
        local.send('PING', {}, { target: 'stranger' }).then(
          ({ data }) => data.id === 'stranger',
          () => false,
        ),
      30_000,
    );
    await local.close();
  });

  test('the relay is killed with -9 while requests are under way: each ends once and runs once', async () => {
    const tokens = Array.from({ length: 20 }, (_, i) => fresh(`relay-${kind}-${i}`));
    const calls = tokens.map((token) =>
      fleet.alice.call('ONCE', { ms: 1000, rows: 2 }, { target: 'poller', token, timeoutMs: 60_000 }),
    );
    await until('they run', () => tokens.every((token) => runs(poller).has(token)), 30_000);
    await relay.end('SIGKILL');
    await relay.start();
    const outcomes = await Promise.all(calls).catch(async (error: Error) => {
      const hops = await Promise.all(
        [fleet.central, relay, poller].map((machine) => rowsOn(machine, tokens[0] as string)),
      );
      throw new Error(`${error.message} Its rows on each hop: ${hops.map((rows) => rows.join(', ')).join(' | ')}`);
    });
    expect(outcomes.map(({ ok, row }) => `${row.node} ${ok}`)).toEqual(tokens.map(() => 'poller true'));
    expect(tokens.map((token) => runs(poller).get(token))).toEqual(tokens.map(() => 1));
    for (const token of tokens) {
      const rows = await fleet.alice.query({ token });
      expect(rows.filter(({ node }) => node === 'poller').map(({ code }) => code)).toEqual([0, 50, 50, 2]);
      expect(rows.filter(({ code }) => code === 1 || code === 2)).toHaveLength(1);
    }
    await reachable();
  });
});

describe('two relays to one poller', () => {
  let fleet: Fleet;
  const relays: Machine[] = [];
  let poller: Machine;

  beforeAll(async () => {
    fleet = await Fleet.prepare();
    poller = await fleet.machine({ id: 'poller', door: true });
    const nodes: object[] = [];
    for (const [i, score] of [5, 1].entries()) {
      const relay = await fleet.machine({ id: `relay-${i + 1}`, door: true });
      relay.clients.push(asRouter(fleet.central));
      relay.settings.plugins?.push({ package: PROXY, config: { nodes: [entry(poller)] } });
      poller.clients.push(asRouter(relay));
      nodes.push(entry(relay, { score, subnodes: ['poller'] }));
      relays.push(relay);
    }
    fleet.central.settings.plugins?.push({ package: PROXY, config: { nodes } });
    await fleet.start([poller, ...relays]);
    await until(
      'both relays announce it',
      async () => {
        const with_ = (await fleet.nodes()).filter(({ subnodes }) => (subnodes as string[]).includes('poller'));
        return with_.length === 2;
      },
      60_000,
    );
  });
  afterEach(() => {
    expect([...runs(poller)].filter(([, times]) => times > 1)).toEqual([]);
  });
  afterAll(async () => fleet?.close());

  /** The relays over which a token went. */
  const over = async (token: string) => {
    const went: string[] = [];
    for (const relay of relays.filter(({ running }) => running)) {
      const local = await connect({ address: relay.socket });
      const rows = await local.query({ token });
      if (rows.some(({ node }) => node === relay.id)) went.push(relay.id);
      await local.close();
    }
    return went;
  };
  const codes = async (token: string) =>
    (await fleet.alice.query({ token })).filter(({ node }) => node === 'poller').map(({ code }) => code);

  test('the lower score wins; the rows arrive once, though both bring them', async () => {
    for (let n = 1; n <= 10; n++) {
      const token = fresh(`lower-${n}`);
      await fleet.alice.call('ONCE', { ms: 0, rows: 2 }, { target: 'poller', token, timeoutMs: 60_000 });
      expect(await over(token)).toEqual(['relay-2']);
      expect(await codes(token)).toEqual([0, 50, 50, 2]);
    }
  });

  test('it fails over while requests are under way, and goes back to the better way when that is there again', async () => {
    const [spare, better] = relays as [Machine, Machine];
    const tokens = Array.from({ length: 10 }, (_, i) => fresh(`over-${i}`));
    const calls = tokens.map((token) =>
      fleet.alice.call('ONCE', { ms: 2000, rows: 2 }, { target: 'poller', token, timeoutMs: 60_000 }),
    );
    await until('they run', () => tokens.every((token) => runs(poller).has(token)), 30_000);
    await better.end('SIGKILL');
    expect((await Promise.all(calls)).map(({ ok }) => ok)).toEqual(tokens.map(() => true));
    for (const token of tokens) expect(await codes(token)).toEqual([0, 50, 50, 2]);
    const sent = performance.now();
    let by: string[] = [];
    for (let n = 1; by.length === 0; n++) {
      const token = fresh(`spare-${n}`);
      const outcome = await fleet.alice
        .call('ONCE', { ms: 0 }, { target: 'poller', token, timeoutMs: 60_000 })
        .catch(() => undefined);
      if (outcome?.ok) by = await over(token);
      if (performance.now() - sent > 40_000) throw new Error('it does not fail over within 40 s');
    }
    expect(by).toEqual([spare.id]);
    await better.start();
    let n = 0;
    await until(
      'the better way is taken again',
      async () => {
        const token = fresh(`better-${++n}`);
        await fleet.alice.call('ONCE', { ms: 0 }, { target: 'poller', token, timeoutMs: 60_000 });
        return (await over(token)).includes(better.id);
      },
      60_000,
    );
  });
});
