import { FAILED } from '@centreond/protocol';
import { expect, test } from 'vitest';
import { Followers } from '../../../core/dist/router/followers.js';
import { Requests } from '../../../core/dist/router/requests.js';
import { Telemetry } from '../../../core/dist/router/telemetry.js';
import type { LogPage } from '../../../core/dist/store/token-store.js';
import { TestLog } from '../store/opened.ts';

/** A router that carries the node `poller`, which leads to `leaf`; another router has the request `t` for `leaf`. */
function stage() {
  const stored: (boolean | undefined)[] = [];
  const log = new TestLog() as never;
  const bounds = { ofAll: { count: 10, bytes: 1000 }, ofOne: { count: 10, bytes: 1000 } } as never;
  const store = {
    append: () => Promise.reject(new Error('nothing is written')),
    adopt: async ({ rows }: LogPage) => {
      stored.push(...rows.map(({ counts }) => counts));
      return { rows: rows.map(() => 'known' as const), cursor: 1 };
    },
  };
  const requests = new Requests({
    ...{ store, telemetry: new Telemetry(), clock: Date, log, open: bounds },
    followers: new Followers({ store: {} as never, log, follows: bounds, bufferBytes: 1000 }),
    watch: { targetOf: (token) => (token === 't' ? 'leaf' : undefined) },
  });
  const adopt = async (token: string, code: number, leads: string) => {
    const row = { node: 'poller', epoch: 'e', originId: 1, token, type: 'ONCE', code, etime: 1, data: '{}' };
    const page = { node: 'poller', epoch: 'e', rows: [row], aside: [], from: 0, last: 1 };
    await requests.adopt(page, (target) => target === leads);
    return stored.at(-1);
  };
  return adopt;
}

test('a request of another router fails where a node on the way says so, which leads to its target', async () => {
  const adopt = stage();
  expect(await adopt('t', FAILED, 'leaf')).toBe(true);
  // By nobody else, by nothing else, and no other request.
  expect(await adopt('t', FAILED, 'another leaf')).toBeUndefined();
  expect(await adopt('t', 2, 'leaf')).toBeUndefined();
  expect(await adopt('another', FAILED, 'leaf')).toBeUndefined();
});
