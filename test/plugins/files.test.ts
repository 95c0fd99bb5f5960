import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import type { TestedPlugin } from '@centreond/plugin-kit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type FilesPlugin from '../../plugins/files/src/index.ts';
import { until } from '../daemon-process.ts';
import { ask, type FileAnswer, Handing, STAGING, Stage, sha256, unreachable } from './files-stage.ts';

const CHUNK = 88 * 1024;
let stage: Stage;
let receiver: TestedPlugin<FilesPlugin>;
let sender: TestedPlugin<FilesPlugin>;
beforeEach(async () => {
  stage = new Stage();
  receiver = await stage.receiver();
  sender = await stage.sender(receiver);
});
afterEach(async () => {
  await sender.stop();
  await receiver.stop();
  stage[Symbol.dispose]();
});

const write = (name: string, bytes: Buffer | string) => writeFileSync(path.join(stage.outbox, name), bytes);
const read = (name: string) => readFileSync(path.join(stage.inbox, name));
const staged = () => readdirSync(path.join(stage.inbox, STAGING));
const send = (files: object[], more: object = {}, token?: string) =>
  sender.call(
    'SENDFILES',
    { files, ...more },
    { target: 'lyon', timeoutMs: 20_000, ...(token !== undefined && { token }) },
  );
const one = (name: string, more: object = {}, token?: string) =>
  send([{ source: name, destination: name }], more, token);

describe('the receiving end', () => {
  test('appends what follows, knows what comes twice, and refuses a gap', async () => {
    const bytes = randomBytes(1000);
    const handing = new Handing(receiver, 'x', bytes);
    expect(await handing.chunk()).toMatchObject({ error: 'FILES_OUT_OF_STEP' });
    expect(await handing.open()).toEqual({ offset: 0, done: false });
    expect(await handing.chunk(0, 400)).toEqual({ offset: 400 });
    expect(await handing.chunk(0, 400)).toEqual({ offset: 400 });
    expect(await handing.chunk(100, 600)).toEqual({ offset: 600 });
    expect(await handing.chunk(700, 1000)).toMatchObject({ error: 'FILES_OUT_OF_STEP' });
    expect(await handing.close()).toMatchObject({ error: 'FILES_OUT_OF_STEP' });
    expect(await handing.chunk(600, 1000)).toEqual({ offset: 1000 });
    expect(await handing.close()).toEqual({ done: true });
    expect(read('x').equals(bytes)).toBe(true);
  });

  test('refuses a chunk with another hash, more than was announced, and a whole with another hash', async () => {
    const handing = new Handing(receiver, 'x', Buffer.from('whole'));
    await handing.open();
    expect(await handing.chunk(0, 5, { sha256: sha256('other') })).toMatchObject({ error: 'FILES_OUT_OF_STEP' });
    const longer = Buffer.from('whole thing');
    const more = { sha256: sha256(longer), data: longer.toString('base64') };
    expect(await handing.chunk(0, 5, more)).toMatchObject({ error: 'FILES_OUT_OF_STEP' });
    expect(await handing.chunk()).toEqual({ offset: 5 });
    expect(await handing.close(sha256('other'))).toMatchObject({ error: 'FILES_OUT_OF_STEP' });
    expect(existsSync(path.join(stage.inbox, 'x'))).toBe(false);
    expect(await handing.open()).toEqual({ offset: 0, done: false });
  });

  test('started again it tells what is staged, of the same state of the source alone', async () => {
    const bytes = randomBytes(1000);
    const handing = new Handing(receiver, 'x', bytes);
    await handing.open();
    await handing.chunk(0, 400);
    await receiver.stop();
    await using next = await stage.receiver();
    const entry = { path: 'x', kind: 'file', size: 1000, mode: 0o644, version: '1' };
    const { transfer } = handing;
    const open = (more: object) => ask(next, 'FILESOPEN', { transfer, files: [{ ...entry, ...more }] });
    expect(await open({})).toEqual({ files: [{ offset: 400, done: false }] });
    expect(await open({ version: '2' })).toEqual({ files: [{ offset: 0, done: false }] });
    expect(await open({})).toEqual({ files: [{ offset: 400, done: false }] });
  });

  test('started again it still knows what has arrived, until the transfer is over', async () => {
    const handing = new Handing(receiver, 'x');
    expect(await handing.all()).toEqual({ done: true });
    await receiver.stop();
    receiver = await stage.receiver();
    const files = [{ path: 'x', kind: 'file', size: handing.bytes.length, mode: 0o644, version: '1' }];
    const open = () => ask(receiver, 'FILESOPEN', { transfer: handing.transfer, files });
    expect(await open()).toEqual({ files: [{ offset: handing.bytes.length, done: true }] });
    await ask(receiver, 'FILESCLOSE', { transfer: handing.transfer, files: [], last: true });
    expect(await open()).toEqual({ files: [{ offset: 0, done: false }] });
  });

  test('is for routers and plugins', async () => {
    for (const roles of [['client'], ['node']] as const) {
      const asked = receiver.ask('FILESCLOSE', { transfer: 't', files: [] }, { identity: 'ada', roles });
      await expect(asked).rejects.toMatchObject({ code: 'FORBIDDEN' });
    }
  });
});

