import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../daemon-process.ts';
import { tempPackage } from '../plugin-sdk/temp-package.ts';

const VITEST = path.join(ROOT, 'node_modules/vitest/vitest.mjs');
const TESTS = `import { expect, test } from 'vitest';
let tries = 0;
test('comes right', () => expect(++tries).toBe(2));
test('holds', () => {});`;

/** Runs tests that are tried twice, as a suite does, and says what it printed. */
function verdicts(tests: string, env: object): Promise<{ code: number; stdout: string }> {
  const folder = tempPackage({ 'a.test.js': tests });
  const config = `import { Verdicts } from ${JSON.stringify(path.join(ROOT, 'test/verdicts.ts'))};
export default { test: { retry: 1, reporters: [new Verdicts()] } };`;
  writeFileSync(path.join(folder, 'vitest.config.ts'), config);
  const { CI: _, ...rest } = process.env;
  return new Promise((resolve) => {
    execFile(process.execPath, [VITEST, 'run'], { cwd: folder, env: { ...rest, ...env } }, (error, stdout) => {
      resolve({ code: error ? Number(error.code) : 0, stdout });
    });
  });
}

test('a test that passed when it was tried again is printed as FLAKY', async () => {
  const { code, stdout } = await verdicts(TESTS, { CI: 'true' });
  expect(stdout).toBe('FLAKY a.test.js > comes right: it passed at try 2\n');
  expect(code).toBe(0);
});

const SKIPPING = `${TESTS}
test.skip('is left out', () => {});
test('leaves itself out', (context) => context.skip('there is no cable'));`;

test('a run that skipped a test fails under CI, and names it', async () => {
  const { code, stdout } = await verdicts(SKIPPING, { CI: 'true' });
  expect(stdout.split('\n').slice(1, 3)).toEqual([
    'SKIPPED a.test.js > is left out',
    'SKIPPED a.test.js > leaves itself out: there is no cable',
  ]);
  expect(code).toBe(1);
});

test('elsewhere such a run passes', async () => {
  expect(await verdicts(SKIPPING, {})).toMatchObject({ code: 0, stdout: expect.not.stringContaining('SKIPPED') });
});
