import { expect, test } from 'vitest';
import { readLoad } from '../../../core/dist/cluster/load.js';

const LOAD = {
  ...{ open: 3, nodes: 2, carried: 7, isReached: true, actions: ['ECHO'] },
  ...{ competes: ['cron'], runs: ['cron'], turns: ['mail'] },
};
const NOTHING = { open: 0, nodes: 0, carried: 0, isReached: false, actions: [], competes: [], runs: [], turns: [] };

test('what a router says of itself is read as it said it', () => {
  expect(readLoad(JSON.stringify(LOAD))).toEqual(LOAD);
});

test('what a later version says beside that is left out', () => {
  expect(readLoad(JSON.stringify({ ...LOAD, more: 1 }))).toEqual(LOAD);
});

test.each(['{}', 'null', '[]', '{"open":"3"}', JSON.stringify({ ...LOAD, actions: [1] })])(
  'a router of which nothing is understood has nothing, and is not reached: %s',
  (text) => {
    expect(readLoad(text)).toEqual(NOTHING);
  },
);
