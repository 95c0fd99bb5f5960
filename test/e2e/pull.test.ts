import { rmSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import type { HistoryRow } from '@centreond/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

const PROBE = path.join(ROOT, 'test/fixtures/probe');
const PULL = path.join(ROOT, 'plugins/pull');
const central = new DaemonProcess({ plugins: [{ package: PROBE }] });
const poller = new DaemonProcess({ core: { id: 'lyon', external: undefined, labels: { site: 'lyon', role: 'web' } } });
const who = {
  root: central.client('root', ['admin']),
  alice: central.client('alice'),
  ghost: central.client('ghost', ['node'], { subnodes: ['behind'] }),
};
let alice: Client;
let root: Client;

interface Node {
  id: string;
  [key: string]: unknown;
}
const nodes = async () => (await alice.send('CONSTATUS')).data.nodes as unknown as Node[];
const stateOf = async (id: string) => (await nodes()).find((node) => node.id === id)?.state;

beforeAll(async () => {
  poller.writeConfig();
  const { fingerprint } = JSON.parse((await poller.cli('keys', 'show', '--json')).stdout);
  central.clients.push({ identity: 'lyon', fingerprint, roles: ['node'] });
  await central.start();
  poller.settings.plugins = [
    { package: PROBE },
    {
      package: PULL,
      allowCore: true,
      config: { router: { address: central.endpoint, fingerprint: central.fingerprint }, name: 'Lyon' },
    },
  ];
  await poller.start();
  [alice, root] = await Promise.all([connect(central.door(who.alice)), connect(central.door(who.root))]);
  await until('lyon is up', async () => (await stateOf('lyon')) === 'up');
});
afterAll(async () => {
  await alice?.close();
  await root?.close();
  await poller.dispose();
  await central.dispose();
});

test('a node that connects by itself is told with its actions, version, clock and round trip', async () => {
  await until('its clock is compared', async () =>
    (await nodes()).some((node) => node.id === 'lyon' && node.clockSkewSeconds !== null),
  );
  expect((await nodes()).find(({ id }) => id === 'lyon')).toMatchObject({
    name: 'Lyon',
    labels: { site: 'lyon', role: 'web' },
    kind: 'pull',
    state: 'up',
    address: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
    version: expect.any(String),
    actions: expect.arrayContaining(['ECHO', 'STEPS']),
    roundTripMs: expect.any(Number),
    lastPong: expect.any(Number),
    subnodes: [],
  });
});

test('PING is answered by the node, and a request runs there for whoever asked, with its rows here', async () => {
  expect((await alice.send('PING', {}, { target: 'lyon' })).data).toMatchObject({ id: 'lyon' });
  const rows: HistoryRow[] = [];
  const outcome = await alice.call('STEPS', { rows: 1 }, { target: 'lyon', onRow: (row) => rows.push(row) });
  expect(outcome.ok).toBe(true);
  expect(rows).toMatchObject([
    { node: 'central', code: 0, data: { owner: 'alice', target: 'lyon' } },
    { node: 'lyon', code: 0, data: { owner: 'central/alice' } },
    { node: 'lyon' },
    { node: 'lyon', code: 2 },
  ]);
  expect(await alice.query({ token: outcome.token })).toEqual(rows);
  await expect(alice.send('ECH', {}, { target: 'lyon' })).rejects.toMatchObject({ code: 'NODE_LACKS_ACTION' });
});

test('a caller is shown the requests that it sent to a node, those of others there only if it is the operator', async () => {
  await alice.call('ECHO', { of: 'alice' }, { target: 'lyon', token: 'alice-at-lyon' });
  expect((await poller.cli('call', 'ECHO', 'of=lyon', '--token', 'lyon-itself')).code).toBe(0);
  const listed = async (filter: object) => {
    const { data } = await alice.send('GETREQUESTS', filter, { target: 'lyon' });
    return (data.requests as { token: string; owner: string }[]).map(({ token, owner }) => `${token} ${owner}`);
  };
  expect(await listed({ action: 'ECHO' })).toEqual(['alice-at-lyon central/alice']);
  expect(await listed({ owner: '@local' })).toEqual([]);
  expect(await listed({ token: 'lyon-itself' })).toEqual([]);
  const all = await central.cli('--json', 'call', 'GETREQUESTS', 'action=ECHO', '--target', 'lyon');
  expect(JSON.parse(all.stdout).data.requests).toMatchObject([{ token: 'lyon-itself' }, { token: 'alice-at-lyon' }]);
});

test('a node registers nobody but itself', async () => {
  const ghost = await connect(central.door(who.ghost));
  const data = { version: '1', actions: [], nodes: [] };
  await expect(ghost.send('REGISTERNODE', { ...data, id: 'lyon' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await expect(alice.send('REGISTERNODE', { ...data, id: 'alice' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  const answer = await ghost.send('REGISTERNODE', { ...data, id: 'ghost', nodes: ['behind', 'paris', 'central'] });
  expect(answer.data).toEqual({ refused: ['paris'] });
  expect((await nodes()).find(({ id }) => id === 'ghost')).toMatchObject({ subnodes: ['behind'] });
  expect((await ghost.send('REGISTERNODE', { id: 'ghost', version: '1', actions: [] })).data).toEqual({ refused: [] });
  await ghost.send('UNREGISTERNODE', { id: 'ghost' });
  expect(await stateOf('ghost')).toBe('unreachable');
  await ghost.close();
});

test('a node that stops says so, one that is killed is noticed, and both come back', async () => {
  await poller.end();
  expect(await stateOf('lyon')).toBe('unreachable');
  await expect(alice.send('ECHO', {}, { target: 'lyon' })).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
  await poller.start();
  await until('lyon is up', async () => (await stateOf('lyon')) === 'up');
  expect((await alice.send('PING', {}, { target: 'lyon' })).data).toMatchObject({ id: 'lyon' });
});

test('a router that restarts has its nodes back', async () => {
  await central.end('SIGKILL');
  await central.start();
  await until('lyon is up', async () => (await stateOf('lyon')) === 'up');
});

test('GETLOG with its TARGET brings the log of a node up to now, and a node reads what is routed to it', async () => {
  const there = await connect({ address: poller.socket });
  const { token } = await there.call('STEPS', { rows: 2 });
  await there.close();
  const { data } = await root.send('GETLOG', { token }, { target: 'lyon' });
  expect(data).toMatchObject({ action: 'getlog', id: 'central', more: false });
  expect((data.result as unknown as HistoryRow[]).map(({ node, code }) => [node, code])).toEqual([
    ['lyon', 0],
    ['lyon', expect.any(Number)],
    ['lyon', expect.any(Number)],
    ['lyon', 2],
  ]);
  // It belongs to no request that was made here.
  expect((await alice.send('GETLOG', { token }, { target: 'lyon' })).data.result).toEqual([]);
  await expect(alice.send('GETLOG', { token }, { target: 'ghost' })).rejects.toMatchObject({
    code: 'NODE_UNREACHABLE',
  });
});

test('a request that its node has forgotten ends, and what the new database writes arrives', async () => {
  const { token } = await alice.send('SLEEP', { ms: 60_000 }, { target: 'lyon' });
  await until('it runs there', async () => (await alice.query({ token })).length === 2);
  await poller.end('SIGKILL');
  for (const end of ['', '-wal', '-shm']) rmSync(`${poller.database}${end}`, { force: true });
  await poller.start();
  await until('it has ended', async () => (await alice.query({ token })).length === 3);
  expect((await alice.query({ token })).at(-1)).toMatchObject({ code: 1, data: { error: 'OUTCOME_UNKNOWN' } });
  expect(await alice.call('STEPS', { rows: 1 }, { target: 'lyon' })).toMatchObject({ ok: true });
});
