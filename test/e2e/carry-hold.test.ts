import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

const daemon = new DaemonProcess({});
const ledger = path.join(daemon.folder, 'ledger');
daemon.settings.plugins = [{ package: path.join(ROOT, 'test/fixtures/ferry'), config: { ledger } }];
const who = {
  root: daemon.client('root', ['admin']),
  alice: daemon.client('alice'),
  eve: daemon.client('eve'),
  paris: daemon.client('paris', ['node']),
};
let admin: Client;
let alice: Client;
let eve: Client;

beforeAll(async () => {
  await daemon.start();
  [admin, alice, eve] = await Promise.all([
    connect(daemon.door(who.root)),
    connect(daemon.door(who.alice)),
    connect(daemon.door(who.eve)),
  ]);
});
afterAll(async () => {
  await Promise.all([admin, alice, eve].map((client) => client?.close()));
  await daemon.dispose();
});

const carry = (id: string, state: string) => admin.call('FERRY', { name: 'ferry', nodes: [{ id, state }] });
const given = (token: string) =>
  existsSync(ledger)
    ? readFileSync(ledger, 'utf8')
        .split('\n')
        .filter((line) => line.includes(`"token":"${token}"`))
    : [];
const hold = (more: object = {}) => ({ target: 'paris', envelope: { hold: true, ...more } });
const seconds = (ahead: number) => Math.floor(Date.now() / 1000) + ahead;

test('a request is held for a node that is expected, over a crash and a stop, and runs once when the node is there', async () => {
  await expect(alice.send('DONE', {}, { target: 'paris' })).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
  expect((await alice.send('DONE', { n: 1 }, { ...hold(), token: 'held-1' })).data).toEqual({});
  expect((await alice.send('DONE', { n: 1 }, { ...hold(), token: 'held-1' })).data).toEqual({ duplicate: true });
  await daemon.end('SIGKILL');
  await daemon.start();
  await alice.send('DONE', { n: 2 }, { ...hold({ deadline: seconds(3600) }), token: 'held-2' });
  const startedAt = performance.now();
  expect(await daemon.end('SIGTERM')).toBe(0);
  expect(performance.now() - startedAt).toBeLessThan(4500);
  await daemon.start();
  expect((await alice.query({ token: 'held-1' })).map(({ code }) => code)).toEqual([0]);
  const outcomes = ['held-1', 'held-2'].map(async (token) => {
    for await (const row of alice.follow(token)) if (row.code === 2) return row.data;
    return undefined;
  });
  await carry('paris', 'up');
  expect(await Promise.all(outcomes)).toMatchObject([{ n: 1 }, { n: 2 }]);
  expect([given('held-1').length, given('held-2').length]).toEqual([1, 1]);
  expect(given('held-2')[0]).toMatch(/"hold":true,"deadline":\d+/);
});

test('a held request ends at its deadline, is cancelled, or is refused where its sender lost the right meanwhile', async () => {
  await carry('paris', 'unreachable');
  const late = alice.call('DONE', {}, hold({ deadline: seconds(1) }));
  const stopped = alice.call('DONE', {}, { ...hold(), token: 'unwanted' });
  await eve.send('DONE', {}, { ...hold(), token: 'of-eve' });
  await until('it is held', async () => (await alice.query({ token: 'unwanted' })).length === 1);
  await alice.cancel('unwanted');
  expect(await stopped).toMatchObject({ ok: false, data: { error: 'CANCELLED' } });
  expect(await late).toMatchObject({ ok: false, data: { error: 'TIMEOUT' } });
  expect(await daemon.cli('keys', 'revoke', 'eve')).toMatchObject({ code: 0 });
  await carry('paris', 'up');
  await until('it is refused', async () => (await admin.query({ token: 'of-eve' })).length === 2);
  expect((await admin.query({ token: 'of-eve' }))[1]).toMatchObject({ code: 1, data: { error: 'FORBIDDEN' } });
  expect(['unwanted', 'of-eve'].flatMap(given)).toEqual([]);
});

test('nothing is held for more than 7 days', async () => {
  await carry('paris', 'unreachable');
  const refused = alice.send('DONE', {}, hold({ deadline: seconds(8 * 24 * 3600) }));
  await expect(refused).rejects.toMatchObject({ code: 'INVALID_DATA', message: expect.stringContaining('7 days') });
});
