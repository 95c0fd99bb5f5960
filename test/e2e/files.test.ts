import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

const FILES = path.join(ROOT, 'plugins/files');
const PULL = path.join(ROOT, 'plugins/pull');
/** Bytes of a file in one message. */
const CHUNK = 88 * 1024;
const folder = mkdtempSync(path.join(os.tmpdir(), 'centreond-files-'));
const outbox = path.join(folder, 'outbox');
const inbox = path.join(folder, 'inbox');
const central = new DaemonProcess({ plugins: [{ package: FILES, config: { send: [outbox] } }] });
const poller = new DaemonProcess({ core: { id: 'lyon', external: undefined } });
const root = central.client('root', ['admin']);
let client: Client;

const sha256 = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
const up = async () =>
  ((await client.send('CONSTATUS')).data.nodes as unknown as { state: string }[]).some(({ state }) => state === 'up');
const send = (files: object[], more: object = {}, token?: string) =>
  client.call(
    'SENDFILES',
    { files, ...more },
    { target: 'lyon', timeoutMs: 60_000, ...(token !== undefined && { token }) },
  );

beforeAll(async () => {
  mkdirSync(outbox);
  mkdirSync(inbox);
  poller.writeConfig();
  const { fingerprint } = JSON.parse((await poller.cli('keys', 'show', '--json')).stdout);
  central.clients.push({ identity: 'lyon', fingerprint, roles: ['node'] });
  await central.start();
  poller.settings.plugins = [
    { package: FILES, config: { receive: [path.relative(poller.folder, inbox)] } },
    {
      package: PULL,
      allowCore: true,
      config: { router: { address: central.endpoint, fingerprint: central.fingerprint } },
    },
  ];
  await poller.start();
  client = await connect(central.door(root));
  await until('lyon is up', up);
}, 60_000);
afterAll(async () => {
  await client?.close();
  await poller.dispose();
  await central.dispose();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  for (const name of readdirSync(outbox)) rmSync(path.join(outbox, name), { recursive: true });
});

test('a file and a folder arrive with their modes, and what is staged is gone', async () => {
  writeFileSync(path.join(outbox, 'one'), randomBytes(700_000));
  chmodSync(path.join(outbox, 'one'), 0o4751);
  const tree = path.join(outbox, 'tree');
  mkdirSync(path.join(tree, 'a b/ü\n'), { recursive: true });
  mkdirSync(path.join(tree, 'empty'));
  writeFileSync(path.join(tree, 'a b/ü\n/deep'), 'deep');
  writeFileSync(path.join(tree, 'nothing'), '');
  for (let i = 0; i < 500; i++) writeFileSync(path.join(tree, 'empty', `${i}`), `file ${i}`);
  symlinkSync('/etc/passwd', path.join(tree, 'link'));
  chmodSync(path.join(tree, 'a b'), 0o555);
  const { ok, data } = await send([
    { source: 'one', destination: 'new/one' },
    { source: tree, destination: `${inbox}/tree` },
  ]);
  chmodSync(path.join(tree, 'a b'), 0o755);
  expect(data).toMatchObject({ files: 503, folders: 4, skippedTotal: 1, bytesResent: 0 });
  expect(ok).toBe(true);
  expect(data).toMatchObject({ skipped: [{ path: `${inbox}/tree/link`, reason: 'it is a symbolic link' }] });
  expect(sha256(path.join(inbox, 'new/one'))).toBe(sha256(path.join(outbox, 'one')));
  expect(statSync(path.join(inbox, 'new/one')).mode & 0o7777).toBe(0o751);
  expect(statSync(path.join(inbox, 'tree/a b')).mode & 0o7777).toBe(0o555);
  expect(readFileSync(path.join(inbox, 'tree/a b/ü\n/deep'), 'utf8')).toBe('deep');
  expect(readFileSync(path.join(inbox, 'tree/empty/499'), 'utf8')).toBe('file 499');
  expect(statSync(path.join(inbox, 'tree/nothing')).size).toBe(0);
  expect(existsSync(path.join(inbox, 'tree/link'))).toBe(false);
  expect(readdirSync(path.join(inbox, '.centreond-staging'))).toEqual([]);
  chmodSync(path.join(inbox, 'tree/a b'), 0o755);
});

test('no chunk is in the history of either side', async () => {
  writeFileSync(path.join(outbox, 'one'), randomBytes(2_000_000));
  const { token } = await send([{ source: 'one', destination: 'one' }]);
  const rows = (await client.send('GETLOG', { token })).data.result as unknown as { type: string; code: number }[];
  expect(rows.map(({ code }) => code).filter((code) => code !== 110)).toEqual([0, 2]);
  const local = await connect({ address: poller.socket });
  const own = (await local.send('GETLOG', { ctime: 0, limit: 10_000 })).data.result as unknown as { type: string }[];
  await local.close();
  expect(own.filter(({ type }) => type.startsWith('FILES'))).toEqual([]);
});

