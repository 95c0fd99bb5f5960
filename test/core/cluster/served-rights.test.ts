import { failure } from '@centreond/protocol';
import { describe, expect, test, vi } from 'vitest';
import type { Peer, PeerRole } from '../../../core/dist/router/peer.js';
import { manifest } from '../router/world.ts';
import { stage } from './serving.ts';
import { refusalOf } from './stage.ts';

describe('a request that another router hands over', () => {
  test('is judged here by the rights of who asks, whatever the router says that hands it over', async () => {
    const { carry, recorded, holders, mayStill, world } = await stage();
    recorded('t', 'ONCE');
    mayStill.mockReturnValueOnce('later');
    expect(await refusalOf(carry('t', 'ONCE'))).toBe('NODE_UNREACHABLE');
    mayStill.mockReturnValueOnce(failure('FORBIDDEN', { identity: 'alice', what: 'ONCE', remedy: '' }));
    expect(await refusalOf(carry('t', 'ONCE', { isKnown: false }))).toBe('FORBIDDEN');
    expect(holders.get('t')).toBe('b');
    await carry('t', 'ONCE');
    expect(mayStill.mock.calls).toEqual(Array(3).fill(['alice', 'ONCE', 'central']));
    await expect.poll(() => world.given).toEqual(['t']);
  });

  test('of a user of a plugin there is judged here only where that router does not know the action', async () => {
    const { carry, recorded, mayStill, world } = await stage();
    recorded('t', 'ONCE');
    mayStill.mockReturnValue(failure('FORBIDDEN', { identity: 'bot/bob', what: 'ONCE', remedy: '' }));
    expect(await refusalOf(carry('t', 'ONCE', { owner: 'bot/bob', isKnown: false }))).toBe('FORBIDDEN');
    await carry('t', 'ONCE', { owner: 'bot/bob' });
    await expect.poll(() => world.given).toEqual(['t']);
  });

  test.each<[string, PeerRole[]]>([
    ['alice', ['node']],
    ['bot/bob', ['client']],
    ['@local', ['client', 'admin']],
    ['@cron', ['plugin']],
  ])('is admitted as one of who asks, with no rights but theirs: %s', async (owner, roles) => {
    const { carry, recorded, grants, world } = await stage();
    grants.set('alice', { identity: 'alice', fingerprint: 'f', roles: ['node'], actions: ['ONCE'] });
    const admit = vi.fn((_: unknown, __: unknown, peer: Peer) => failure('BUSY', { what: peer.identity, limit: 1 }));
    const { executor } = world.registry.plugins[0] as { executor: object };
    world.registry.replace(manifest(), Object.assign(Object.create(executor), { admit }));
    recorded('t', 'ONCE');
    await carry('t', 'ONCE', { owner });
    const [peer] = admit.mock.calls.map((call) => call[2]);
    expect([peer?.identity, [...(peer?.roles ?? [])], peer?.grant]).toEqual([
      owner,
      roles,
      grants.get(owner) ?? { identity: owner, fingerprint: '', roles: [] },
    ]);
  });

  test('that is answered in the ACK is answered to who asks, or refused', async () => {
    const { carry, watches, receive, grants } = await stage();
    grants.set('alice', { identity: 'alice', fingerprint: 'f', roles: ['client'], actions: ['ASK'] });
    const envelope = { from: 'alice', hops: ['b'], hold: true, deadline: Math.floor(Date.now() / 1000) + 60 };
    expect(await carry('t', 'ASK', { isRecorded: false, envelope, data: '{"x":1}' })).toBe('{"answer":42}');
    const [[peer, message] = []] = receive.mock.calls;
    expect([peer?.identity, peer?.grant]).toEqual(['alice', grants.get('alice')]);
    // Who asks is no router: it has no hops, and speaks for nobody.
    expect(String(message)).toBe(`[ASK] [t] [] {"x":1,"$":{"deadline":${envelope.deadline}}}`);
    expect(await refusalOf(carry('t', 'ASK', { data: '[]' }))).not.toBe('no refusal');
    expect(watches.counters.wanted).toBe(0);
  });
});
