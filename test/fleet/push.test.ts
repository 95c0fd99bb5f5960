import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type Client, connect } from '@centreond/client';
import type { Outcome } from '@centreond/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

const PROBE = path.join(ROOT, 'test/fixtures/probe');
const PROXY = path.join(ROOT, 'plugins/proxy');
/** Processes start behind everything else on a machine that has much to do. */
const LIMIT_MS = 30_000;
const TEST_MS = 90_000;

interface Node {
  id: string;
  [key: string]: unknown;
}

const central = new DaemonProcess();
const paris = new DaemonProcess({ core: { id: 'paris', labels: { site: 'paris', role: 'db' } } });
const oslo = new DaemonProcess({ core: { id: 'oslo' }, plugins: [{ package: PROBE }] });
const ledger = path.join(paris.folder, 'ledger');
const who = { root: central.client('root', ['admin']), alice: central.client('alice') };
let root: Client;
let alice: Client;

const nodes = async () => (await alice.send('CONSTATUS')).data.nodes as unknown as Node[];
const node = async (id: string) => (await nodes()).find((one) => one.id === id);
const isUp = (id: string) => async () => (await node(id))?.state === 'up';
const entry = (id: string, daemon: DaemonProcess, more: object = {}) => ({
  id,
  type: 'push',
  address: daemon.endpoint,
  fingerprint: daemon.fingerprint,
  ...more,
});
const runs = () => readFileSync(ledger, 'utf8').split('\n').filter(Boolean);
const toParis = { target: 'paris' };

/** A daemon's key before its first start. */
const keyOf = async (daemon: DaemonProcess): Promise<string> => {
  daemon.writeConfig();
  return JSON.parse((await daemon.cli('keys', 'show', '--json')).stdout).fingerprint;
};

beforeAll(async () => {
  const [fingerprint, parisian] = await Promise.all([keyOf(central), keyOf(paris)]);
  for (const daemon of [paris, oslo]) daemon.clients.push({ identity: 'central', fingerprint, roles: ['router'] });
  oslo.clients.push({ identity: 'paris', fingerprint: parisian, roles: ['router'] });
  await oslo.start();
  writeFileSync(ledger, '');
  paris.settings.plugins = [
    { package: PROBE, config: { ledger } },
    { package: PROXY, config: { nodes: [entry('oslo', oslo)] } },
  ];
  await paris.start();
  const config = { nodes: [entry('paris', paris, { name: 'Paris', subnodes: ['oslo'], labels: { role: 'web' } })] };
  central.settings.plugins = [{ package: PROXY, config }];
  await central.start();
  [root, alice] = await Promise.all([connect(central.door(who.root)), connect(central.door(who.alice))]);
  await until('paris is up', isUp('paris'), LIMIT_MS);
}, TEST_MS);
afterAll(async () => {
  await root?.close();
  await alice?.close();
  await Promise.all([central, paris, oslo].map((daemon) => daemon.dispose()));
});

test('a pushed node is shown with its actions, version, clock, and how long it takes to answer', async () => {
  // What takes an answer to know comes after it is up.
  await expect
    .poll(() => node('paris'), { timeout: 20_000 })
    .toEqual({
      id: 'paris',
      name: 'Paris',
      kind: 'push',
      address: expect.stringMatching(/^tcp:/),
      state: 'up',
      reason: null,
      // Its own, and what its entry here says: that wins.
      labels: { site: 'paris', role: 'web' },
      lastPing: expect.any(Number),
      lastPong: expect.any(Number),
      roundTripMs: expect.any(Number),
      clockSkewSeconds: expect.any(Number),
      cursor: expect.any(Number),
      version: expect.stringMatching(/^\d/),
      actions: expect.arrayContaining(['ECHO', 'STEPS']),
      subnodes: expect.any(Array),
    });
  expect(Math.abs(Number((await node('paris'))?.clockSkewSeconds))).toBeLessThan(5);
});

test('PING and requests reach it, its rows come back, and what it does not have is refused at once', async () => {
  expect((await alice.send('PING', {}, toParis)).data).toMatchObject({ id: 'paris' });
  const outcome = await alice.call('STEPS', { rows: 2 }, toParis);
  expect(outcome).toMatchObject({ ok: true, data: { rows: 2 }, row: { node: 'paris' } });
  expect((await alice.query({ token: outcome.token })).map(({ node: at, code }) => `${at} ${code}`)).toEqual([
    'central 0',
    'paris 0',
    'paris 50',
    'paris 50',
    'paris 2',
  ]);
  expect(await alice.call('STEPS', { rows: 'x' }, toParis)).toMatchObject({
    ok: false,
    data: { error: 'INVALID_DATA' },
  });
  await expect(alice.send('ECH', {}, toParis)).rejects.toMatchObject({ code: 'NODE_LACKS_ACTION' });
});

