import { expect, test } from 'vitest';
import { Followers } from '../../../core/dist/router/followers.js';
import type { Row } from '../../../core/dist/store/token-store.js';
import { TestLog } from '../store/opened.ts';
import { TestPeer } from './world.ts';

const MIB = 2 ** 20;

function rowOf(id: number): Row {
  return { id, token: 't', type: 'ECHO', node: 'central', code: 50, etime: 1, ctime: 1, data: `{"step":${id}}` };
}

test('a live follower that does not read is sent nothing more, and has each row once and in order when it reads', async () => {
  const rows: Row[] = [];
  const store = {
    query: async ({ id = 0 }: { id?: number }) => {
      const left = rows.filter((row) => row.id > id);
      return { rows: left.slice(0, 5), more: left.length > 5 };
    },
  };
  const followers = new Followers({
    store,
    log: new TestLog() as never,
    follows: { count: 10, perIdentity: { count: 10 } },
    bufferBytes: MIB,
  });
  const peer = new TestPeer('alice');
  followers.goLive(followers.attach(peer, 't', 0), [], 'alice');
  const publish = (count: number) => {
    for (let i = 0; i < count; i++) {
      const row = rowOf(rows.length + 1);
      rows.push(row);
      followers.publish(row, 'alice', true);
    }
  };
  publish(3);
  expect(peer.heard).toHaveLength(3);
  peer.backlog = 9 * MIB;
  publish(20);
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(peer.heard).toHaveLength(3);
  expect(followers.counters.bufferedBytes).toBe(0);
  peer.backlog = 0;
  await expect.poll(() => peer.heard.length).toBe(23);
  publish(2);
  await expect.poll(() => peer.heard.length).toBe(25);
  const ids = peer.heard.map((message) => Number(/"id":(\d+)/.exec(message)?.[1]));
  expect(ids).toEqual(Array.from({ length: 25 }, (_, i) => i + 1));
});

test.each([
  ['by itself', undefined, [1, 4]],
  ['of a cluster has what another one wrote before, too, where that one was killed before it told', {}, [1, 2, 3, 4]],
])('who follows a token at a router %s', async (_, cluster, seen) => {
  const rows = [1, 2, 3, 4].map(rowOf);
  const watch = cluster && { add: () => {}, remove: () => {}, written: () => {}, targetOf: () => undefined };
  const followers = new Followers({
    store: { query: async ({ id = 0 }) => ({ rows: rows.filter((row) => row.id > id), more: false }) },
    ...{ log: new TestLog() as never, follows: { count: 10, perIdentity: { count: 10 } }, bufferBytes: MIB, watch },
  });
  const peer = new TestPeer('alice');
  followers.goLive(followers.attach(peer, 't', 0), [rowOf(1)], 'alice');
  // Rows of a node that is carried here now: 2 and 3 came by way of the other router.
  followers.publish(rowOf(4), 'alice', false);
  const ids = () => peer.heard.map((message) => Number(/"id":(\d+)/.exec(message)?.[1]));
  await expect.poll(ids).toEqual(seen);
});

test('what this router alone writes is told in a cluster without asking the store', async () => {
  const watch = { add: () => {}, remove: () => {}, written: () => {}, targetOf: () => undefined };
  const followers = new Followers({
    store: { query: () => Promise.reject(new Error('it is not asked')) },
    ...{ log: new TestLog() as never, follows: { count: 10, perIdentity: { count: 10 } }, bufferBytes: MIB, watch },
  });
  const peer = new TestPeer('alice');
  followers.goLive(followers.attach(peer, 't', 0), [], 'alice');
  for (const id of [1, 2]) followers.publish(rowOf(id), 'alice', true);
  expect(peer.heard).toHaveLength(2);
});
