import { test } from 'vitest';
import { seedOfRun } from '../faults/ledger.ts';
import { compare } from '../kit/differential.ts';

const seed = seedOfRun();
const SCRIPTS = process.env.LONG ? 5000 : 500;

test(`the kit answers ${SCRIPTS} random scripts as a daemon does (SEED=${seed})`, { timeout: 3_600_000 }, async () => {
  await compare({ runs: SCRIPTS, slow: 15, seed });
});
