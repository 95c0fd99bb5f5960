import { spawn } from 'node:child_process';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DaemonProcess, newIdentity, ROOT, until } from '../daemon-process.ts';

const BIN = path.join(ROOT, 'core/bin/centreond.js');
const PROBE = path.join(ROOT, 'test/fixtures/probe');
const daemon = new DaemonProcess({
  core: { limits: { requests: { perIdentity: { count: 2 } } } },
  plugins: [{ package: PROBE, restart: { max: 1, within: '10m' } }],
});
const paris = daemon.client('paris', ['node']);
const alice = daemon.client('alice');
/** Each verb is a process of its own, and a busy machine takes its time to start one. */
const PATIENCE_MS = 180_000;
let local: Client;

interface Event {
  id: number;
  time: number;
  kind: string;
  text: string;
  [field: string]: unknown;
}
const page = async (asked: object = { after: 0 }) => {
  const { data } = await local.send('GETEVENTS', { limit: 1000, ...asked });
  return data as unknown as { events: Event[]; last: number; gap: boolean };
};
const told = async (kind: string) => (await page()).events.filter((event) => event.kind === kind);
const happened = (kind: string, count = 1) =>
  until(`${kind} ${count} times`, async () => (await told(kind)).length >= count);

beforeAll(async () => {
  await daemon.start();
  local = await connect({ address: daemon.socket });
});
afterAll(async () => {
  await local?.close();
  await daemon.dispose();
});

test('tell of nodes, keys, plugins and requests that were refused, each as it comes about', async () => {
  const node = await connect(daemon.door(paris));
  await node.send('REGISTERNODE', { id: 'paris', version: '1', actions: ['PING'], nodes: [] });
  await happened('NODE_UP');
  await node.close();
  await happened('NODE_DOWN');
  expect((await told('NODE_DOWN'))[0]).toMatchObject({ node: 'paris', state: 'unreachable' });

  const eve = newIdentity('eve', daemon.folder);
  await expect(connect({ ...daemon.door(eve), timeoutMs: 2500 })).rejects.toThrow();
  await happened('KEY_PENDING');
  // A key that comes again and again is one event for ten minutes.
  expect(await told('KEY_PENDING')).toMatchObject([{ fingerprint: eve.fingerprint, address: expect.any(String) }]);
  await local.call('ACCEPTKEY', { fingerprint: eve.fingerprint, identity: 'eve', roles: ['client'] });
  await local.call('REVOKEKEY', { key: 'eve' });
  await expect(connect({ ...daemon.door(eve), timeoutMs: 2500 })).rejects.toThrow();
  await happened('KEY_REFUSED');
  expect((await told('KEY_ACCEPTED'))[0]?.text).toBe(`The key ${eve.fingerprint} was let in as eve (client).`);
  expect((await told('KEY_REVOKED'))[0]).toMatchObject({ identity: 'eve' });
  expect((await told('KEY_REFUSED'))[0]?.text).toContain('its key was revoked');
  await local.send('JOIN', { identity: 'lyon' });
  expect((await told('KEY_INVITED'))[0]).toMatchObject({ identity: 'lyon', by: '@local' });

  const client = await connect(daemon.door(alice));
  const sent = Array.from({ length: 50 }, (_, i) => client.send('SLEEP', { ms: 1500 }, { token: `s${i}` }));
  const fates = await Promise.allSettled(sent);
  expect(fates.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(40);
  expect(await told('BUSY')).toMatchObject([{ identity: 'alice', text: expect.stringContaining('open requests') }]);
  // Nobody but admins and plugins may ask.
  await expect(client.send('GETEVENTS', {})).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await client.close();

  await local.call('CRASH');
  await happened('PLUGIN_RESTARTED');
  await local.call('CRASH');
  await happened('PLUGIN_QUARANTINED');
  expect((await told('PLUGIN_ENDED'))[0]).toMatchObject({ plugin: 'probe', againMs: expect.any(Number) });
  await local.call('RELOADPLUGIN', { type: 'probe' });
  expect((await told('PLUGIN_RELOADED'))[0]).toMatchObject({ plugin: 'probe' });
  const { events } = await page();
  expect(events[0]).toMatchObject({ kind: 'STARTED' });
  expect(events.map(({ id }) => id)).toEqual(events.map((_, i) => (events[0]?.id ?? 0) + i));
});

test('are waited for, and come at once', async () => {
  const { last } = await page();
  const next = page({ after: last, waitSeconds: 30 });
  await local.send('JOIN', { identity: 'rome' });
  expect(await next).toMatchObject({ events: [{ id: last + 1, kind: 'KEY_INVITED', identity: 'rome' }], gap: false });
});

test('are followed by the command line, over a restart, until it is interrupted', {
  timeout: PATIENCE_MS,
}, async () => {
  const kept = await daemon.cli('events', '--no-follow', '--since', '1h');
  expect(kept).toMatchObject({ code: 0, stderr: '' });
  expect(kept.stdout).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d\d:\d\d {2}STARTED {13}This router has started/);
  expect(kept.stdout).toMatch(/ {2}NODE_DOWN {11}The node paris is unreachable: its link has ended\.\n/);
  const json = await daemon.cli('events', '--no-follow', '--json');
  expect(
    json.stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line)),
  ).toEqual((await page()).events);

  const following = spawn(process.execPath, [BIN, 'events', '--json'], { cwd: daemon.folder });
  const ended = new Promise<number | null>((resolve) => following.once('close', resolve));
  let [out, err] = ['', ''];
  following.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  following.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const kinds = () =>
    out
      .split('\n')
      .slice(0, -1)
      .map((line) => (JSON.parse(line) as Event).kind);
  await until('it follows', async () => {
    await local.send('JOIN', { identity: 'oslo' });
    return kinds().includes('KEY_INVITED');
  });
  await daemon.end();
  await daemon.start();
  await until('it sees the new start', () => kinds().includes('STARTED'));
  expect(err).toContain('Some events are missing here');
  await local.close();
  local = await connect({ address: daemon.socket });
  await local.send('JOIN', { identity: 'bern' });
  await until('it goes on', () => kinds().at(-1) === 'KEY_INVITED' && out.includes('bern'));
  following.kill('SIGINT');
  expect(await ended).toBe(0);
});
