import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { DataFolder } from '../../../core/dist/data-folder/data-folder.js';
import { ROOT } from '../../daemon-process.ts';

function temporary(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'centreond-folder-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('a folder is held once, by a pid that people can read, and free after its release', async () => {
  const folder = path.join(temporary(), 'a/b/var');
  const held = await DataFolder.take(folder);
  expect(readFileSync(path.join(folder, 'run/daemon.pid'), 'utf8')).toBe(`${process.pid}\n`);
  await expect(DataFolder.take(folder)).rejects.toThrow(
    `The daemon with pid ${process.pid} already works on ${folder}`,
  );
  await held.release();
  await held.release();
  await (await DataFolder.take(folder)).release();
  for (const file of ['', 'run', 'keys', 'plugins']) expect(statSync(path.join(folder, file)).mode & 0o777).toBe(0o700);
  expect(statSync(path.join(folder, 'lock')).mode & 0o777).toBe(0o600);
});

test('a folder is held under each of its names', async () => {
  const parent = temporary();
  const held = await DataFolder.take(path.join(parent, 'var'));
  symlinkSync('var', path.join(parent, 'other'));
  await expect(DataFolder.take(path.join(parent, 'other'))).rejects.toMatchObject({ code: 'DATA_DIR_TAKEN' });
  await held.release();
});

test('a pid file of a daemon that is gone keeps nobody out, even if another process has its pid now', async () => {
  const folder = temporary();
  mkdirSync(path.join(folder, 'run'));
  writeFileSync(path.join(folder, 'run/daemon.pid'), `${process.ppid}\n`);
  await (await DataFolder.take(folder)).release();
});

test('a folder that cannot be made is refused with a sentence: below /proc, below a file', () => {
  const file = path.join(temporary(), 'file');
  writeFileSync(file, '');
  // In a process of its own: what it guards against is a call that never returns.
  const module = path.join(ROOT, 'core/dist/data-folder/data-folder.js');
  const script = `import { DataFolder } from ${JSON.stringify(module)};
    await DataFolder.take(process.argv[1]).catch((error) => console.log(error.code, error.message));`;
  for (const folder of ['/proc/1/centreond/var', '/proc/centreond', path.join(file, 'var')]) {
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script, folder], { timeout: 20_000 });
    expect(String(stdout)).toMatch(/^DATA_DIR_UNUSABLE The folder .* cannot be used: E/);
  }
});
