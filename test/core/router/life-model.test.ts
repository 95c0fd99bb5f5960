import { test } from 'vitest';
import { live } from './life-model.ts';

test('whatever happens to a request, its token ends exactly once, it runs as often as it may, and no earlier than it may', {
  timeout: 3_600_000,
}, async () => {
  // The fuzz suite plays a thousand.
  await live(150);
});
