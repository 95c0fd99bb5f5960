import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import type { TestedPlugin } from '@centreond/plugin-kit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type FilesPlugin from '../../plugins/files/src/index.ts';
import { ask, type FileAnswer, Handing, STAGING, Stage, unreachable } from './files-stage.ts';

const CHUNK = 88 * 1024;
const MIB = 1024 * 1024;
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

const out = (name: string) => path.join(stage.outbox, name);
const into = (name: string) => path.join(stage.inbox, name);
const send = (files: object[], timeoutMs = 20_000) =>
  sender.call('SENDFILES', { files }, { target: 'lyon', timeoutMs });
const one = (name: string, timeoutMs?: number) => send([{ source: name, destination: name }], timeoutMs);

describe('folders', () => {
  test('arrive each with its mode, and few are open at once however many there are', { timeout: 60_000 }, async () => {
    const open = new Set<string>();
    let most = 0;
    await sender.stop();
    sender = await stage.sender(receiver, (action, data) => {
      for (const { path } of data.files as { path: string }[]) {
        if (action === 'FILESOPEN') open.add(path);
        else open.delete(path);
      }
      most = Math.max(most, open.size);
    });
    for (let i = 0; i < 20; i++) {
      for (let j = 0; j < 20; j++) mkdirSync(out(`tree/${i}/${j}`), { recursive: true, mode: 0o750 });
    }
    mkdirSync(out('tree/last'), { mode: 0o511 });
    const { data } = await one('tree', 50_000);
    expect(data).toMatchObject({ files: 0, folders: 20 * 20 + 20 + 2 });
    expect(statSync(into('tree/0/0')).mode & 0o777).toBe(0o750);
    expect(statSync(into('tree/last')).mode & 0o777).toBe(0o511);
    expect(readdirSync(into('tree'))).toHaveLength(21);
    expect(open.size).toBe(0);
    expect(most).toBeLessThan(210);
  });

  test('a sender may open more of them than the receiver keeps before it closes the first', async () => {
    const transfer = 'many';
    const folder = (name: string) => ({ path: name, kind: 'directory', size: 0, mode: 0o711, version: '1' });
    const open = async (names: string[]) =>
      (await ask(receiver, 'FILESOPEN', { transfer, files: names.map(folder) })).files as FileAnswer[];
    const close = async (name: string) =>
      (await ask(receiver, 'FILESCLOSE', { transfer, files: [{ path: name, sha256: '' }] })).files as FileAnswer[];
    for (let i = 0; i < 3; i++) {
      const answers = await open(Array.from({ length: 1000 }, (_, j) => `${i}-${j}`));
      expect(answers.filter(({ error }) => error !== undefined)).toEqual([]);
    }
    // It has forgotten the first one, says so in the way that has it opened again, and takes it then.
    expect(await close('0-0')).toMatchObject([{ error: 'FILES_OUT_OF_STEP' }]);
    expect(await open(['0-0'])).toEqual([{ offset: 0, done: false }]);
    expect(await close('0-0')).toEqual([{ done: true }]);
    expect(statSync(into('0-0')).mode & 0o777).toBe(0o711);
  });

  test('one that forbids to write gets its mode after all that goes into it, from whatever source', async () => {
    for (const name of ['a', 'b', 'b/c']) mkdirSync(out(name));
    for (const name of ['a/x', 'b/c/y']) writeFileSync(out(name), name);
    const closed: string[] = [];
    await sender.stop();
    sender = await stage.sender(receiver, (action, data) => {
      if (action !== 'FILESCLOSE') return;
      for (const { path } of data.files as { path: string }[]) closed.push(path);
    });
    const { data } = await send([
      { source: 'a', destination: 'all' },
      { source: 'b', destination: 'all/deep/b' },
    ]);
    expect(data).toMatchObject({ files: 2, folders: 3 });
    expect(closed).toEqual(['all/x', 'all/deep/b/c/y', 'all/deep/b/c', 'all/deep/b', 'all']);
  });

  test('two sources for one place are refused, also where one is below the other', async () => {
    mkdirSync(out('a/b'), { recursive: true });
    mkdirSync(out('c'));
    writeFileSync(out('a/b/x'), 'x');
    const clash = (destination: string) =>
      send([
        { source: 'a', destination: 'all' },
        { source: 'c', destination },
      ]);
    expect((await clash('all')).data).toMatchObject({ error: 'INVALID_DATA' });
    expect((await clash('all/b')).data).toMatchObject({
      error: 'INVALID_DATA',
      message: expect.stringContaining('two sources go to all/b'),
    });
    expect((await clash('all/c')).data).toMatchObject({ folders: 3, files: 1 });
  });
});

