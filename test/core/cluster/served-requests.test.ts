import { failure } from '@centreond/protocol';
import { describe, expect, test, vi } from 'vitest';
import { Unanswered } from '../../../core/dist/fleet/pending.js';
import { type Carried, type Carrier } from '../../../core/dist/fleet/routes.js';
import { manifest, settle } from '../router/world.ts';
import { DONE, stage } from './serving.ts';
import { refusalOf } from './stage.ts';

describe('a request to a node that this router carries', () => {
  function carrier(router?: string) {
    const taken: Carried[] = [];
    const carry = async (request: Carried) => {
      taken.push(request);
      return '{"by":"node"}';
    };
    const one: Carrier = { name: 'sessions', congested: false, carry, ...(router !== undefined && { router }) };
    return { one, taken };
  }

  test('is handed to it, and who asks hears of its rows', async () => {
    const { carry, routes, watches } = await stage();
    const { one, taken } = carrier();
    routes.announce(one, [{ id: 'paris', state: 'up' }]);
    expect(await carry('t', 'ECHO', { target: 'paris', data: '{"x":1}' })).toBe('{"by":"node"}');
    const envelope = { from: 'alice', hops: ['b'] };
    expect(taken).toEqual([{ action: 'ECHO', token: 't', target: 'paris', owner: 'alice', data: '{"x":1}', envelope }]);
    expect(watches.counters.wanted).toBe(1);
  });

  test('has no rows to hear of where it is answered in the ACK, and so is recorded nowhere', async () => {
    const { carry, routes, watches } = await stage();
    const { one, taken } = carrier();
    routes.announce(one, [{ id: 'paris', state: 'up' }]);
    expect(await carry('t', 'ECHO', { target: 'paris', isRecorded: false })).toBe('{"by":"node"}');
    expect([taken.length, watches.counters.wanted]).toEqual([1, 0]);
  });

  test('has its DATA read in the database where that did not come with it', async () => {
    const { carry, routes, recorded } = await stage();
    const { one, taken } = carrier();
    routes.announce(one, [{ id: 'paris', state: 'up' }]);
    recorded('t', 'ECHO', '{"much":"data"}');
    await carry('t', 'ECHO', { target: 'paris', data: undefined });
    expect(taken.map(({ data }) => data)).toEqual(['{"much":"data"}']);
    const unknown = carry('unknown', 'ECHO', { target: 'paris', data: undefined });
    expect(await refusalOf(unknown)).toBe('UNKNOWN_TOKEN');
    expect(taken).toHaveLength(1);
  });

  test('comes again later where the database could not say what its DATA is', async () => {
    const { carry, routes, recorded, find } = await stage();
    const { one, taken } = carrier();
    routes.announce(one, [{ id: 'paris', state: 'up' }]);
    recorded('t', 'ECHO');
    find.mockRejectedValueOnce(new Error('the database is away'));
    const refused = carry('t', 'ECHO', { target: 'paris', data: undefined });
    await expect(refused).rejects.toThrow('was not read from the database (the database is away)');
    expect([await refusalOf(refused), taken]).toEqual(['NODE_UNREACHABLE', []]);
  });

  test('is refused where another router carries it, or none does', async () => {
    const { carry, routes, watches } = await stage();
    const { one, taken } = carrier('c');
    routes.announce(one, [{ id: 'paris', state: 'up' }]);
    for (const target of ['paris', 'nowhere']) {
      const refused = carry('t', 'ECHO', { target });
      await expect(refused).rejects.toThrow(`${target} is not carried by central any more`);
      expect(await refusalOf(refused)).toBe('NODE_UNREACHABLE');
    }
    expect([taken, watches.counters.wanted]).toEqual([[], 0]);
  });
});