test(
  'a node behind it is reached over it, as one hop',
  async () => {
    await until(
      'oslo is known behind paris',
      async () => isDeepStrictEqual((await node('paris'))?.subnodes, ['oslo']),
      LIMIT_MS,
    );
    const outcome = await alice.call('STEPS', { rows: 1 }, { target: 'oslo' });
    expect(outcome).toMatchObject({ ok: true, row: { node: 'oslo' } });
    const there = await connect({ address: oslo.socket });
    expect((await there.query({ token: outcome.token }))[0]).toMatchObject({ data: { owner: 'paris/alice' } });
    await there.close();
    await expect(alice.send('ECH', {}, { target: 'oslo' })).rejects.toMatchObject({ code: 'NODE_LACKS_ACTION' });
  },
  TEST_MS,
);

test(
  'another router at its address is told, and gets nothing',
  async () => {
    expect((await root.call('ADDNODE', entry('nice', oslo))).data).toEqual({ id: 'nice', added: true });
    await until(
      'it is known who answers',
      () => central.stderr.includes('answers the router oslo, not nice'),
      LIMIT_MS,
    );
    await until('that is announced', async () => (await node('nice'))?.state === 'unreachable', LIMIT_MS);
    await expect(root.send('PING', {}, { target: 'nice' })).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
    await root.call('DELNODE', { id: 'nice' });
    expect(await node('nice')).toBeUndefined();
  },
  TEST_MS,
);

describe('a node that is added at run time', () => {
  test(
    'is carried at once, and over reload, restart and crash, until it is taken away',
    async () => {
      // By which instance it is carried is for its id to say: both are asked to add one.
      for (const id of ['oslo', 'bonn']) {
        const at = id === 'oslo' ? entry(id, oslo) : { ...entry(id, oslo), address: 'tcp://127.0.0.1:1' };
        expect(await root.call('ADDNODE', at)).toMatchObject({ ok: true, data: { id, added: true } });
        expect(await node(id)).toMatchObject({ kind: 'push' });
      }
      await until('oslo is up', isUp('oslo'), LIMIT_MS);
      const refused = async (action: string, data: object) => (await root.call(action, data)).data;
      expect(await refused('DELNODE', { id: 'paris' })).toMatchObject({ error: 'FORBIDDEN' });
      expect(await refused('ADDNODE', entry('paris', oslo))).toMatchObject({ error: 'INVALID_DATA' });
      await expect(alice.call('DELNODE', { id: 'oslo' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
      await root.call('RELOADPLUGIN', { type: 'proxy' });
      expect(await node('oslo')).toMatchObject({ state: 'up' });
      await central.end('SIGKILL');
      await central.start();
      await until('oslo and paris are up', async () => (await isUp('oslo')()) && (await isUp('paris')()), LIMIT_MS);
      expect(await node('bonn')).toMatchObject({ state: expect.stringMatching('connecting|unreachable') });
      for (const id of ['oslo', 'bonn']) {
        expect((await root.call('DELNODE', { id })).data).toEqual({ id, deleted: true });
        expect(await node(id)).toBeUndefined();
        expect((await root.call('DELNODE', { id })).data).toEqual({ id, deleted: false });
      }
    },
    TEST_MS,
  );
});

test(
  'a reload under load loses nothing, runs nothing twice, and no request is refused meanwhile',
  async () => {
    const before = runs().length;
    const calls: Promise<Outcome>[] = [];
    let loading = true;
    const load = (async () => {
      for (let i = 0; loading; i++) {
        calls.push(alice.call('ONCE', { ms: 5 }, { ...toParis, token: `load-${i}` }));
        calls.at(-1)?.catch(() => undefined);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    await root.call('RELOADPLUGIN', { type: 'proxy' });
    await root.call('RELOADPLUGIN', { type: 'proxy' });
    loading = false;
    await load;
    // What was deleted before stays so.
    expect((await nodes()).map(({ id }) => id)).toEqual(['paris']);
    const outcomes = await Promise.all(calls);
    expect(outcomes.filter(({ ok }) => !ok)).toEqual([]);
    const made = runs().slice(before);
    expect(made.length).toBe(outcomes.length);
    expect(new Set(made).size).toBe(made.length);
  },
  TEST_MS,
);

test(
  'a node that is killed is noticed, what is held for it waits, and it is back by itself',
  async () => {
    await paris.end('SIGKILL');
    await until('paris is not up', async () => !(await isUp('paris')()));
    await expect(alice.send('ECHO', {}, toParis)).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
    const held = alice.call('ECHO', { kept: true }, { ...toParis, envelope: { hold: true } });
    await paris.start();
    await until('paris is up', isUp('paris'), LIMIT_MS);
    expect(await held).toMatchObject({ ok: true, data: { kept: true } });
  },
  TEST_MS,
);

test(
  'nodes that the config has no more are forgotten, and new ones are carried, by a SIGHUP',
  async () => {
    central.settings.plugins = [{ package: PROXY, config: { nodes: [entry('oslo', oslo)] } }];
    central.writeConfig();
    process.kill(central.pid, 'SIGHUP');
    await until('oslo is up and paris is gone', async () => (await isUp('oslo')()) && !(await node('paris')), LIMIT_MS);
  },
  TEST_MS,
);
