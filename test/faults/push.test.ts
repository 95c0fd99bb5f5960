import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import type { Outcome } from '@centreond/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { instanceOf } from '../../plugins/carrying/dist/share.js';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

const PROBE = path.join(ROOT, 'test/fixtures/probe');
const PROXY = path.join(ROOT, 'plugins/proxy');
const REQUESTS = 300;
const KILLS = process.env.LONG ? 30 : 3;

const central = new DaemonProcess();
const ids = ['ava', 'bo'] as const;
const [ava, bo] = ids.map((id) => new DaemonProcess({ core: { id }, plugins: [{ package: PROBE }] })) as [
  DaemonProcess,
  DaemonProcess,
];
const ledger = path.join(bo.folder, 'ledger');
const who = { alice: central.client('alice'), root: central.client('root', ['admin']) };
let alice: Client;
let root: Client;

const stateOf = async (id: string) => {
  const nodes = (await alice.send('CONSTATUS')).data.nodes as { id: string; state: string }[];
  return nodes.find((node) => node.id === id)?.state;
};

beforeAll(async () => {
  central.writeConfig();
  const { fingerprint } = JSON.parse((await central.cli('keys', 'show', '--json')).stdout);
  for (const daemon of [ava, bo]) daemon.clients.push({ identity: 'central', fingerprint, roles: ['router'] });
  writeFileSync(ledger, '');
  bo.settings.plugins = [{ package: PROBE, config: { ledger } }];
  await Promise.all([ava.start(), bo.start()]);
  const nodes = [ava, bo].map((daemon, i) => ({
    id: ids[i],
    type: 'push',
    address: daemon.endpoint,
    fingerprint: daemon.fingerprint,
  }));
  central.settings.plugins = [{ package: PROXY, config: { nodes }, restart: { max: 100, within: '1s' } }];
  await central.start();
  [alice, root] = await Promise.all([connect(central.door(who.alice)), connect(central.door(who.root))]);
  for (const id of ids) await until(`${id} is up`, async () => (await stateOf(id)) === 'up', 60_000);
});
afterAll(async () => {
  process.kill(ava.pid, 'SIGCONT');
  await alice?.close();
  await root?.close();
  await Promise.all([central, ava, bo].map((daemon) => daemon.dispose()));
});

test('a node that stands still delays no other, is noticed within 15 s, and its requests end once it goes on', async () => {
  process.kill(ava.pid, 'SIGSTOP');
  const stopped = Date.now();
  const calls: Promise<Outcome>[] = [];
  for (let i = 0; i < REQUESTS; i++) calls.push(alice.call('ECHO', { i }, { target: 'ava', timeoutMs: 120_000 }));
  const times: number[] = [];
  while ((await stateOf('ava')) === 'up') {
    const start = Date.now();
    expect((await alice.call('ECHO', {}, { target: 'bo' })).ok).toBe(true);
    times.push(Date.now() - start);
    expect(Date.now() - stopped).toBeLessThan(20_000);
  }
  expect(await stateOf('ava')).toBe('unreachable');
  // A PING every 5 s, 15 s of silence, and what the machine takes.
  expect(Date.now() - stopped).toBeLessThan(16_500);
  expect(times.length).toBeGreaterThan(10);
  expect(times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]).toBeLessThan(500);
  await expect(alice.send('ECHO', {}, { target: 'ava' })).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
  process.kill(ava.pid, 'SIGCONT');
  const healed = Date.now();
  await until('ava is up', async () => (await stateOf('ava')) === 'up', 30_000);
  expect(Date.now() - healed).toBeLessThan(10_000);
  const outcomes = await Promise.all(calls);
  expect(outcomes.map(({ ok, data }) => (ok ? (data as { i: number }).i : data))).toEqual(
    Array.from({ length: REQUESTS }, (_, i) => i),
  );
});

test('a carrier that is killed with -9 in mid-stream loses nothing, and nothing runs twice', async () => {
  const calls: Promise<Outcome>[] = [];
  let loading = true;
  const load = (async () => {
    for (let i = 0; loading; i++) {
      const call = alice.call('ONCE', { ms: 5 }, { target: 'bo', token: `kill-${i}`, envelope: { hold: true } });
      call.catch(() => undefined);
      calls.push(call);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  const carrier = async () => {
    const { plugins } = (await root.send('INFORMATION')).data as {
      plugins: { type: string; instances: { id: string; pid: number | null }[] }[];
    };
    const { instances } = plugins.find(({ type }) => type === 'proxy') ?? { instances: [] };
    return instances.find(({ id }) => id === instanceOf('bo', 2))?.pid ?? 0;
  };
  for (let kill = 0; kill < KILLS; kill++) {
    const before = calls.length;
    await until('requests flow', () => calls.length > before + 50, 30_000);
    const pid = await carrier();
    process.kill(pid, 'SIGKILL');
    const another = async () => ![0, pid].includes(await carrier());
    await until('bo is up by another process', async () => (await another()) && (await stateOf('bo')) === 'up', 60_000);
  }
  loading = false;
  await load;
  const outcomes = await Promise.all(calls);
  expect(outcomes.filter(({ ok }) => !ok)).toEqual([]);
  const runs = readFileSync(ledger, 'utf8').split('\n').filter(Boolean);
  expect(runs.length).toBe(calls.length);
  expect(new Set(runs).size).toBe(runs.length);
});
