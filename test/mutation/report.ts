// What a run found, as text; and whether it is good enough.
import type { Mutant } from './mutants.ts';
import { ACCEPTED } from './survivors.ts';

export interface Survivor extends Mutant {
  /** Whether a test runs it. */
  readonly reached: boolean;
}

export interface Result {
  readonly subject: string;
  /** The SHA-256 of its code with mutants. */
  readonly source: string;
  readonly mutants: number;
  readonly ignored: number;
  readonly survivors: readonly Survivor[];
}

/** The least share of mutants that tests have to kill, in percent. */
const LEAST = 90;

function scoreOf({ mutants, survivors }: Result): number {
  return mutants === 0 ? 100 : (100 * (mutants - survivors.length)) / mutants;
}

/** A mutant as the lists in survivors.ts name it. */
function nameOf({ original, replacement }: Mutant): string {
  const [from, to] = [original, replacement].map((text) => text.replace(/\s+/g, ' ').slice(0, 200));
  return `${from} → ${to}`;
}

/** Prints a file's survivors. False if fewer than 90 % were killed, a survivor has no reason, or a reason has no survivor. */
export function printReport(result: Result): boolean {
  const { subject, survivors } = result;
  const accepted = new Set((ACCEPTED[subject] ?? []).flatMap(({ mutants }) => mutants));
  const names = survivors.map(nameOf);
  console.log(`${subject}: ${result.mutants} mutants, ${survivors.length} survived (${scoreOf(result).toFixed(1)} %)`);
  const missing = survivors.filter((survivor) => !accepted.has(nameOf(survivor)));
  for (const survivor of missing) {
    const { line, mutator, reached } = survivor;
    console.log(`  ${line} ${mutator}${reached ? '' : ' (no test runs it)'}: ${nameOf(survivor)}`);
  }
  const stale = [...accepted].filter((name) => !names.includes(name));
  for (const name of stale) console.log(`  killed, but in survivors.ts: ${name}`);
  return scoreOf(result) >= LEAST && missing.length === 0 && stale.length === 0;
}

/** Prints the results of several files. */
export function printTable(results: readonly Result[]): void {
  const all: Result = {
    subject: '**all**',
    source: '',
    mutants: results.reduce((sum, { mutants }) => sum + mutants, 0),
    ignored: results.reduce((sum, { ignored }) => sum + ignored, 0),
    survivors: results.flatMap(({ survivors }) => survivors),
  };
  console.log('\n| File | Mutants | Killed | Survived | Score | Not run |\n| --- | --: | --: | --: | --: | --: |');
  for (const result of [...results, all]) {
    const { subject, mutants, survivors, ignored } = result;
    const killed = mutants - survivors.length;
    console.log(
      `| ${subject} | ${mutants} | ${killed} | ${survivors.length} | ${scoreOf(result).toFixed(1)} % | ${ignored} |`,
    );
  }
}
