// node test/mutation/run.ts [--again] [FILE…]: mutates each file, one after the other, and prints which mutants the tests let live.
// --again tries only those that survived the last run, if the file is the same.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Mutant, mutate } from './mutants.ts';
import { printReport, printTable, type Result } from './report.ts';
import { BY_DEFAULT, SUBJECTS } from './subjects.ts';
import { type Reach, readVerdicts } from './tries.ts';

const HERE = import.meta.dirname;
const ROOT = path.join(HERE, '../..');
const CONFIG = path.join(HERE, 'vitest.config.ts');
/** A try that takes longer has a mutant that blocks the process: it counts as killed. */
const STUCK_MS = 120_000;

/** Runs a command of a pass. Returns its exit code, or undefined if it was stuck and is gone. */
async function run(args: readonly string[], env: NodeJS.ProcessEnv, folder: string): Promise<number | undefined> {
  const output: Buffer[] = [];
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, which ends with all the workers in it.
    detached: true,
  });
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk));
  const end = (): void => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
  };
  process.once('exit', end);
  const began = Date.now();
  let stuck = false;
  const watch = setInterval(() => {
    const current = path.join(folder, 'current');
    const moved = existsSync(current) ? statSync(current).mtimeMs : began;
    if (Date.now() - Math.max(moved, began) < STUCK_MS) return;
    stuck = true;
    end();
  }, 1000);
  const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? 1)));
  clearInterval(watch);
  process.off('exit', end);
  writeFileSync(path.join(folder, 'output'), Buffer.concat(output));
  return stuck ? undefined : code;
}

/** Repeats a pass until it comes to its end: whatever stops it on the way is killed by the mutant at hand. */
async function pursue(args: readonly string[], env: NodeJS.ProcessEnv, folder: string): Promise<void> {
  for (;;) {
    rmSync(path.join(folder, 'current'), { force: true });
    const code = await run(args, env, folder);
    if (code === 0) return;
    const current = path.join(folder, 'current');
    if (!existsSync(current)) throw new Error(readFileSync(path.join(folder, 'output'), 'utf8'));
    const { mutant, test } = JSON.parse(readFileSync(current, 'utf8')) as { mutant: string; test: string };
    if (mutant === '')
      throw new Error(`"${test}" fails without a mutant:\n${readFileSync(path.join(folder, 'output'))}`);
    const how = code === undefined ? 'timed out' : 'failed';
    appendFileSync(path.join(folder, 'verdicts'), `${JSON.stringify({ mutant, test, how })}\n`);
  }
}

function reportOf(subject: string): string {
  return path.join(HERE, 'report', `${path.basename(subject)}.json`);
}

/** The mutants that the last run killed, if it was one of the same code. */
function killedBefore(subject: string, source: string, mutants: readonly Mutant[]): string[] {
  if (!existsSync(reportOf(subject))) return [];
  const last = JSON.parse(readFileSync(reportOf(subject), 'utf8')) as Result;
  const alive = new Set(last.survivors.map(({ id }) => id));
  return last.source === source ? mutants.map(({ id }) => id).filter((id) => !alive.has(id)) : [];
}

