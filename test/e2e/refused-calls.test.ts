import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { FINISHED } from '@centreond/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

const FOLLOWS = 2000;
const CALLS = 5000;

const daemon = new DaemonProcess({
  core: { limits: { follows: { perIdentity: { count: FOLLOWS } } } },
  plugins: [{ package: path.join(ROOT, 'test/fixtures/probe') }],
});
let client: Client;
beforeAll(async () => {
  const alice = daemon.client('alice');
  await daemon.start();
  client = await connect(daemon.door(alice));
});
afterAll(async () => {
  await client?.close();
  await daemon.dispose();
});

const followed = async () => {
  const { data } = await client.send('INFORMATION', {});
  return (data as { counters: { followers: { followed: number } } }).counters.followers.followed;
};

test('more refused calls of a client than it may follow tokens leave nothing that is followed, and then a call is fine', async () => {
  let refused = 0;
  for (let made = 0; made < CALLS; made += 1000) {
    await Promise.all(Array.from({ length: 1000 }, () => client.call('NO_SUCH_ACTION', {}).catch(() => refused++)));
  }
  expect(refused).toBe(CALLS);
  await until('nothing is followed', async () => (await followed()) === 0);
  expect((await client.call('ECHO', {})).ok).toBe(true);
});

test('more refused calls of a plugin than it may follow tokens leave nothing that is followed, and then a call of it is fine', async () => {
  expect(await client.call('REFUSED', { rows: CALLS })).toMatchObject({ ok: true, data: { rows: CALLS } });
  await until('nothing is followed', async () => (await followed()) === 0);
  expect(await client.call('RELAY', { action: 'ECHO', data: { a: 1 } })).toMatchObject({
    ok: true,
    data: { ok: true },
  });
});

test('a token under which a request was refused is followed once somebody uses it', async () => {
  const token = 'used-later';
  await expect(client.send('NO_SUCH_ACTION', {}, { token })).rejects.toMatchObject({ code: 'UNKNOWN_ACTION' });
  const codes: number[] = [];
  const over = (async () => {
    for await (const { code } of client.follow(token, { signal: AbortSignal.timeout(10_000) })) codes.push(code);
  })();
  await until('it is followed', async () => (await followed()) === 1);
  await client.send('ECHO', { a: 1 }, { token });
  await over;
  expect(codes.at(-1)).toBe(FINISHED);
});