describe('SENDFILES', () => {
  test('sends a file again and again over what is there', async () => {
    for (const text of ['first', '', 'third']) {
      write('x', text);
      const { ok, data } = await one('x');
      expect(data).toMatchObject({ files: 1, bytes: text.length, bytesSent: text.length, bytesResent: 0 });
      expect(ok).toBe(true);
      expect(read('x').toString()).toBe(text);
    }
    expect(staged()).toEqual([]);
  });

  test('gives the source its own name below a destination that ends with /', async () => {
    write('x', 'bytes');
    mkdirSync(path.join(stage.outbox, 'tree'));
    write('tree/y', 'more');
    const { data } = await send([
      { source: 'x', destination: 'into/' },
      { source: 'tree', destination: 'into/' },
      { source: '.', destination: 'all' },
    ]);
    expect(data).toMatchObject({ files: 4, folders: 3 });
    expect(read('into/x').toString()).toBe('bytes');
    expect(read('into/tree/y').toString()).toBe('more');
    expect(read('all/tree/y').toString()).toBe('more');
  });

  test('sends hundreds of small files in a dozen messages', async () => {
    const messages: string[] = [];
    await sender.stop();
    sender = await stage.sender(receiver, (action) => void messages.push(action));
    mkdirSync(path.join(stage.outbox, 'tree'));
    for (let i = 0; i < 600; i++) write(`tree/${i}`, `${i}`);
    const { ok, data } = await one('tree');
    expect(data).toMatchObject({ files: 600, folders: 1 });
    expect(ok).toBe(true);
    expect(messages.length).toBeLessThan(20);
    expect(readdirSync(path.join(stage.inbox, 'tree'))).toHaveLength(600);
    expect(read('tree/599').toString()).toBe('599');
  }, 60_000);

  test('goes on after any cut, sends again at most what was under way, and each file once', async () => {
    let asked = 0;
    let cuts = 0;
    await sender.stop();
    sender = await stage.sender(receiver, async (action, data) => {
      if (++asked % 7 !== 0 || cuts >= 12) return undefined;
      cuts++;
      // Half of the time the node has it and only its answer is lost.
      if (cuts % 2 === 0) await ask(receiver, action, data);
      throw unreachable();
    });
    const bytes = randomBytes(24 * CHUNK + 17);
    write('large', bytes);
    for (let i = 0; i < 100; i++) write(`small-${i}`, `${i}`);
    const { ok, data } = await send([{ source: '.', destination: 'all' }]);
    expect(data).toMatchObject({ files: 101 });
    expect(ok).toBe(true);
    expect(cuts).toBeGreaterThan(4);
    expect((data as unknown as { bytesResent: number }).bytesResent).toBeLessThanOrEqual(cuts * 5 * CHUNK);
    expect(read('all/large').equals(bytes)).toBe(true);
    expect(staged()).toEqual([]);
  }, 60_000);

  test('a receiver that is started again in the middle has lost nothing', async () => {
    let chunks = 0;
    await sender.stop();
    sender = await stage.sender(receiver, async (action, data) => {
      if (action === 'FILESCHUNK' && ++chunks === 10) {
        await receiver.stop();
        receiver = await stage.receiver();
        throw unreachable();
      }
      return ask(receiver, action, data);
    });
    const bytes = randomBytes(20 * CHUNK);
    write('x', bytes);
    const { data } = await one('x');
    expect(data).toMatchObject({ files: 1, bytes: bytes.length });
    expect((data as unknown as { bytesResent: number }).bytesResent).toBeLessThanOrEqual(5 * CHUNK);
    expect(read('x').equals(bytes)).toBe(true);
  });

  test('a run after the death of the sender sends only what is missing', async () => {
    const bytes = randomBytes(20 * CHUNK);
    write('x', bytes);
    let chunks = 0;
    await sender.stop();
    sender = await stage.sender(receiver, (action) => {
      if (action === 'FILESCHUNK' && ++chunks > 8) throw unreachable();
    });
    sender.send('SENDFILES', { files: [{ source: 'x', destination: 'x' }] }, { target: 'lyon', token: 'same' });
    await until('it is cut off', () => chunks > 8);
    await sender.kill();
    sender = await stage.sender(receiver);
    const { data } = await one('x', {}, 'same');
    expect(data).toMatchObject({ files: 1, bytesResumed: 8 * CHUNK, bytesSent: 12 * CHUNK, bytesResent: 0 });
    expect(read('x').equals(bytes)).toBe(true);
  });

  test('what is damaged on the way is sent again, and given up where it always is', async () => {
    let damage = 1;
    await sender.stop();
    sender = await stage.sender(receiver, async (action, data) => {
      if (action === 'FILESCLOSE' && damage-- > 0) {
        const files = (data.files as { path: string }[]).map(({ path }) => ({ path, sha256: sha256('other') }));
        return ask(receiver, action, { ...data, files });
      }
      return undefined;
    });
    write('x', 'bytes');
    expect((await one('x')).data).toMatchObject({ files: 1, bytesSent: 10, bytesResent: 5 });
    damage = 100;
    expect((await one('x')).data).toMatchObject({
      error: 'FILES_REFUSED',
      message: expect.stringContaining('3 times'),
    });
  });

  test('a file that changes while it is sent is left as it was there, and named; the others arrive', async () => {
    let chunks = 0;
    await sender.stop();
    sender = await stage.sender(receiver, (action) => {
      if (action === 'FILESCHUNK' && ++chunks === 2) write('b', randomBytes(10 * CHUNK));
    });
    write('a', 'a');
    write('b', randomBytes(10 * CHUNK));
    write('c', 'c');
    writeFileSync(path.join(stage.inbox, 'b'), 'old');
    const files = ['a', 'b', 'c'].map((name) => ({ source: name, destination: name }));
    const { data } = await send(files);
    expect(data).toMatchObject({
      error: 'FILES_INCOMPLETE',
      message: expect.stringMatching(/^1 of 3 .*\/b .*changed/),
    });
    expect(['a', 'b', 'c'].map((name) => read(name).toString())).toEqual(['a', 'old', 'c']);
    expect(staged()).toEqual([]);
  });

  test('what the node cannot write is named, and the rest arrives', async () => {
    for (const name of ['a', 'b', 'c']) write(name, name);
    mkdirSync(path.join(stage.inbox, 'all/b'), { recursive: true });
    const { data } = await send([{ source: '.', destination: 'all' }]);
    const message = expect.stringMatching(/^1 of 4 .*all\/b was not taken: a folder is in its place/);
    expect(data).toMatchObject({ error: 'FILES_INCOMPLETE', message });
    expect(read('all/c').toString()).toBe('c');
  });

  test('follows no link and says what it left out', async () => {
    mkdirSync(path.join(stage.outbox, 'tree'));
    writeFileSync(path.join(stage.outside, 'secret'), 'secret');
    symlinkSync(stage.outside, path.join(stage.outbox, 'tree/link'));
    symlinkSync('tree', path.join(stage.outbox, 'alias'));
    const { data } = await one('tree');
    expect(data).toMatchObject({ files: 0, skipped: [{ path: 'tree/link', reason: 'it is a symbolic link' }] });
    expect((await one('alias')).data).toMatchObject({ error: 'FILES_REFUSED' });
    expect((await send([{ source: 'alias/x', destination: 'x' }])).data).toMatchObject({ error: 'FILES_REFUSED' });
    expect((await send([{ source: 'tree/link/secret', destination: 'x' }])).data).toMatchObject({
      error: 'FILES_REFUSED',
    });
    expect((await one('nothing')).data).toMatchObject({ message: expect.stringContaining('nothing of that name') });
    rmSync(path.join(stage.outside, 'secret'));
  });

  test('two sources for one place are refused before anything is sent', async () => {
    write('x', 'x');
    const file = { source: 'x', destination: 'y' };
    expect((await send([file, file])).data).toMatchObject({ error: 'INVALID_DATA' });
    expect(existsSync(path.join(stage.inbox, 'y'))).toBe(false);
  });

  test('a folder that forbids to write arrives as it is, and once more', async () => {
    mkdirSync(path.join(stage.outbox, 'tree'));
    write('tree/x', 'x');
    chmodSync(path.join(stage.outbox, 'tree'), 0o555);
    expect((await one('tree')).data).toMatchObject({ files: 1 });
    expect(statSync(path.join(stage.inbox, 'tree')).mode & 0o7777).toBe(0o555);
    chmodSync(path.join(stage.outbox, 'tree'), 0o755);
    chmodSync(path.join(stage.inbox, 'tree'), 0o755);
  });

  test('keeps to maxRate, and tells about once a second how far it is', async () => {
    write('x', randomBytes(30 * CHUNK));
    const before = Date.now();
    const { data, rows } = await one('x', { maxRate: '1MiB' });
    expect(Date.now() - before).toBeGreaterThan(1900);
    expect(data).toMatchObject({ files: 1 });
    const told = rows.filter(({ code }) => code === 110).map((row) => row.data as { bytes: number; rate: number });
    expect(told.length).toBeGreaterThanOrEqual(1);
    expect(told[0]).toMatchObject({ file: 'x', total: 30 * CHUNK, resumed: 0, files: 0 });
    expect(told[0]?.bytes).toBeGreaterThan(0);
  });

  test('CANCEL ends it at once, however long the node is silent, and has the node clean up', async () => {
    let asked = 0;
    await sender.stop();
    sender = await stage.sender(receiver, async (action, data) => {
      if (action !== 'FILESCHUNK') return undefined;
      asked++;
      await ask(receiver, action, data);
      return new Promise(() => {});
    });
    write('x', randomBytes(10 * CHUNK));
    const token = sender.send('SENDFILES', { files: [{ source: 'x', destination: 'x' }] }, { target: 'lyon' });
    await until('the node is silent', () => asked === 4);
    const before = Date.now();
    sender.abort(token);
    await until('it has ended', () => sender.rows.some((row) => row.token === token && row.code === 1));
    expect(Date.now() - before).toBeLessThan(1000);
    await until('nothing is staged', () => staged().length === 0);
  });

  test('says so where the node does not have the plugin', async () => {
    await sender.stop();
    const { failure } = await import('@centreond/plugin-sdk');
    sender = await stage.sender(receiver, () => {
      throw failure('NODE_LACKS_ACTION', { target: 'lyon', action: 'FILESOPEN', have: [] });
    });
    write('x', 'x');
    expect((await one('x')).data).toMatchObject({ error: 'NODE_LACKS_ACTION' });
  });

  test('asks the reader of its answers to believe the node no more than it must', async () => {
    await sender.stop();
    const answers: FileAnswer[] = [{ offset: 10 ** 9, done: false }];
    sender = await stage.sender(receiver, (action) => (action === 'FILESOPEN' ? { files: answers } : undefined));
    write('x', 'x');
    expect((await one('x')).data).toMatchObject({ error: 'FILES_REFUSED' });
  });
});