describe('what is staged', () => {
  test('is never sent, however deep it lies below what is', async () => {
    for (const folder of ['tree', 'tree/inner']) {
      mkdirSync(out(`${folder}/${STAGING}/transfer`), { recursive: true });
      writeFileSync(out(`${folder}/${STAGING}/transfer/part`), 'part');
    }
    writeFileSync(out('tree/x'), 'x');
    const { data } = await one('tree');
    const reason = 'it holds files that are still being received';
    expect(data).toMatchObject({
      files: 1,
      folders: 2,
      skippedTotal: 2,
      skipped: [
        { path: `tree/${STAGING}`, reason },
        { path: `tree/inner/${STAGING}`, reason },
      ],
    });
    expect(existsSync(into(`tree/${STAGING}`))).toBe(false);
    expect(await send([{ source: `tree/${STAGING}`, destination: 'x' }])).toMatchObject({
      data: { error: 'FORBIDDEN' },
    });
  });

  test('of a root below another one cannot be written to', async () => {
    const answer = await new Handing(receiver, `inner/${STAGING}/transfer/part`).open();
    expect(answer).toMatchObject({ error: 'FORBIDDEN', message: expect.stringContaining(STAGING) });
  });

  test('does not hinder a root that is both sent from and received in', async () => {
    await sender.stop();
    sender = await stage.sender(receiver, undefined, [stage.inbox]);
    mkdirSync(into('tree'));
    writeFileSync(into('tree/x'), 'x');
    for (const destination of ['.', 'copy']) {
      const { data } = await send([{ source: '.', destination }]);
      expect(data).toMatchObject({ files: 1, folders: 2 });
    }
    expect(readdirSync(stage.inbox, { recursive: true }).sort()).toEqual(
      [STAGING, 'copy', 'copy/tree', 'copy/tree/x', 'tree', 'tree/x'].sort(),
    );
    expect(readFileSync(into('tree/x'), 'utf8')).toBe('x');
  });
});

describe('a file that grows while it is sent', () => {
  const growing = async (change: (file: string) => void) => {
    let chunks = 0;
    await sender.stop();
    sender = await stage.sender(receiver, (action) => {
      if (action === 'FILESCHUNK' && ++chunks % 2 === 1) change(out('log'));
    });
    const bytes = randomBytes(10 * CHUNK + 5);
    writeFileSync(out('log'), bytes);
    return { bytes, answer: await one('log') };
  };

  test('arrives up to the size that it had at the beginning, and the outcome says so', async () => {
    const { bytes, answer } = await growing((file) => appendFileSync(file, 'one more line\n'));
    expect(answer.data).toMatchObject({ files: 1, bytes: bytes.length, grownTotal: 1 });
    expect(answer.ok).toBe(true);
    const [grown] = answer.data.grown as { path: string; bytes: number; size: number }[];
    expect(grown).toMatchObject({ path: 'log', bytes: bytes.length });
    expect(grown?.size).toBeGreaterThan(bytes.length);
    expect(readFileSync(into('log')).equals(bytes)).toBe(true);
  });

  test('arrives over cuts too', async () => {
    let asked = 0;
    await sender.stop();
    sender = await stage.sender(receiver, (action) => {
      if (action === 'FILESCHUNK') appendFileSync(out('log'), 'more');
      if (++asked % 5 === 0) throw unreachable();
    });
    const bytes = randomBytes(10 * CHUNK);
    writeFileSync(out('log'), bytes);
    expect((await one('log')).data).toMatchObject({ files: 1, grownTotal: 1 });
    expect(readFileSync(into('log')).equals(bytes)).toBe(true);
  });

  test('is refused if what was sent of it is no longer what it begins with', async () => {
    const { answer } = await growing((file) => {
      const handle = openSync(file, 'r+');
      writeSync(handle, randomBytes(CHUNK), 0, CHUNK, 0);
      closeSync(handle);
      appendFileSync(file, 'and it grew');
    });
    expect(answer.data).toMatchObject({ error: 'FILES_REFUSED', message: expect.stringContaining('changed') });
    expect(existsSync(into('log'))).toBe(false);
  });
});

