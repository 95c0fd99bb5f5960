import { execFileSync, spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { folder, opened } from '../opened.ts';
import { holds, writing } from '../writing.ts';

const prlimit = spawnSync('prlimit', ['--version']).status === 0;

test.skipIf(!prlimit)('a disk that takes no more bytes refuses, and is used again when it does', async () => {
  const file = path.join(folder(), 'history.sdb');
  const run = writing(file, 7);
  const limit = (bytes: number | 'unlimited') =>
    execFileSync('prlimit', ['--pid', String(run.child.pid), `--fsize=${bytes}:unlimited`]);
  await run.until((lines) => lines.length > 100);
  // No file may grow from here on: writes to the write-ahead log fail as on a full disk.
  limit(statSync(`${file}-wal`).size);
  const refused = (lines: string[]) => lines.filter((line) => line.startsWith('refused')).length;
  await run.until((lines) => refused(lines) > 40);
  const atFault = run.lines.length;
  limit('unlimited');
  await run.until((lines) => lines.slice(atFault).filter((line) => line.startsWith('accept')).length > 100);
  await run.end();
  expect(run.lines.filter((line) => line.startsWith('refused') && line !== 'refused STORE_FAILED')).toEqual([]);
  await holds(await opened({ file }), run.lines);
});
