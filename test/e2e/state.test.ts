import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DaemonProcess, ROOT } from '../daemon-process.ts';

const daemon = new DaemonProcess({
  plugins: [{ package: path.join(ROOT, 'test/fixtures/herald') }, { package: path.join(ROOT, 'test/fixtures/hearer') }],
});
const root = daemon.client('root', ['admin']);
let admin: Client;
beforeAll(async () => {
  await daemon.start();
  admin = await connect(daemon.door(root));
});
afterAll(async () => {
  await admin?.close();
  await daemon.dispose();
});

async function kept(key: string): Promise<unknown> {
  const { ok, data } = await admin.call('KEPT', { key });
  expect(ok).toBe(true);
  return (data as { value?: unknown }).value;
}

test('what a plugin keeps is shared by its instances, and survives its reload and a daemon that is killed', async () => {
  await admin.call('KEEP', { key: 'list', value: [1, { two: 2 }] });
  // Two instances, one request at a time each: both are asked.
  for (let i = 0; i < 4; i++) expect(await kept('list')).toEqual([1, { two: 2 }]);
  expect((await admin.call('RELOADPLUGIN', { type: 'herald' })).ok).toBe(true);
  expect(await kept('list')).toEqual([1, { two: 2 }]);
  await daemon.end('SIGKILL');
  await daemon.start();
  expect(await kept('list')).toEqual([1, { two: 2 }]);
  await admin.call('FORGET', { key: 'list' });
  expect(await kept('list')).toBeUndefined();
});

test('a plugin reaches its own state only, and nobody else reaches any', async () => {
  await admin.call('KEEP', { key: 'secret', value: 1 });
  expect((await admin.call('PEEK', { key: 'secret' })).data).toBe(false);
  await expect(admin.send('GETSTATE', { key: 'secret' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  const local = await connect({ address: daemon.socket });
  await expect(local.send('SETSTATE', { key: 'secret', value: 2 })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await local.close();
  expect(await kept('secret')).toBe(1);
});

test('lists more than fits into one message, and says what is too large', async () => {
  await admin.call('FILL', { prefix: 'page', count: 9, bytes: 1_000_000 });
  expect((await admin.call('KEPTLIST', { key: 'page' })).data).toEqual(Array.from({ length: 9 }, (_, i) => `page${i}`));
  expect((await admin.call('KEEP', { key: 'large', value: 'x'.repeat(1024 * 1024) })).data).toMatchObject({
    error: 'CALL_REFUSED',
    cause: { error: 'INVALID_DATA' },
  });
});
