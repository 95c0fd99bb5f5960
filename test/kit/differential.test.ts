import { test } from 'vitest';
import { seedOfRun } from '../faults/ledger.ts';
import { compare } from './differential.ts';

const seed = seedOfRun();

test(`the kit answers 20 random scripts as a daemon does (SEED=${seed})`, { timeout: 120_000 }, async () => {
  await compare({ runs: 20, slow: 3, seed });
});
