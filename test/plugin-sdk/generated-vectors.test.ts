import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { generated } from '../../plugin-sdk/vectors/write.ts';

test.each(Object.entries(generated()))('%s is what `npm run docs` writes, byte for byte', (name, text) => {
  const file = new URL(import.meta.resolve(`@centreond/plugin-sdk/protocol/${name}`));
  expect(readFileSync(file, 'utf8')).toBe(text);
});
