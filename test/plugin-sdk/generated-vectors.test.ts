import { readFileSync } from 'node:fs';
import { ERROR_TABLE } from '@centreond/protocol';
import { expect, test } from 'vitest';
import { codes } from '../../plugin-sdk/protocol/vectors/codes.ts';
import { generated } from '../../plugin-sdk/protocol/vectors/write.ts';

test.each(Object.entries(generated()))('%s is what `npm run docs` writes, byte for byte', (name, text) => {
  const file = new URL(import.meta.resolve(`@centreond/protocol/${name}`));
  expect(readFileSync(file, 'utf8')).toBe(text);
});

test('codes.json has each code of the table once, with a sentence that has no hole', () => {
  const all = codes().codes;
  expect(all.map(({ code }) => code).sort()).toEqual(Object.keys(ERROR_TABLE).sort());
  for (const { sentence } of all) expect(sentence).not.toMatch(/undefined|\[object|NaN|^$/);
});
