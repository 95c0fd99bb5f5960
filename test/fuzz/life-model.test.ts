import { test } from 'vitest';
import { live } from '../core/router/life-model.ts';

const LIVES = process.env.LONG ? 100_000 : 1000;

test(`whatever happens to a request in ${LIVES} random lives of a router, its token ends exactly once, and runs as often as it may`, {
  timeout: 3_600_000,
}, async () => {
  await live(LIVES);
});
