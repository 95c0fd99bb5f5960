import { expect, test } from 'vitest';
import {
  type ListedRouter,
  RouterActions,
  type RouterActionsOptions,
} from '../../../core/dist/fleet/router-actions.js';

type Cluster = RouterActionsOptions['cluster'];
type Forgotten = Awaited<ReturnType<Cluster['forget']>>;

const listed = (id: string): ListedRouter => ({
  ...{ id, fingerprint: `the key of ${id}`, endpoint: '', version: '1', state: 'up', startedAt: 1, silentSeconds: 0 },
  ...{ open: 3, nodes: 2, nats: true },
});

/** The actions of the router central-a, where a router that is to be forgotten turns out like this. */
function actions(done: Forgotten = 'forgotten', change: Partial<Cluster> = {}) {
  const asked: string[] = [];
  const cluster: Cluster = {
    name: 'prod',
    routers: () => [listed('central-a'), listed('central-b')],
    natsAway: () => null,
    clockSkewSeconds: () => 0.5,
    forget: async (router) => {
      asked.push(router);
      return done;
    },
    ...change,
  };
  return { asked, actions: new RouterActions({ id: 'central-a', cluster }) };
}

const refusal = async (id: string, done: Forgotten, change?: Partial<Cluster>) => {
  const { actions: room } = actions(done, change);
  const error = await room.forgetRouter({ id }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Error);
  const { code, message } = error as Error & { code: string };
  return `${code} ${message}`;
};

test('GETROUTERS tells of each router, and which of them was asked', () => {
  expect(actions().actions.getRouters()).toEqual({
    ...{ cluster: 'prod', natsAway: null, clockSkewSeconds: 0.5 },
    routers: [
      { ...listed('central-a'), self: true },
      { ...listed('central-b'), self: false },
    ],
  });
});

test('GETROUTERS of a router by itself names no cluster', () => {
  const { actions: room } = actions('unknown', { name: undefined, routers: () => [] });
  expect(room.getRouters()).toMatchObject({ cluster: null, routers: [] });
});

test('FORGETROUTER forgets a router that is gone', async () => {
  const { asked, actions: room } = actions();
  expect(await room.forgetRouter({ id: 'central-b' })).toEqual({ id: 'central-b', cluster: 'prod' });
  expect(asked).toEqual(['central-b']);
});

test('FORGETROUTER says of each router that stays why it does, and what to do next', async () => {
  expect(await refusal('central-b', { state: 'up', silentSeconds: 4, open: 0 })).toBe(
    'ROUTER_NOT_GONE The router central-b is not gone: it was heard 4 s ago. Stop its daemon for good (`systemctl disable --now centreond` there), then forget it.',
  );
  expect(await refusal('central-b', { state: 'silent', silentSeconds: 11, open: 1 })).toBe(
    'ROUTER_NOT_TAKEN_OVER What is open at the router central-b is not taken over yet: 1 request. A router that is up does so within 15 s. Forget it then.',
  );
  expect(await refusal('central-b', { state: 'stopped', silentSeconds: 0, open: 2 })).toContain('yet: 2 requests.');
  expect(await refusal('central-c', 'unknown')).toBe(
    'UNKNOWN_ROUTER The cluster prod has no router central-c; did you mean central-a? `centreond routers` lists what there is.',
  );
  expect(await refusal('rome', 'unknown')).toMatch(/^UNKNOWN_ROUTER The cluster prod has no router rome\. /);
});

test('FORGETROUTER asks nobody where there is no cluster', async () => {
  const forget = () => Promise.reject(new Error('it was asked'));
  expect(await refusal('central-b', 'unknown', { name: undefined, forget })).toBe(
    'NO_CLUSTER The router central-a is by itself: its config names no cluster (core.cluster), so that there is no other router to forget.',
  );
});
