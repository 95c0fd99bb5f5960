import { mkdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

// Each of them starts several processes, one after the other.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const fixture = (name: string) => path.join(ROOT, 'test/fixtures', name);
const central = new DaemonProcess({ plugins: [{ package: fixture('probe') }, { package: fixture('ferry') }] });
central.settings.plugins = [
  { package: fixture('probe') },
  { package: fixture('ferry'), config: { ledger: path.join(central.folder, 'ledger') } },
];
central.client('paris', ['node'], { subnodes: ['behind'] });
const machines = new Map(
  ['lyon', 'oslo', 'rome'].map((id) => [id, new DaemonProcess({ core: { id, external: undefined } })]),
);
const machine = (id: string) => machines.get(id) as DaemonProcess;
let local: Client;

interface Node {
  id: string;
  state: string;
  cursor: number | null;
}
async function nodes(): Promise<Node[]> {
  return (await local.send('CONSTATUS')).data.nodes as unknown as Node[];
}
const ids = async () => (await nodes()).map(({ id }) => id);
const up = (id: string) =>
  until(`${id} is up`, async () => (await nodes()).some((node) => node.id === id && node.state === 'up'), 60_000);
const away = (id: string) =>
  until(`${id} is away`, async () => (await nodes()).every((node) => node.id !== id || node.state !== 'up'), 60_000);
const ends = async (token: string) =>
  (await local.query({ token })).filter(({ code }) => code < 3 && code > 0).map(({ node, code }) => `${node} ${code}`);
const keyOf = async (who: DaemonProcess): Promise<string> => {
  return JSON.parse((await who.cli('keys', 'show', '--json')).stdout).fingerprint;
};
/** How often the router's log says that the key was refused. */
const refusalsOf = (key: string) =>
  central.stderr.split('\n').filter((line) => line.includes(key) && /refused/.test(line)).length;
const letIn = async (id: string, key: string) => {
  const { code, stderr } = await central.cli('keys', 'accept', key, '--identity', id, '--role', 'node');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
};
async function linked(who: DaemonProcess, id: string): Promise<void> {
  const router = { address: central.endpoint, fingerprint: central.fingerprint };
  const pull = { package: path.join(ROOT, 'plugins/pull'), allowCore: true, config: { router } };
  who.settings.plugins = [{ package: fixture('probe') }, pull];
  who.writeConfig();
  await letIn(id, await keyOf(who));
  await who.start();
  await up(id);
}

beforeAll(async () => {
  await central.start();
  local = await connect({ address: central.socket });
});
afterAll(async () => {
  await local?.close();
  for (const one of machines.values()) await one.dispose();
  await central.dispose();
});

describe('nodes remove', () => {
  test('forgets the node: its key is revoked, what is open for it ends, its rows stay', async () => {
    const lyon = machine('lyon');
    await linked(lyon, 'lyon');
    expect((await local.call('ECHO_ONCE', { n: 1 }, { token: 'lyon-1', target: 'lyon' })).ok).toBe(true);
    await local.send('ONCE', { ms: 600_000 }, { token: 'lyon-runs', target: 'lyon' });
    await lyon.end('SIGKILL');
    await away('lyon');
    await local.send('ECHO_ONCE', { n: 2, $: { hold: true } }, { token: 'lyon-held', target: 'lyon' });
    const key = await keyOf(lyon);

    const { code, stdout, stderr } = await central.cli('nodes', 'remove', 'lyon');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('lyon is no node of central any more; 2 requests for it ended.\n');
    expect(stdout).toContain(`revoked  ${key}`);

    expect(await ids()).toEqual(['paris']);
    expect((await local.query({ token: 'lyon-held' })).at(-1)?.data).toEqual({
      error: 'UNKNOWN_TARGET',
      message: 'The node lyon was removed from the router central. Send the request to another node if need be.',
    });
    expect((await local.query({ token: 'lyon-runs' })).at(-1)?.data).toMatchObject({
      error: 'OUTCOME_UNKNOWN',
      message: expect.stringMatching(/^The node lyon was removed from the router central while lyon-runs ran/),
    });
    expect(await ends('lyon-1')).toEqual(['lyon 2']);
    await expect(local.send('ECHO_ONCE', {}, { target: 'lyon' })).rejects.toMatchObject({ code: 'UNKNOWN_TARGET' });
    // It comes back, and is not let in.
    const refused = refusalsOf(key);
    await lyon.start();
    await until('its handshake is refused', () => refusalsOf(key) > refused);
    expect(await ids()).toEqual(['paris']);
  });

  test('one that is up is gone at once, and stays gone over a restart of the router', async () => {
    const rome = machine('rome');
    await linked(rome, 'rome');
    const { stdout } = await central.cli('nodes', 'remove', 'rome', '--json');
    expect(JSON.parse(stdout)).toEqual({ id: 'rome', fingerprint: await keyOf(rome), ended: 0 });
    expect(await ids()).toEqual(['paris']);
    await until('its session has ended', () => /key was revoked/.test(central.stderr));
    expect(await ids()).toEqual(['paris']);
    await local.close();
    expect(await central.end('SIGTERM')).toBe(0);
    await central.start();
    local = await connect({ address: central.socket });
    expect(await ids()).toEqual(['paris']);
  });

  test('says where to remove what is not to be removed here, and does nothing', async () => {
    await local.call('FERRY', { name: 'ferry', nodes: [{ id: 'boat', state: 'up', kind: 'push' }] });
    await up('boat');
    const refused = async (id: string) => {
      const { code, stdout, stderr } = await central.cli('nodes', 'remove', id);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      return stderr;
    };
    expect(await refused('paris')).toMatch(/the config file names paris, under clients\.authorized\. Change it there/);
    expect(await refused('boat')).toMatch(/boat is carried by the plugin proxy: .* `centreond call DELNODE id=boat`/);
    expect(await refused('nobody')).toMatch(/no key of nobody has been let in; `centreond keys list`/);
    expect(await refused('central')).toMatch(/central is this router itself/);
    expect((await ids()).sort()).toEqual(['boat', 'paris']);
    expect((await central.cli('nodes', 'paris')).stdout).toContain('paris');
    await local.call('UNFERRY', { name: 'ferry' });
  });
});

describe('nodes rename', () => {
  const oslo = machine('oslo');
  let key: string;

  test('lets the same key in under the new id; what is open for the former one ends', async () => {
    await linked(oslo, 'oslo');
    key = await keyOf(oslo);
    for (let i = 0; i < 5; i++) await local.call('ECHO_ONCE', { i }, { token: `oslo-${i}`, target: 'oslo' });
    await oslo.end('SIGKILL');
    await away('oslo');
    await local.send('ECHO_ONCE', { n: 2, $: { hold: true } }, { token: 'oslo-held', target: 'oslo' });
    const { code, stdout, stderr } = await central.cli('nodes', 'rename', 'oslo', 'bergen');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('central lets oslo in as bergen from now on; 1 request for it ended.\n');
    expect(stdout).toContain('Now set core.id to bergen in the config of that machine');
    expect(await ids()).toEqual(expect.arrayContaining(['bergen', 'paris']));
    expect(await ids()).not.toContain('oslo');
    expect((await local.query({ token: 'oslo-held' })).at(-1)?.data).toMatchObject({
      error: 'UNKNOWN_TARGET',
      message: 'The node oslo is bergen now. Send the request to another node if need be.',
    });
  });

  test('it is refused until it has taken the id, and then goes on with its log: no row comes a second time', async () => {
    const refused = refusalsOf(key);
    await oslo.start();
    await until('its handshake as oslo is refused', () => refusalsOf(key) > refused);
    expect((await nodes()).find(({ id }) => id === 'bergen')?.state).toBe('unreachable');
    await oslo.end();
    oslo.settings.core = { id: 'bergen', external: undefined };
    await oslo.start();
    await up('bergen');
    expect((await local.call('ECHO_ONCE', { n: 3 }, { token: 'bergen-1', target: 'bergen' })).ok).toBe(true);
    expect(await ends('bergen-1')).toEqual(['bergen 2']);
    for (let i = 0; i < 5; i++) expect(await ends(`oslo-${i}`)).toEqual(['oslo 2']);
    // Its rows of before are not among those that came under its new id.
    const rows = await local.query({ id: 0, code: 2 });
    expect(rows.filter(({ node }) => node === 'bergen').map(({ token }) => token)).toEqual(['bergen-1']);
    const keys = JSON.parse((await central.cli('keys', 'list', '--json')).stdout).keys as { fingerprint: string }[];
    expect(keys.filter(({ fingerprint }) => fingerprint === key)).toMatchObject([
      { identity: 'bergen', roles: ['node'] },
    ]);
  });

  test('refuses an id that is taken or is none, and what is in the config file', async () => {
    const refused = async (...names: string[]) => {
      const { code, stdout, stderr } = await central.cli('nodes', 'rename', ...names);
      expect(stdout).toBe('');
      expect(code).toBe(1);
      return stderr;
    };
    expect(await refused('bergen', 'paris')).toMatch(/paris is a node already/);
    expect(await refused('bergen', 'central')).toMatch(/central is this router itself/);
    expect(await refused('bergen', 'all')).toMatch(/"all" cannot be an identity/);
    expect(await refused('bergen', 'no/id')).toMatch(/INVALID_DATA/);
    expect(await refused('paris', 'york')).toMatch(/the config file names paris/);
    expect(await refused('oslo', 'york')).toMatch(/no key of oslo has been let in/);
    expect((await nodes()).find(({ id }) => id === 'bergen')?.state).toBe('up');
  });

  test('a machine that is replaced: revoked, and joined again by another key, it gets what was held for it', async () => {
    await oslo.end('SIGKILL');
    await away('bergen');
    await local.send('ECHO_ONCE', { n: 4, $: { hold: true } }, { token: 'bergen-held', target: 'bergen' });
    expect((await central.cli('keys', 'revoke', 'bergen')).code).toBe(0);
    // Another machine: another key, another database.
    mkdirSync(path.join(oslo.folder, 'former'));
    renameSync(path.join(oslo.folder, 'var'), path.join(oslo.folder, 'former/var'));
    await linked(oslo, 'bergen');
    await until('what was held ran there', async () => (await ends('bergen-held')).length > 0);
    expect(await ends('bergen-held')).toEqual(['bergen 2']);
    expect(await keyOf(oslo)).not.toBe(key);
  });
});
