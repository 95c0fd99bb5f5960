import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { routerConfig } from '../../../core/dist/config/templates.js';
import { ROOT } from '../../daemon-process.ts';

test('the config that init writes is the example', () => {
  const text = readFileSync(path.join(ROOT, 'config/centreond.yaml'), 'utf8');
  expect(text).toBe(`# yaml-language-server: $schema=./centreond.schema.json\n${routerConfig('central')}`);
});
