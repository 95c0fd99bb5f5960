import { reasonOf } from '@centreond/protocol';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { load, type Modules, unload } from '../core/doors/model/modules.ts';
import { plays } from '../core/doors/model/moves.ts';
import { PLANTED } from '../core/doors/model/planted.ts';
import { newCast, Scene } from '../core/doors/model/scene.ts';
import { seedOfRun } from '../faults/ledger.ts';

const RUNS = Number(process.env.RUNS ?? (process.env.LONG ? 100_000 : 3000));
/** Plays within which each planted fault is found. */
const ENOUGH = 5000;
/** Of the plays against planted faults, so that what is found today is found tomorrow. */
const PLANTED_SEED = 2;
/** The short form plays the same each time, so that it tells what a change did. */
const seed = process.env.LONG || process.env.SEED ? seedOfRun() : 11;

afterAll(unload);

/** Plays against the modules until a promise is broken, or `runs` are over. Returns how that came about. */
async function play(
  modules: Modules,
  runs: number,
  plantedSeed?: number,
): Promise<{ plays: number; report: string | undefined }> {
  const cast = newCast(modules.channel);
  const property = fc.asyncProperty(plays(40), async (moves) => {
    const scene = new Scene(modules, cast);
    await scene.start();
    try {
      await fc.asyncModelRun(() => ({ model: {}, real: scene }), moves);
      await scene.finish();
    } finally {
      await scene.close();
    }
  });
  const path = process.env.FC_PATH;
  const details = await fc.check(property, {
    seed: plantedSeed ?? seed,
    numRuns: runs,
    endOnFailure: plantedSeed !== undefined,
    ...(path !== undefined && { path, endOnFailure: true }),
  });
  return {
    plays: details.numRuns,
    report: details.failed ? `${fc.defaultReportMessage(details)}\n${reasonOf(details.errorInstance)}` : undefined,
  };
}

test(`the channel keeps its promises on a hostile network, in ${RUNS} plays (SEED=${seed})`, {
  timeout: 7_200_000,
}, async () => {
  const { report } = await play(await load('ideal'), RUNS);
  expect(report).toBeUndefined();
});

test(`the channel keeps its promises with real RSA (SEED=${seed})`, { timeout: 7_200_000 }, async () => {
  const { report } = await play(await load('real'), Math.ceil(RUNS / 100));
  expect(report).toBeUndefined();
});

describe('the model finds', () => {
  test.each(PLANTED.map((planted) => [planted.fault, planted] as const))('that %s', async (_, planted) => {
    const { plays, report } = await play(await load('ideal', planted), ENOUGH, PLANTED_SEED);
    expect(report ?? `nothing was found in ${plays} plays`).toContain(`\n${planted.breaks} (`);
  });
});