test.each([
  ['a destination outside', { source: 'one', destination: '/etc/one' }, /lyon|central may not write \/etc\/one/],
  ['a destination with ..', { source: 'one', destination: 'a/../../one' }, /may not write a\/\.\.\/\.\.\/one/],
  ['a source outside', { source: '/etc/passwd', destination: 'one' }, /root may not send \/etc\/passwd/],
  ['a source with ..', { source: '../one', destination: 'one' }, /may not send \.\.\/one/],
])('%s is FORBIDDEN, and the sentence says what to change', async (_, file, message) => {
  writeFileSync(path.join(outbox, 'one'), 'one');
  const { ok, data } = await send([file]);
  expect(ok).toBe(false);
  expect(data).toMatchObject({ error: 'FORBIDDEN', message: expect.stringMatching(message) });
});

test('without a TARGET it is refused, and on this router it is', async () => {
  for (const target of ['', 'central']) {
    const files = [{ source: 'one', destination: 'one' }];
    const { data } = await client.call('SENDFILES', { files }, { target });
    expect(data).toMatchObject({ error: 'INVALID_DATA', message: expect.stringContaining('TARGET') });
  }
});

/** Sends 8 MiB slowly enough to be in the middle when `cut` is called. */
async function cutOff(name: string, cut: () => Promise<void>) {
  const bytes = 8 * 1024 * 1024;
  writeFileSync(path.join(outbox, name), randomBytes(bytes));
  const token = `cut-${name}`;
  await client.send(
    'SENDFILES',
    { files: [{ source: name, destination: name }], maxRate: '4MiB' },
    { target: 'lyon', token },
  );
  const staged = () => {
    const all = path.join(inbox, '.centreond-staging');
    if (!existsSync(all)) return 0;
    const sizes = readdirSync(all, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== 'done')
      .map((entry) => statSync(path.join(entry.parentPath, entry.name)).size);
    return Math.max(0, ...sizes);
  };
  await until('a part has arrived', () => staged() > bytes / 4, 30_000);
  await cut();
  const before = staged();
  expect(before).toBeLessThan(bytes);
  return { token, bytes, before };
}

async function outcomeOf(token: string) {
  const ends = async () => {
    const { data } = await client.send('GETLOG', { token });
    return (data.result as unknown as { code: number; data: object }[]).filter(({ code }) => code === 1 || code === 2);
  };
  await until('it has ended', async () => (await ends()).length > 0, 60_000);
  expect(await ends()).toHaveLength(1);
  const [end] = await ends();
  return end as { code: number; data: { bytesResent: number; bytesSent: number; bytesResumed: number } };
}

test('the receiver is killed in the middle: it goes on from what is staged', { timeout: 90_000 }, async () => {
  const { token, bytes } = await cutOff('receiver', async () => {
    await poller.end('SIGKILL');
    await poller.start();
  });
  const { code, data } = await outcomeOf(token);
  expect(data).toMatchObject({ files: 1 });
  expect(code).toBe(2);
  expect(data.bytesResent).toBeLessThanOrEqual(5 * CHUNK);
  expect(data.bytesSent).toBe(bytes + data.bytesResent);
  expect(sha256(path.join(inbox, 'receiver'))).toBe(sha256(path.join(outbox, 'receiver')));
});

test('the sender is killed in the middle: its next run goes on from what is staged', { timeout: 90_000 }, async () => {
  const { token, bytes, before } = await cutOff('sender', async () => {
    await central.end('SIGKILL');
    await central.start();
  });
  const { code, data } = await outcomeOf(token);
  expect(data).toMatchObject({ files: 1 });
  expect(code).toBe(2);
  expect(data.bytesResumed).toBeGreaterThan(0);
  expect(data.bytesSent).toBeLessThanOrEqual(bytes - before + 5 * CHUNK);
  expect(sha256(path.join(inbox, 'sender'))).toBe(sha256(path.join(outbox, 'sender')));
});

test('CANCEL stops it within a second, and what was staged is removed', async () => {
  const { token } = await cutOff('cancelled', async () => {});
  const before = Date.now();
  await client.send('CANCEL', { token });
  const { data } = await outcomeOf(token);
  expect(Date.now() - before).toBeLessThan(1500);
  expect(data).toMatchObject({ error: 'CANCELLED' });
  await until('the staging is empty', () => readdirSync(path.join(inbox, '.centreond-staging')).length === 0);
  expect(existsSync(path.join(inbox, 'cancelled'))).toBe(false);
});
