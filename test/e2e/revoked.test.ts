import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

const daemon = new DaemonProcess({ plugins: [{ package: path.join(ROOT, 'test/fixtures/probe') }] });
const who = { alice: daemon.client('alice'), paris: daemon.client('paris', ['node']) };
let local: Client;

beforeAll(async () => {
  await daemon.start();
  local = await connect({ address: daemon.socket });
});
afterAll(async () => {
  await local?.close();
  await daemon.dispose();
});

const remote = ({ address, identity, key, router }: ReturnType<DaemonProcess['door']>) => [
  ...['--connect', address, '--identity', identity, '--router', router],
  ...['--key', key],
];

test('close() ends the session at the router', async () => {
  const node = await connect(daemon.door(who.paris));
  await node.send('REGISTERNODE', { id: 'paris', version: '1', actions: ['PING'], nodes: [] });
  await node.close();
  // A session that is silent is unreachable too, but for another reason.
  await until('its session has ended', async () => {
    const { nodes } = (await local.send('CONSTATUS')).data as unknown as { nodes: { id: string; reason: string }[] };
    return nodes.find(({ id }) => id === 'paris')?.reason === 'its link has ended';
  });
});

test('`log --follow` ends with KEY_REVOKED when its key is revoked, and the key is refused within seconds from then on', async () => {
  const bin = path.join(ROOT, 'core/bin/centreond.js');
  const door = remote({ ...daemon.door(who.alice), key: who.alice.file });
  const client = await connect(daemon.door(who.alice));
  await client.send('PUTLOG', { token: 'job', code: 0, data: {} });
  await client.close();
  const follower = spawn(process.execPath, [bin, 'log', 'job', '--follow', ...door], { stdio: 'pipe' });
  let [out, err] = ['', ''];
  follower.stdout.on('data', (bytes) => {
    out += bytes;
  });
  follower.stderr.on('data', (bytes) => {
    err += bytes;
  });
  const exited = once(follower, 'exit');
  try {
    await until('it follows', () => out !== '' || err !== '');
    await local.call('REVOKEKEY', { key: who.alice.fingerprint });
    expect(await exited).toEqual([1, null]);
    expect(err).toContain('KEY_REVOKED');
  } finally {
    follower.kill('SIGKILL');
  }
  const refused = await daemon.cli('nodes', ...door);
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toContain('HANDSHAKE_REFUSED');
});
