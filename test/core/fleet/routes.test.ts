import type { NodeAnnouncement } from '@centreond/plugin-sdk/nodes';
import { describe, expect, test } from 'vitest';
import { type Carrier, Routes, unreachable } from '../../../core/dist/fleet/routes.js';
import { TestLog } from '../store/opened.ts';

function carrier(name: string): Carrier {
  return { name, congested: false, carry: async () => '' };
}
const up = (id: string, more: Partial<NodeAnnouncement> = {}): NodeAnnouncement => ({ id, state: 'up', ...more });

function routes() {
  const log = new TestLog();
  const table = new Routes({ id: 'central', log: log as never, expected: (id) => id === 'expected' });
  const changes: string[][] = [];
  table.onChange((targets) => changes.push([...targets].sort()));
  return { table, log, changes };
}

describe('the best way to a node', () => {
  test('is up, then direct, then the one with the lowest score', () => {
    const { table } = routes();
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(carrier) as [Carrier, Carrier, Carrier, Carrier];
    table.announce(a, [up('relay-a', { score: 1, subnodes: [{ id: 'x', score: 5 }] })]);
    table.announce(b, [up('relay-b', { score: 3, subnodes: [{ id: 'x', score: 2 }] })]);
    expect(table.pick('x')?.carrier).toBe(b);
    table.announce(c, [up('x', { score: 1000 })]);
    expect(table.pick('x')?.carrier).toBe(c);
    table.announce(d, [up('x', { score: 999 })]);
    expect(table.pick('x')?.carrier).toBe(d);
    table.announce(d, [up('x', { state: 'connecting' })]);
    table.announce(c, [up('x', { state: 'unreachable' })]);
    expect(table.pick('x')?.carrier).toBe(b);
    table.left(b);
    expect(table.pick('x')?.carrier).toBe(a);
    table.announce(a, [up('relay-a', { subnodes: [{ id: 'x', state: 'unreachable' }] })]);
    expect(table.pick('x')).toBeUndefined();
    expect(table.knows('x')).toBe(true);
  });

  test('never leads back to where the request came from, nor over more than 8 hops', () => {
    const { table } = routes();
    table.announce(carrier('a'), [up('relay', { subnodes: ['x'] })]);
    table.announce(carrier('b'), [up('other', { score: 9, subnodes: ['x'] })]);
    expect(table.pick('x', ['relay'])?.via).toBe('other');
    expect(table.pick('x', ['relay', 'other'])).toBeUndefined();
    expect(table.loops('x', ['relay', 'other'])).toBe(true);
    expect(table.loops('nobody', ['relay'])).toBe(false);
    expect(table.pick('x', ['1', '2', '3', '4', '5', '6', '7'])?.via).toBe('relay');
    expect(table.pick('x', ['1', '2', '3', '4', '5', '6', '7', '8'])).toBeUndefined();
  });

  test('is never this router, however it is announced', () => {
    const { table, log } = routes();
    table.announce(carrier('a'), [up('central'), up('relay', { subnodes: ['central', 'relay'] })]);
    expect([table.knows('central'), table.pick('relay')?.via]).toEqual([false, 'relay']);
    expect(log.lines.length).toBe(1);
  });
});

