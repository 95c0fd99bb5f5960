import { failure } from '@centreond/protocol';
import { vi } from 'vitest';
import { ServedRequests } from '../../../core/dist/cluster/served-requests.js';
import { Watches } from '../../../core/dist/cluster/watches.js';
import { Routes } from '../../../core/dist/fleet/routes.js';
import type { Grant, Peer } from '../../../core/dist/router/peer.js';
import type { RequestRecord } from '../../../core/dist/store/token-store.js';
import { ACTIONS, action, manifest, World } from '../router/world.ts';
import { FakeBus, Lines } from './stage.ts';

export const DONE = 2;
const STRICT = action('STRICT', {
  input: { type: 'object', properties: { size: { type: 'number' } }, required: ['size'] },
});

/** The router `central`, asked by `b`, which has the requests open. */
export async function stage() {
  const world = new World(undefined, { declared: manifest({ actions: [...ACTIONS, STRICT] }) }, (given, instance) => {
    if (given.action === 'ASK') instance.say(given, DONE, { answer: 42 });
  });
  await world.start();
  const { registry, requests, disk, ladder } = world;
  const watches = new Watches(new FakeBus());
  const routes = new Routes({ id: 'central', log: new Lines() as never });
  const mayStill = vi.fn((): ReturnType<typeof failure> | 'later' | undefined => undefined);
  const synchronise = vi.fn(async () => {});
  const unsure = vi.fn();
  const grants = new Map<string, Grant>();
  const receive = vi.fn((peer: Peer, message: Buffer) => ladder.receive(peer, message));
  const holders = new Map<string, string>();
  const claim = vi.fn(
    async (token: string, from: string, _kept: number): Promise<RequestRecord | string | undefined> => {
      const holder = holders.get(token);
      if (holder !== from) return holder;
      holders.set(token, 'central');
      return disk.requests.get(token);
    },
  );
  const find = vi.fn((token: string) => disk.find(token));
  const served = new ServedRequests({
    ...{ id: 'central', membership: { claim } as never, store: { find }, registry, requests, routes, watches },
    ...{ clock: Date, receive, mayStill, synchronise, unsure },
    grantOf: (identity) => grants.get(identity),
  });
  /** A request that `b` recorded and has open. */
  const recorded = (token: string, name: string, data = '{}') => {
    const etime = Math.floor(Date.now() / 1000);
    const record = { token, owner: 'alice', action: name, target: 'central', data, envelope: '', etime };
    disk.requests.set(token, { ...record, ctime: etime, state: 'open' });
    holders.set(token, 'b');
  };
  const carry = (token: string, name: string, change: object = {}) => {
    const asked = { action: name, token, target: 'central', owner: 'alice', data: '{}' };
    const envelope = { from: 'alice', hops: ['b'] };
    const all = { ...asked, envelope, isRecorded: true, isKnown: true, ...change };
    return served.answer('b', 'carry', JSON.stringify(all));
  };
  const endOf = (token: string) => {
    const [end] = disk.endsOf(token);
    return end && `${end.code} ${JSON.parse(end.data).error ?? ''}`.trim();
  };
  return {
    ...{ world, watches, routes, mayStill, synchronise, unsure, grants, receive, holders, claim, find, served },
    ...{ recorded, carry, endOf },
  };
}
