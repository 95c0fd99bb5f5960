// node test/mutation/run.ts [FILE…]: mutates each file, one after the other, and prints which mutants the tests let live.
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '../..');
const FILES = ['core/src/router/authorize.ts', 'core/src/router/ladder.ts', 'plugin-sdk/src/channel/*.ts'];

const given = process.argv.slice(2);
const files = globSync(given.length > 0 ? given : FILES, { cwd: ROOT }).filter((file) => !file.endsWith('/index.ts'));
if (files.length === 0) throw new Error(`no file is ${given.join(' or ')}`);
for (const file of files) {
  const args = ['run', 'test/mutation/stryker.config.json', '--mutate', file];
  const { status } = spawnSync('stryker', args, { cwd: ROOT, stdio: 'inherit' });
  if (status !== 0) process.exitCode = 1;
}
