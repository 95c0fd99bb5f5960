import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import type { TestedPlugin } from '@centreond/plugin-kit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type FilesPlugin from '../../plugins/files/src/index.ts';
import { ask, type FileAnswer, Handing, STAGING, Stage } from './files-stage.ts';

let stage: Stage;
let receiver: TestedPlugin<FilesPlugin>;
beforeEach(async () => {
  stage = new Stage();
  receiver = await stage.receiver();
});
afterEach(async () => {
  await receiver.stop();
  expect(readdirSync(stage.outside)).toEqual([]);
  stage[Symbol.dispose]();
});

const hand = (to: string, ...more: [Buffer?, number?, string?]) => new Handing(receiver, to, ...more);
const read = (name: string) => readFileSync(path.join(stage.inbox, name), 'utf8');

describe('what is received lands below the roots alone', () => {
  test.each([
    '../outside/x',
    'a/../../outside/x',
    '..',
    '/etc/x',
    'a//x',
    'a/./x',
    './x',
    'a/',
    '/',
    'nul\0x',
    `${STAGING}/x`,
    STAGING,
  ])('%j is FORBIDDEN', async (to) => {
    const answer = await hand(to).open();
    expect(answer).toMatchObject({ error: 'FORBIDDEN', message: expect.stringContaining('central may not write') });
  });

  test('an absolute path is fine where it is below a root, and a root that only begins like one is none', async () => {
    expect(await hand(`${stage.inbox}/deep/x`).all()).toEqual({ done: true });
    expect(read('deep/x')).toBe('some bytes');
    expect(await hand(`${stage.inbox}2/x`).open()).toMatchObject({ error: 'FORBIDDEN' });
    expect(await hand(`${stage.inbox}/../outside/x`).open()).toMatchObject({ error: 'FORBIDDEN' });
  });

  test('without roots nothing is received, and the sentence says which key is missing', async () => {
    await using none = await stage.receiver([]);
    const answer = await new Handing(none, 'x').open();
    expect(answer).toMatchObject({ error: 'FORBIDDEN', message: expect.stringContaining('no folder under receive') });
  });

  test.each([0, 1, 2])('a symbolic link as part %i of the path leads nowhere', async (at) => {
    const names = ['a', 'b', 'c'];
    mkdirSync(path.join(stage.inbox, ...names.slice(0, at)), { recursive: true });
    symlinkSync(stage.outside, path.join(stage.inbox, ...names.slice(0, at + 1)));
    const handing = hand([...names, 'x'].join('/'));
    expect(await handing.all()).toMatchObject({ error: 'FILES_REFUSED', message: expect.stringContaining('link') });
  });

  test('a symbolic link in the place of the file is replaced, and what it leads to is left alone', async () => {
    const victim = path.join(stage.folder, 'victim');
    writeFileSync(victim, 'mine');
    symlinkSync(victim, path.join(stage.inbox, 'x'));
    expect(await hand('x').all()).toEqual({ done: true });
    expect(read('x')).toBe('some bytes');
    expect(readFileSync(victim, 'utf8')).toBe('mine');
  });

  test('a link that takes the place of the folder, or of the staging, between two messages leads nowhere', async () => {
    mkdirSync(path.join(stage.inbox, 'a'));
    const handing = hand('a/x');
    await handing.open();
    await handing.chunk();
    const { renameSync } = await import('node:fs');
    renameSync(path.join(stage.inbox, 'a'), path.join(stage.inbox, 'b'));
    symlinkSync(stage.outside, path.join(stage.inbox, 'a'));
    expect(await handing.close()).toMatchObject({ error: 'FILES_REFUSED' });
    renameSync(path.join(stage.inbox, STAGING), path.join(stage.inbox, 'was-staging'));
    symlinkSync(stage.outside, path.join(stage.inbox, STAGING));
    expect(await hand('y').open()).toMatchObject({ error: 'FILES_REFUSED' });
  });

  test('nothing lands outside while somebody swaps a folder for a link thousands of times', async () => {
    const swapped = path.join(stage.inbox, 'swapped');
    mkdirSync(swapped);
    const code = `
      const { renameSync, rmSync, symlinkSync, unlinkSync } = require('node:fs');
      const { workerData: { swapped, outside, stop } } = require('node:worker_threads');
      const flag = new Int32Array(stop);
      while (Atomics.load(flag, 0) === 0) {
        try { renameSync(swapped, swapped + '.aside'); symlinkSync(outside, swapped); } catch {}
        Atomics.add(flag, 1, 1);
        try { unlinkSync(swapped); renameSync(swapped + '.aside', swapped); } catch {}
        // Somebody made it again meanwhile.
        try { rmSync(swapped + '.aside', { recursive: true, force: true }); } catch {}
      }`;
    const stop = new SharedArrayBuffer(8);
    const flag = new Int32Array(stop);
    const worker = new Worker(code, { eval: true, workerData: { swapped, outside: stage.outside, stop } });
    const exited = new Promise((resolve) => worker.once('exit', resolve));
    const ends = { done: 0, refused: 0 };
    for (let i = 0; Atomics.load(flag, 1) < 5000 || ends.done === 0 || i < 100; i++) {
      const handing = hand(`swapped/deep/${i}`);
      const answer = await handing.all();
      await handing.last();
      if (answer.done) ends.done++;
      else ends.refused++;
      if (!answer.done) expect(answer.error).toMatch(/^FILES_/);
      if (i > 20_000) throw new Error(`it never came through: ${JSON.stringify(answer)}`);
    }
    Atomics.store(flag, 0, 1);
    await exited;
    expect(ends.refused).toBeGreaterThan(0);
    expect(readdirSync(stage.outside, { recursive: true })).toEqual([]);
  }, 30_000);
});

