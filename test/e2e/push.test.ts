import path from 'node:path';
import { type Client, connect } from '@centreond/plugin-sdk/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

const PROBE = path.join(ROOT, 'test/fixtures/probe');
const PROXY = path.join(ROOT, 'plugins/proxy');

interface Node {
  id: string;
  [key: string]: unknown;
}

const central = new DaemonProcess();
const paris = new DaemonProcess({ core: { id: 'paris' }, plugins: [{ package: PROBE }] });
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

beforeAll(async () => {
  central.writeConfig();
  const { fingerprint } = JSON.parse((await central.cli('keys', 'show', '--json')).stdout);
  paris.clients.push({ identity: 'central', fingerprint, roles: ['router'] });
  await paris.start();
  const config = { nodes: [entry('paris', paris, { name: 'Paris' })] };
  central.settings.plugins = [{ package: PROXY, config }];
  await central.start();
  [root, alice] = await Promise.all([connect(central.door(who.root)), connect(central.door(who.alice))]);
  await until('paris is up', isUp('paris'));
});
afterAll(async () => {
  await root?.close();
  await alice?.close();
  await paris.dispose();
  await central.dispose();
});

describe('a pushed node', () => {
  test('is shown with its actions, version, clock, and how long it takes to answer', async () => {
    expect(await node('paris')).toEqual({
      id: 'paris',
      name: 'Paris',
      kind: 'push',
      state: 'up',
      lastPing: expect.any(Number),
      lastPong: expect.any(Number),
      roundTripMs: expect.any(Number),
      clockSkewSeconds: expect.any(Number),
      cursor: null,
      version: expect.stringMatching(/^\d/),
      actions: expect.arrayContaining(['ECHO', 'STEPS']),
      subnodes: [],
    });
  });
});