describe('a request to this router', () => {
  test('runs here once, however often it is handed over, and ends here', async () => {
    const { carry, recorded, world, holders, endOf, watches } = await stage();
    recorded('t', 'ONCE');
    expect(await Promise.all([carry('t', 'ONCE'), carry('t', 'ONCE'), carry('t', 'ONCE')])).toEqual(['{}', '{}', '{}']);
    await expect.poll(() => world.given).toEqual(['t']);
    expect([holders.get('t'), watches.counters.wanted]).toEqual(['central', 1]);
    for (const { given, instance } of world.running) instance.say(given, DONE);
    await expect.poll(() => endOf('t')).toBe('2');
    await carry('t', 'ONCE');
    await settle();
    expect(world.given).toEqual(['t']);
  });

  test('may be meant by an empty TARGET', async () => {
    const { carry, recorded, world } = await stage();
    recorded('t', 'ONCE');
    await carry('t', 'ONCE', { target: '' });
    await expect.poll(() => world.given).toEqual(['t']);
  });

  test.each([
    ['was never kept', {}, 0],
    ['was kept', { kept: 3 }, 3],
  ])('is taken by the number with which the router that asks has it: one that %s', async (_, change, kept) => {
    const { carry, recorded, claim } = await stage();
    recorded('t', 'ONCE');
    await carry('t', 'ONCE', change);
    expect(claim.mock.calls).toEqual([['t', 'b', kept]]);
  });

  test('does not run where another router has it, or where it is not open any more', async () => {
    const { carry, recorded, world, holders, unsure } = await stage();
    recorded('elsewhere', 'ONCE');
    holders.set('elsewhere', 'c');
    recorded('ended', 'ONCE');
    holders.delete('ended');
    expect([await carry('elsewhere', 'ONCE'), await carry('ended', 'ONCE')]).toEqual(['{}', '{}']);
    await settle();
    expect([world.given, unsure.mock.calls]).toEqual([[], []]);
  });

  test('is refused where the router that asks does not have it as an open request', async () => {
    const { carry, recorded, holders, world } = await stage();
    recorded('t', 'ONCE');
    expect(await refusalOf(carry('t', 'ONCE', { isRecorded: false }))).toBe('UNKNOWN_TOKEN');
    expect([holders.get('t'), world.given]).toEqual(['b', []]);
  });

  test('that may have been taken, as its answer was lost, is unanswered, and is sought', async () => {
    const { carry, recorded, served, claim, unsure, world } = await stage();
    recorded('t', 'ONCE');
    const { promise, reject } = Promise.withResolvers<undefined>();
    claim.mockReturnValueOnce(promise);
    const carried = carry('t', 'ONCE');
    await expect.poll(() => served.isClaiming('t')).toBe(true);
    reject(new Error('the connection broke'));
    await expect(carried).rejects.toBeInstanceOf(Unanswered);
    expect([served.isClaiming('t'), unsure.mock.calls.length, world.given]).toEqual([false, 1, []]);
    await carry('t', 'ONCE');
    await expect.poll(() => world.given).toEqual(['t']);
  });

  test('that comes again while it is being taken has the same answer', async () => {
    const { carry, recorded, claim, world } = await stage();
    recorded('t', 'ONCE');
    const { promise, reject } = Promise.withResolvers<undefined>();
    claim.mockReturnValueOnce(promise);
    const both = [carry('t', 'ONCE'), carry('t', 'ONCE')];
    await expect.poll(() => claim.mock.calls.length).toBe(1);
    reject(new Error('the connection broke'));
    for (const one of both) await expect(one).rejects.toBeInstanceOf(Unanswered);
    expect([claim.mock.calls.length, world.given]).toEqual([1, []]);
  });

  test('that was taken before, and is in no memory, is sought; one that runs is not', async () => {
    const { carry, recorded, holders, unsure, world } = await stage();
    recorded('t', 'ONCE');
    recorded('lost', 'ONCE');
    holders.set('lost', 'central');
    await carry('t', 'ONCE');
    await carry('t', 'ONCE');
    expect(unsure).not.toHaveBeenCalled();
    expect(await carry('lost', 'ONCE')).toBe('{}');
    expect([unsure.mock.calls.length, world.given]).toEqual([1, ['t']]);
  });

  test('stays with who asks where this router may not take it', async () => {
    const { carry, recorded, claim, world } = await stage();
    recorded('t', 'ONCE');
    // Another process has the place of this router.
    claim.mockResolvedValueOnce('b');
    const refused = carry('t', 'ONCE');
    await expect(refused).rejects.toThrow('may not take requests now');
    expect([await refusalOf(refused), world.given]).toEqual(['NODE_UNREACHABLE', []]);
  });

  test('ends here where its DATA is not as the action wants it', async () => {
    const { carry, recorded, world, endOf } = await stage();
    recorded('t', 'STRICT', '{"size":"big"}');
    expect(await carry('t', 'STRICT', { data: '{"size":"big"}' })).toBe('{}');
    await expect.poll(() => endOf('t')).toBe('1 INVALID_DATA');
    expect(world.given).toEqual([]);
  });

  test.each([
    ['with its refusal', () => failure('BUSY', { what: 'the plugin', limit: 1 }), '1 BUSY'],
    [
      'OUTCOME_UNKNOWN where it fails',
      () => {
        throw new Error('a bug');
      },
      '1 OUTCOME_UNKNOWN',
    ],
  ])('ends here where its plugin does not admit it: %s', async (_, admit, end) => {
    const { carry, recorded, world, endOf } = await stage();
    const submit = vi.fn();
    const { executor } = world.registry.plugins[0] as { executor: object };
    world.registry.replace(manifest(), Object.assign(Object.create(executor), { admit, submit }));
    recorded('t', 'ONCE');
    expect(await carry('t', 'ONCE')).toBe('{}');
    await expect.poll(() => endOf('t')).toBe(end);
    expect(submit).not.toHaveBeenCalled();
  });

  test('is refused, and stays with who asks, where no plugin here has its action', async () => {
    const { carry, recorded, holders } = await stage();
    recorded('t', 'NOWHERE');
    expect(await refusalOf(carry('t', 'NOWHERE'))).toBe('NODE_LACKS_ACTION');
    expect(holders.get('t')).toBe('b');
  });
});

