// node test/mutation/load.ts: tries mutants that run while files are loaded. The folder's file `tasks` has [mutant, test files] by line.
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createVitest } from 'vitest/node';

const folder = process.env.MUTATION_FOLDER ?? '';
const tasks = JSON.parse(readFileSync(path.join(folder, 'tasks'), 'utf8')) as [string, string[]][];
const vitest = await createVitest('test', {
  config: path.join(import.meta.dirname, 'vitest.config.ts'),
  watch: false,
  reporters: [{}],
  bail: 1,
  // A test that misses its time because of other work on the machine kills nothing.
  retry: 1,
});
await vitest.standalone();
const specifications = await vitest.globTestSpecifications();
for (const [mutant, files] of tasks) {
  writeFileSync(path.join(folder, 'active'), mutant);
  writeFileSync(path.join(folder, 'current'), JSON.stringify({ mutant, test: 'all' }));
  const { testModules, unhandledErrors } = await vitest.runTestSpecifications(
    specifications.filter(({ moduleId }) => files.includes(moduleId)),
  );
  const killed = unhandledErrors.length > 0 || !testModules.every((module) => module.ok());
  const verdict = killed ? { mutant, test: 'all', how: 'failed' } : { alive: mutant };
  appendFileSync(path.join(folder, 'verdicts'), `${JSON.stringify(verdict)}\n`);
}
await vitest.close();