describe('what is known of nodes', () => {
  test('follows what their carriers say, and tells those who wait which nodes changed', () => {
    const { table, changes } = routes();
    const [a, b] = [carrier('a'), carrier('b')];
    table.announce(a, [up('x', { actions: ['DONE'], subnodes: ['y'] }), up('z', { actions: ['DONE', 'MORE'] })]);
    expect(table.nodesWith('DONE')).toEqual(['x', 'z']);
    expect([...(table.actionsOf('x') ?? [])]).toEqual(['DONE']);
    expect(table.actionsOf('y')).toBeUndefined();
    table.announce(a, [up('x', { actions: [] })]);
    expect([table.knows('y'), table.nodesWith('DONE')]).toEqual([false, ['z']]);
    table.announce(b, [up('y')]);
    table.announce(a, [], ['z', 'y']);
    expect([table.knows('z'), table.carries(a, 'y'), table.carries(b, 'y')]).toEqual([false, false, true]);
    expect(changes).toEqual([['x', 'y', 'z'], ['x', 'y'], ['y'], ['z']]);
    expect([table.knows('expected'), table.pick('expected')]).toEqual([true, undefined]);
  });

  test('is renewed by a heartbeat, which changes no route and tells nobody', () => {
    const { table, changes } = routes();
    const [older, newer] = [carrier('older'), carrier('newer')];
    const node = up('x', { actions: ['ECHO'], subnodes: ['y'] });
    table.announce(older, [node]);
    table.announce(newer, [node]);
    const before = changes.length;
    table.announce(newer, [{ ...node, lastPong: 7 }]);
    table.announce(older, [{ ...node, lastPong: 8 }]);
    expect(changes.length).toBe(before);
    expect(table.pick('y')?.carrier).toBe(newer);
    expect(table.direct('x')?.lastPong).toBe(7);
    expect(table.status()).toMatchObject([{ id: 'x', state: 'up', actions: ['ECHO'], subnodes: ['y'] }]);
    table.announce(newer, [{ ...node, state: 'unreachable' }]);
    expect(changes.at(-1)).toEqual(['x', 'y']);
    expect(table.direct('x')?.lastPong).toBe(8);
  });

  test('is shown of a node that is expected and has not come', () => {
    const table = new Routes({ id: 'central', log: new TestLog() as never, nodes: () => ['paris', 'central', 'rome'] });
    table.announce(carrier('a'), [up('rome', { labels: { site: 'south' } })]);
    expect(table.status()).toMatchObject([
      {
        id: 'paris',
        kind: 'pull',
        state: 'unreachable',
        reason: expect.stringMatching(/has not linked/),
        lastPong: null,
      },
      { id: 'rome', state: 'up', reason: null, labels: { site: 'south' } },
    ]);
  });

  test('is the refusal of its last handshake, until it is up', () => {
    const table = new Routes({
      ...{ id: 'central', log: new TestLog() as never },
      ...{ nodes: () => ['paris', 'rome'], expected: (id) => id === 'paris' },
    });
    const link = carrier('a');
    table.announce(link, [up('rome')]);
    const refused = 'its last handshake was refused: it is a replay';
    for (const id of ['paris', 'rome', 'alice']) table.refused(id, 'it is a replay');
    expect(table.status()).toMatchObject([
      { id: 'paris', reason: refused },
      { id: 'rome', reason: null },
    ]);
    expect(table.whyNot('paris')).toBe(`is not reached: ${refused}`);
    table.announce(link, [up('paris')]);
    table.left(link);
    expect(table.status()).toMatchObject([
      { id: 'paris', reason: 'its link has ended' },
      { id: 'rome', reason: 'its link has ended' },
    ]);
    table.refused('rome', 'it is a replay');
    expect(table.whyNot('rome')).toBe(`is not reached: ${refused}`);
  });

  test('stays when a carrier leaves, as unreachable, until another carries them', () => {
    const { table } = routes();
    const [a, b, c] = ['a', 'b', 'c'].map(carrier) as [Carrier, Carrier, Carrier];
    table.announce(a, [up('x', { name: 'Ex', subnodes: ['y'] }), up('shared')]);
    table.announce(b, [up('shared')]);
    table.left(a);
    table.left(a);
    expect([table.knows('x'), table.knows('y'), table.pick('x')]).toEqual([true, true, undefined]);
    expect(table.status()).toMatchObject([
      { id: 'shared', state: 'up' },
      { id: 'x', name: 'Ex', state: 'unreachable', reason: 'its link has ended', subnodes: ['y'] },
    ]);
    table.announce(c, [up('x', { name: 'Back' })]);
    expect(table.status()).toMatchObject([{ id: 'shared' }, { id: 'x', name: 'Back', state: 'up' }]);
    table.announce(c, [], ['x']);
    expect(table.knows('x')).toBe(false);
  });
});

test('a node that is forgotten is known no more, nor why it was not let in; one that somebody carries stays', () => {
  const { table } = routes();
  const [a, b] = ['a', 'b'].map(carrier) as [Carrier, Carrier];
  table.announce(a, [up('x', { kind: 'pull', subnodes: ['y'] })]);
  table.announce(b, [up('z', { kind: 'ssh' })]);
  expect([table.wayTo('y'), table.wayTo('z'), table.wayTo('none')]).toEqual([
    { via: 'x', kind: 'pull' },
    { via: 'z', kind: 'ssh' },
    undefined,
  ]);
  table.left(a);
  table.refused('x', 'its key was revoked');
  for (const id of ['x', 'z', 'none']) table.forget(id);
  expect([table.knows('x'), table.knows('y'), table.knows('z')]).toEqual([false, false, true]);
  expect(table.status().map(({ id }) => id)).toEqual(['z']);
});

describe('why a node is not reached', () => {
  test('is what its announcement says, or that of the node which it is behind', () => {
    const { table } = routes();
    const reason = 'connect ECONNREFUSED 10.0.0.7:5557';
    const state = 'unreachable';
    table.announce(carrier('a'), [
      up('paris', { state, reason, subnodes: ['lyon'] }),
      up('nice'),
      up('oslo', { state }),
    ]);
    expect(table.whyNot('paris')).toBe(`is not reached: ${reason}`);
    expect(table.whyNot('lyon')).toBe(`is behind paris, which is not reached: ${reason}`);
    expect(table.whyNot('nice')).toBeUndefined();
    expect(table.whyNot('oslo')).toBeUndefined();
    expect(table.whyNot('expected')).toBe('is not reached: it has not linked since this router started');
    expect(table.whyNot('nowhere')).toBeUndefined();
    table.announce(carrier('b'), [up('metz', { state, reason: 'The handshake was refused.' })]);
    expect(unreachable(table, 'metz').message).toMatch(
      /^The node metz is not reached: The handshake was refused\. Send again later/,
    );
    expect(unreachable(table, 'oslo').message).toMatch(/^The node oslo does not answer\. Send again later/);
  });
});
