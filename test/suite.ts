// node test/suite.ts NAME [--long] [FILTER…]: runs the longer suite test/NAME; --long sets LONG=1, for many more rounds. The suite
// cluster has the store's tests, too.
import { spawn } from 'node:child_process';
import path from 'node:path';

const [name = '', ...words] = process.argv.slice(2);
const filters = words.filter((word) => word !== '--long');
const args = [
  'run',
  '--config',
  path.join(import.meta.dirname, 'vitest.suite.config.ts'),
  ...(filters.length > 0 || name === 'cluster' ? filters : [`${name}/`]),
];
const env = { ...process.env, SUITE: name, ...(words.includes('--long') && { LONG: '1' }) };
const child = spawn('vitest', args, { stdio: 'inherit', env });
child.once('exit', (code) => {
  process.exitCode = code ?? 1;
});
