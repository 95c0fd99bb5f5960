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
      followers.publish(row, 'alice');
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