async function judge(subject: string, folder: string, tests: readonly string[], again: boolean): Promise<Result> {
  const { code, mutants, ignored } = await mutate(path.join(ROOT, subject));
  const source = createHash('sha256').update(code).digest('hex');
  for (const mutant of again ? killedBefore(subject, source, mutants) : []) {
    appendFileSync(path.join(folder, 'verdicts'), `${JSON.stringify({ mutant, test: 'before', how: 'failed' })}\n`);
  }
  writeFileSync(path.join(folder, 'mutated.ts'), code);
  const env = { MUTATION_FOLDER: folder, MUTATION_SUBJECT: subject };
  const vitest = [path.join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--config', CONFIG, ...tests];
  // On a machine with other work a test may miss its time once.
  const reach = (): Promise<number | undefined> => run(vitest, { ...env, MUTATION_PASS: 'reach' }, folder);
  if ((await reach()) !== 0 && (await reach()) !== 0) {
    throw new Error(`the tests fail without a mutant:\n${readFileSync(path.join(folder, 'output'), 'utf8')}`);
  }
  const reaches = readdirSync(folder)
    .filter((name) => name.startsWith('reach-'))
    .map((name) => JSON.parse(readFileSync(path.join(folder, name), 'utf8')) as Reach);
  await pursue([...vitest, '--dangerouslyIgnoreUnhandledErrors'], { ...env, MUTATION_PASS: 'kill' }, folder);
  const doubted = new Set(readVerdicts(folder).flatMap((verdict) => ('doubted' in verdict ? [verdict.doubted] : [])));
  const killed = new Set<string>();
  for (const verdict of readVerdicts(folder)) {
    if ('doubted' in verdict) console.log(`  "${verdict.name}" fails after its mutants: ${verdict.because}`);
    if ('mutant' in verdict && !doubted.has(verdict.test)) killed.add(verdict.mutant);
  }
  await loadEach(mutants, reaches, killed, doubted, env, folder);
  const reached = new Set(
    reaches.flatMap(({ loading, tests: all }) => [...loading, ...all.flatMap(({ hits }) => Object.keys(hits))]),
  );
  const alive = mutants.filter(({ id }) => !killed.has(id));
  return {
    subject,
    source,
    ignored,
    mutants: mutants.length,
    survivors: alive.map((mutant) => ({ ...mutant, reached: reached.has(mutant.id) })),
  };
}

/** Tries, each in a new process, the mutants that have to be there from the start. */
async function loadEach(
  mutants: readonly Mutant[],
  reaches: readonly Reach[],
  killed: Set<string>,
  doubted: ReadonlySet<string>,
  env: NodeJS.ProcessEnv,
  folder: string,
): Promise<void> {
  let tasks = mutants.flatMap(({ id }): [string, string[]][] => {
    const files = reaches.filter(
      ({ loading, tests }) =>
        loading.includes(id) || tests.some((test) => (test.once || doubted.has(test.id)) && id in test.hits),
    );
    return killed.has(id) || files.length === 0 ? [] : [[id, files.map(({ file }) => file)]];
  });
  rmSync(path.join(folder, 'verdicts'), { force: true });
  while (tasks.length > 0) {
    writeFileSync(path.join(folder, 'tasks'), JSON.stringify(tasks));
    rmSync(path.join(folder, 'current'), { force: true });
    const code = await run([path.join(HERE, 'load.ts')], { ...env, MUTATION_PASS: 'load' }, folder);
    const done = new Set<string>();
    for (const verdict of readVerdicts(folder)) {
      if ('mutant' in verdict) killed.add(verdict.mutant);
      if ('mutant' in verdict) done.add(verdict.mutant);
      if ('alive' in verdict) done.add(verdict.alive);
    }
    const [first] = tasks.filter(([id]) => !done.has(id));
    if (first && code === 0) throw new Error(`mutant ${first[0]} was not tried`);
    if (first && existsSync(path.join(folder, 'current'))) {
      killed.add(first[0]);
      done.add(first[0]);
    } else if (first) throw new Error(readFileSync(path.join(folder, 'output'), 'utf8'));
    tasks = tasks.filter(([id]) => !done.has(id));
  }
}

const words = process.argv.slice(2);
const given = words.filter((word) => word !== '--again');
const subjects = given.length === 0 ? BY_DEFAULT : Object.keys(SUBJECTS).filter((subject) => given.includes(subject));
if (subjects.length === 0) throw new Error(`no file that is mutated is ${given.join(' or ')}`);
if (!existsSync(path.join(HERE, 'node_modules'))) spawnSync('npm', ['ci'], { cwd: HERE, stdio: 'inherit' });
mkdirSync(path.join(HERE, 'report'), { recursive: true });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
const results: Result[] = [];
for (const subject of subjects) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'mutation-'));
  const clear = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', clear);
  try {
    const result = await judge(subject, folder, SUBJECTS[subject] ?? [], words.includes('--again'));
    writeFileSync(reportOf(subject), JSON.stringify(result, null, 2));
    results.push(result);
    if (!printReport(result)) process.exitCode = 1;
  } finally {
    clear();
    process.off('exit', clear);
  }
}
printTable(results);