test('a router that stops takes no request any more, and still ends those that it has', async () => {
  const { carry, recorded, served, world, holders } = await stage();
  recorded('t', 'ONCE');
  recorded('late', 'ONCE');
  await carry('t', 'ONCE');
  await expect.poll(() => world.given).toEqual(['t']);
  served.stop();
  for (const change of [{}, { target: 'paris' }]) {
    expect(await refusalOf(carry('late', 'ONCE', change))).toBe('STOPPING');
  }
  expect(holders.get('late')).toBe('b');
  expect(await served.answer('b', 'cancel', '{"token":"t","by":"alice"}')).toBe('{"cancelled":true}');
});

describe('to end a request', () => {
  test('is done where it is open here, and said where it is not', async () => {
    const { carry, recorded, served, endOf, world } = await stage();
    const cancel = (token: string) => served.answer('b', 'cancel', JSON.stringify({ token, by: 'alice' }));
    recorded('t', 'ONCE');
    await carry('t', 'ONCE');
    await expect.poll(() => world.given).toEqual(['t']);
    expect(await cancel('t')).toBe('{"cancelled":true}');
    expect(world.instances[0]?.aborted).toEqual(['t']);
    for (const { given, instance } of world.running) instance.say(given, 1);
    await expect.poll(() => endOf('t')).toBeDefined();
    expect(await cancel('t')).toBe('{"cancelled":false}');
    expect(await cancel('unknown')).toBe('{"cancelled":false}');
  });

  test('is also what CANCEL asks that is handed over', async () => {
    const { carry, recorded, world } = await stage();
    recorded('t', 'ONCE');
    await carry('t', 'ONCE');
    await expect.poll(() => world.given).toEqual(['t']);
    expect(await carry('c', 'CANCEL', { data: '{"token":"t"}' })).toBe('{"cancelled":true}');
    expect(world.instances[0]?.aborted).toEqual(['t']);
    for (const data of ['{"token":"unknown"}', '{"token":5}', '{}']) {
      expect(await carry('c', 'CANCEL', { data })).toBe('{"cancelled":false}');
    }
  });
});

test('the log of a node is brought here where another router wants that', async () => {
  const { served, synchronise } = await stage();
  expect(await served.answer('b', 'synchronise', '{"node":"paris"}')).toBe('{}');
  expect(synchronise.mock.calls).toEqual([['paris']]);
  synchronise.mockRejectedValueOnce(failure('NODE_UNREACHABLE', { target: 'paris' }));
  expect(await refusalOf(served.answer('b', 'synchronise', '{"node":"paris"}'))).toBe('NODE_UNREACHABLE');
});

test('the log of a node is not asked for in circles: a router that does not carry it says so', async () => {
  const { served, synchronise, routes } = await stage();
  const carry = async () => '{}';
  routes.announce({ name: 'the router c', congested: false, router: 'c', carry }, [{ id: 'paris', state: 'up' }]);
  const refused = served.answer('b', 'synchronise', '{"node":"paris"}');
  await expect(refused).rejects.toThrow('paris is not carried by central any more');
  expect([await refusalOf(refused), synchronise.mock.calls]).toEqual(['NODE_UNREACHABLE', []]);
});

test('what a later version asks is refused by a sentence', async () => {
  const { served } = await stage();
  await expect(served.answer('b', 'dance', '{}')).rejects.toThrow(
    'central does not know the question dance of another router; upgrade it',
  );
});

const CARRY =
  '{"action":"ONCE","token":"t","target":"","owner":"alice","envelope":{},"isRecorded":true,"isKnown":true}';

test.each([
  ['carry', 'no JSON'],
  ['carry', '{}'],
  ['carry', CARRY.replace('"isRecorded":true,', '')],
  ['carry', CARRY.replace('"isKnown":true', '"isKnown":"true"')],
  ['cancel', '{"token":"t"}'],
  ['synchronise', '{"node":1}'],
])('what is malformed is refused, and does nothing: %s %s', async (what, text) => {
  const { served, recorded, world, synchronise, holders } = await stage();
  recorded('t', 'ONCE');
  await expect(served.answer('b', what, text)).rejects.toThrow();
  await settle();
  expect([world.given, synchronise.mock.calls, holders.get('t')]).toEqual([[], [], 'b']);
});