test('a sparse file arrives as a sparse file, cut off or not', async () => {
  const handle = openSync(out('sparse'), 'w');
  const data = randomBytes(5000);
  for (const at of [3 * MIB + 17, 10 * MIB]) writeSync(handle, data, 0, data.length, at);
  ftruncateSync(handle, 16 * MIB + 1);
  closeSync(handle);
  let asked = 0;
  await sender.stop();
  sender = await stage.sender(receiver, () => {
    if (++asked % 30 === 0) throw unreachable();
  });
  expect((await one('sparse')).data).toMatchObject({ files: 1, bytes: 16 * MIB + 1 });
  expect(asked).toBeGreaterThan(60);
  expect(readFileSync(into('sparse')).equals(readFileSync(out('sparse')))).toBe(true);
  expect(statSync(into('sparse')).blocks * 512).toBeLessThan(MIB / 4);
});

/** A small disk that is mounted on `folder`. */
class Disk implements Disposable {
  constructor(
    readonly folder: string,
    size: string,
  ) {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]);
  }
  [Symbol.dispose](): void {
    execFileSync('umount', ['-l', this.folder]);
  }
}
const canMount = spawnSync('unshare', ['-m', 'true']).status === 0;

describe.skipIf(!canMount)('a file that is too large', () => {
  test('for the disk is named, and small ones after it arrive', async () => {
    await receiver.stop();
    using disk = new Disk(stage.inbox, '4m');
    await using full = await stage.receiver([disk.folder]);
    await using from = await stage.sender(full);
    writeFileSync(out('a'), 'a');
    writeFileSync(out('b'), randomBytes(8 * MIB));
    for (let i = 0; i < 300; i++) writeFileSync(out(`c-${i}`), randomBytes(1000));
    const files = [{ source: '.', destination: 'all' }];
    const { data } = await from.call('SENDFILES', { files }, { target: 'lyon', timeoutMs: 20_000 });
    const message = expect.stringMatching(/^1 of 303 .*all\/b was not taken: the disk is full/);
    expect(data).toMatchObject({ error: 'FILES_INCOMPLETE', message });
    expect(readdirSync(into('all'))).toHaveLength(301);
    expect(readdirSync(into(STAGING))).toEqual([]);
  });

  test('for a message, or has too long a destination, is named, and small ones beside it arrive', async () => {
    using disk = new Disk(stage.outbox, '4m');
    writeFileSync(out('a'), 'a');
    writeFileSync(out('huge'), '');
    execFileSync('truncate', ['-s', '9007199254740993', path.join(disk.folder, 'huge')]);
    const long = `${'d'.repeat(250)}/`.repeat(16);
    const { data } = await send([
      { source: '.', destination: 'all' },
      { source: 'a', destination: `${long}a` },
    ]);
    const message = expect.stringMatching(
      /^1 of 4 .*all\/huge was not taken: it is larger than 9007199254740991 bytes/,
    );
    expect(data).toMatchObject({ error: 'FILES_INCOMPLETE', message });
    expect(readFileSync(into('all/a'), 'utf8')).toBe('a');
    truncateSync(out('huge'), 0);
    const { data: refused } = await send([{ source: '.', destination: `${long}${'e'.repeat(79)}` }]);
    expect(refused).toMatchObject({ error: 'FILES_INCOMPLETE', message: expect.stringContaining('longer than 4096') });
  });
});
