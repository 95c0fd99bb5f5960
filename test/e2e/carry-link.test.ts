import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import type { HistoryRow } from '@centreond/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

const PROBE = path.join(ROOT, 'test/fixtures/probe');
const BRIDGE = path.join(ROOT, 'test/fixtures/bridge');
const central = new DaemonProcess({ plugins: [] });
const paris = new DaemonProcess({ core: { id: 'paris' }, plugins: [{ package: PROBE }] });
const who = { root: central.client('root', ['admin']), alice: central.client('alice') };
let admin: Client;
let alice: Client;

beforeAll(async () => {
  await central.start();
  paris.clients.push({ identity: 'central', fingerprint: central.fingerprint, roles: ['router'] });
  await paris.start();
  [admin, alice] = await Promise.all([connect(central.door(who.root)), connect(central.door(who.alice))]);
  const config = { node: 'paris', address: paris.endpoint, fingerprint: paris.fingerprint };
  expect((await admin.call('LOADPLUGIN', { package: BRIDGE, config })).ok).toBe(true);
  await until('paris is up', async () => (await nodeState()) === 'up');
});
afterAll(async () => {
  await admin?.close();
  await alice?.close();
  await central.dispose();
  await paris.dispose();
});

const data = async (action: string, input: object = {}) => (await admin.call(action, input)).data;
const nodeState = async () => {
  const nodes = (await alice.send('CONSTATUS')).data.nodes as { id: string; state: string }[];
  return nodes.find(({ id }) => id === 'paris')?.state;
};

test("a plugin links to another router as this one, signed by the core, which counts it; the key stays the core's", async () => {
  expect(await data('OVERTHERE', { action: 'ECHO', data: { back: 1 } })).toEqual({
    ok: true,
    output: { back: 1 },
    node: 'paris',
  });
  expect(await data('OVERTHERE', { action: 'LOCKED', data: {} })).toBe('FORBIDDEN');
  expect(await data('LINKPING')).toMatchObject({ id: 'paris', roundTripMs: expect.any(Number) });
  const { counters } = (await admin.send('INFORMATION')).data as { counters: { signatures: number } };
  expect(counters.signatures).toBe(2);
  await expect(admin.send('SIGN', { label: 'client auth', hash: 'A'.repeat(43) })).rejects.toMatchObject({
    code: 'FORBIDDEN',
  });
});

test('a request for the other router runs there, once, for its sender, and its rows come back', async () => {
  const rows: HistoryRow[] = [];
  const outcome = await alice.call('STEPS', { rows: 3 }, { target: 'paris', onRow: (row) => rows.push(row) });
  expect(outcome).toMatchObject({ ok: true, data: { rows: 3 }, row: { node: 'paris' } });
  expect(rows.map(({ node, code }) => `${node} ${code}`)).toEqual([
    'central 0',
    'paris 0',
    'paris 50',
    'paris 50',
    'paris 50',
    'paris 2',
  ]);
  const there = await connect({ address: paris.socket });
  const [accepted] = await there.query({ token: outcome.token });
  expect(accepted).toMatchObject({ data: { owner: 'central/alice' } });
  await there.close();
  expect(await alice.call('STEPS', { rows: 'x' }, { target: 'paris' })).toMatchObject({
    ok: false,
    data: { error: 'INVALID_DATA' },
  });
  expect((await alice.send('PING', {}, { target: 'paris' })).data).toMatchObject({ id: 'paris' });
});

test('a request is cancelled on the other router by who sent it', async () => {
  const call = alice.call('DEAF', { ms: 300 }, { target: 'paris', token: 'over-there' });
  await until('it runs there', async () => (await alice.query({ token: 'over-there' })).length === 2);
  await alice.cancel('over-there');
  expect(await call).toMatchObject({ data: { error: 'CANCELLED' }, row: { node: 'paris' } });
});

test('the link notices that the other router is gone, and comes back by itself', async () => {
  await paris.end('SIGKILL');
  await until('paris is not up', async () => (await nodeState()) !== 'up');
  await expect(alice.send('ECHO', {}, { target: 'paris' })).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
  await paris.start();
  await until('paris is up', async () => (await nodeState()) === 'up');
  expect((await alice.call('ECHO', { again: true }, { target: 'paris' })).data).toEqual({ again: true });
  expect(await data('LINKSTATES')).toEqual(['connecting', 'up', 'connecting', 'up']);
});
