import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { entriesOf, withStaging } from '../../../core/dist/data-folder/staging.js';
import { ROOT } from '../../daemon-process.ts';

function temporary(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'centreond-staging-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('a staging folder is private, and gone with its work, whether that succeeds or fails', async () => {
  const folder = temporary();
  const work = (fails: boolean) =>
    withStaging(path.join(folder, 'a.'), async (staging) => {
      expect(statSync(staging).mode & 0o777).toBe(0o700);
      writeFileSync(path.join(staging, 'key'), '');
      if (fails) throw new Error('no');
      return 'done';
    });
  expect(await work(false)).toBe('done');
  await expect(work(true)).rejects.toThrow('no');
  expect(readdirSync(folder)).toEqual([]);
  expect(['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => process.listenerCount(signal))).toEqual(before);
});
const before = ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => process.listenerCount(signal));

test.each(['SIGINT', 'SIGTERM'] as const)('a staging folder is gone where %s ends the process', async (signal) => {
  const folder = temporary();
  const module = path.join(ROOT, 'core/dist/data-folder/staging.js');
  const script = `import { withStaging } from ${JSON.stringify(module)};
    setInterval(() => {}, 1000);
    await withStaging(process.argv[1], (folder) => new Promise(() => console.log(folder)));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, path.join(folder, 'b.')]);
  const [made] = (await once(child.stdout, 'data')) as [Buffer];
  expect(existsSync(String(made).trim())).toBe(true);
  child.kill(signal);
  expect(await once(child, 'exit')).toEqual([null, signal]);
  expect(readdirSync(folder)).toEqual([]);
});

test('the entries of a folder: files and folders by their paths, links and the like apart', () => {
  const folder = temporary();
  mkdirSync(path.join(folder, 'b/c'), { recursive: true });
  writeFileSync(path.join(folder, 'b/c/d'), '');
  writeFileSync(path.join(folder, 'a'), '');
  symlinkSync('/etc', path.join(folder, 'b/link'));
  expect(entriesOf(folder)).toEqual({ files: ['a', 'b/c/d'], folders: ['b', 'b/c'], others: ['b/link'] });
});