describe('a file', () => {
  test('keeps its mode, and never setuid, setgid or sticky', async () => {
    expect(await hand('x', undefined, 0o640).all()).toEqual({ done: true });
    expect(statSync(path.join(stage.inbox, 'x')).mode & 0o7777).toBe(0o640);
    await expect(hand('y', undefined, 0o4755).open()).rejects.toMatchObject({ code: 'INVALID_DATA' });
  });

  test('is replaced at once and as a whole; a folder, a pipe or a root in its place is left', async () => {
    writeFileSync(path.join(stage.inbox, 'x'), 'old');
    const handing = hand('x');
    await handing.open();
    await handing.chunk();
    expect(read('x')).toBe('old');
    expect(await handing.close()).toEqual({ done: true });
    expect(read('x')).toBe('some bytes');
    mkdirSync(path.join(stage.inbox, 'folder'));
    expect(await hand('folder').open()).toMatchObject({ message: expect.stringContaining('a folder is in its place') });
    expect(await hand(stage.inbox).open()).toMatchObject({ message: expect.stringContaining('the place of a root') });
    expect(await hand('x/y').open()).toMatchObject({ message: expect.stringContaining('is no folder') });
  });

  test('is staged where nobody else can look, and what the daemon does not own is not used', async () => {
    const handing = hand('x');
    await handing.open();
    await handing.chunk();
    const staging = path.join(stage.inbox, STAGING);
    expect(statSync(staging).mode & 0o777).toBe(0o700);
    const [transfer] = readdirSync(staging);
    expect(statSync(path.join(staging, String(transfer))).mode & 0o777).toBe(0o700);
    await handing.close();
    await handing.last();
    expect(readdirSync(staging)).toEqual([]);
    chmodSync(staging, 0o777);
    await hand('y').open();
    expect(statSync(staging).mode & 0o777).toBe(0o700);
  });

  test('that is staged and was not touched for a day is removed at the next start', async () => {
    const [old, young] = [hand('old'), hand('young')];
    await old.open();
    await old.chunk(0, 5);
    const staging = path.join(stage.inbox, STAGING);
    const [first] = readdirSync(staging).map((name) => path.join(staging, name));
    const then = Date.now() / 1000 - 25 * 3600;
    for (const name of readdirSync(String(first))) utimesSync(path.join(String(first), name), then, then);
    utimesSync(String(first), then, then);
    await young.open();
    await young.chunk(0, 5);
    await receiver.stop();
    receiver = await stage.receiver();
    expect(readdirSync(staging)).toHaveLength(1);
    expect(existsSync(String(first))).toBe(false);
  });
});

test('too many transfers, open or staged below one root, are BUSY', async () => {
  for (let i = 0; i < 64; i++) expect(await hand(`file-${i}`).open()).toEqual({ offset: 0, done: false });
  await expect(hand('one-more').open()).rejects.toMatchObject({ code: 'BUSY' });
  for (let i = 0; i < 192; i++) mkdirSync(path.join(stage.inbox, STAGING, `${i}`));
  await using other = await stage.receiver();
  await expect(new Handing(other, 'one-more').open()).rejects.toMatchObject({ code: 'BUSY' });
});

test('folders get their mode when they are closed, the root keeps its own', async () => {
  const transfer = 'folders';
  const files = ['.', 'a', 'a/b'].map((name) => ({
    path: name,
    kind: 'directory',
    size: 0,
    mode: 0o511,
    version: '1',
  }));
  const root = statSync(stage.inbox).mode;
  const opened = (await ask(receiver, 'FILESOPEN', { transfer, files })).files as FileAnswer[];
  expect(opened.every(({ error }) => error === undefined)).toBe(true);
  expect(statSync(path.join(stage.inbox, 'a')).mode & 0o777).toBe(0o700);
  const closing = ['a/b', 'a', '.'].map((name) => ({ path: name, sha256: '' }));
  const closed = (await ask(receiver, 'FILESCLOSE', { transfer, files: closing })).files as FileAnswer[];
  expect(closed).toEqual([{ done: true }, { done: true }, { done: true }]);
  expect(statSync(path.join(stage.inbox, 'a')).mode & 0o7777).toBe(0o511);
  expect(statSync(stage.inbox).mode).toBe(root);
  chmodSync(path.join(stage.inbox, 'a'), 0o755);
  symlinkSync(stage.outside, path.join(stage.inbox, 'link'));
  expect(await hand('link', undefined, 0o755).open({ kind: 'directory', size: 0 })).toMatchObject({
    error: 'FILES_REFUSED',
  });
});
