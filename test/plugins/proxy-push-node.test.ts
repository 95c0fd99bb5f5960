import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { PushNode } from '../../plugins/proxy/dist/push-node.js';
import { ProxyStage, pushed, requestFor, settle } from './proxy-stage.ts';

let stage: ProxyStage;
let node: PushNode;
beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse('2025-11-22T10:00:00Z') });
  stage = new ProxyStage();
});
afterEach(async () => {
  await node.close();
  vi.useRealTimers();
});

function start(more: object = {}): PushNode {
  node = new PushNode(pushed('paris', more), { ...stage });
  return node;
}
const link = () => stage.link('paris');
const pass = async (ms: number) => {
  await vi.advanceTimersByTimeAsync(ms);
  await settle();
};

test('a node is up once it has said that it is the one, and what it has', async () => {
  start({ name: 'Paris', score: 3 });
  expect(node.announcement()).toMatchObject({
    id: 'paris',
    kind: 'push',
    name: 'Paris',
    score: 3,
    state: 'connecting',
  });
  link().isMute = true;
  await link().up();
  expect(node.announcement().state).toBe('connecting');
  await expect(node.deliver(requestFor('paris'))).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
  link().isMute = false;
  await pass(6000);
  expect(node.announcement()).toEqual({
    id: 'paris',
    kind: 'push',
    address: 'tcp://paris:5555',
    name: 'Paris',
    score: 3,
    state: 'up',
    version: '1.2.3',
    actions: ['DO', 'ECHO'],
    subnodes: [],
    clockSkewSeconds: 2,
    roundTripMs: 1.5,
    lastPing: Date.parse('2025-11-22T10:00:05Z') / 1000,
    lastPong: Date.parse('2025-11-22T10:00:05Z') / 1000,
  });
  expect((await node.deliver(requestFor('paris'))).token).toBe('token');
  expect(stage.lines).toEqual(['info the node paris at tcp://paris:5555 is up']);
});

test('its labels are its own and those of its entry, which win', async () => {
  start({ labels: { role: 'web' } });
  expect(node.announcement().labels).toEqual({ role: 'web' });
  const { INFORMATION } = link().answers;
  link().answers.INFORMATION = (data) => ({ ...INFORMATION?.(data), labels: { role: 'db', site: 'paris' } });
  await link().up();
  expect(node.announcement().labels).toEqual({ role: 'web', site: 'paris' });
});

test('a node that is silent for 15 s is unreachable, and back with its next word', async () => {
  start();
  await link().up();
  link().isMute = true;
  await pass(14_000);
  expect(node.announcement().state).toBe('up');
  await pass(2000);
  expect(node.announcement().state).toBe('unreachable');
  expect(stage.lines.at(-1)).toBe('warn the node paris at tcp://paris:5555 is unreachable: no answer for 15 s');
  link().isMute = false;
  await pass(6000);
  expect(node.announcement().state).toBe('up');
});

test('a link that is lost is no absence when it is back at once, then it is, and after 15 s the node is unreachable', async () => {
  start();
  await link().up();
  stage.changed.mockClear();
  await link().lost();
  expect(node.announcement().state).toBe('up');
  await expect(node.deliver(requestFor('paris'))).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
  await pass(200);
  await link().up();
  await pass(1000);
  expect(stage.lines).toHaveLength(1);
  await link().lost('the other router is gone');
  await pass(1100);
  expect(node.announcement().state).toBe('connecting');
  expect(stage.lines.at(-1)).toBe('warn the node paris at tcp://paris:5555 is connecting: the other router is gone');
  expect(node.announcement()).toMatchObject({ state: 'connecting', reason: 'the other router is gone' });
  stage.changed.mockClear();
  await link().lost('connect ECONNREFUSED');
  expect(stage.changed).toHaveBeenCalled();
  expect(node.announcement()).toMatchObject({ state: 'connecting', reason: 'connect ECONNREFUSED' });
  await pass(15_000);
  expect(node.announcement().state).toBe('unreachable');
  await link().up();
  expect(node.announcement().state).toBe('up');
});

test('another id at its address gets nothing, and the log says which it is', async () => {
  start();
  link().id = 'lyon';
  await link().up();
  expect(node.announcement()).toMatchObject({
    state: 'unreachable',
    reason: 'the router that answers there is lyon',
  });
  expect(stage.lines.filter((line) => line.includes('answers the router lyon, not paris'))).toHaveLength(1);
  await pass(20_000);
  expect(stage.lines.filter((line) => line.includes('answers the router lyon, not paris'))).toHaveLength(1);
  expect(link().sent).toEqual([]);
  await expect(node.deliver(requestFor('paris'))).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
  await expect(link().ask('SETLOGS', {})).rejects.toMatchObject({ code: 'FORBIDDEN' });
  expect(link().forwarded).toEqual([]);
  await link().lost();
  link().id = 'paris';
  await link().up();
  expect(node.announcement().state).toBe('up');
});

test('nodes behind it are known by their best way, only those that its entry lists, and others are named once', async () => {
  start({ subnodes: ['lyon', 'nice', 'metz'] });
  link().answers.CONSTATUS = () => ({
    nodes: [
      { id: 'lyon', state: 'up', actions: ['DO'], subnodes: ['nice', 'evil'], extra: 1 },
      { id: 'metz', state: 'unreachable', actions: [], subnodes: [] },
      { id: 'nice', state: 'unreachable', score: 1, actions: ['DO'], subnodes: [] },
    ],
  });
  await link().up();
  expect(node.announcement().subnodes).toEqual([
    { id: 'lyon', state: 'up', score: 1, actions: ['DO'] },
    { id: 'metz', state: 'unreachable', score: 1 },
    { id: 'nice', state: 'up', score: 2 },
  ]);
  await pass(20_000);
  expect(stage.lines.filter((line) => line.includes('evil'))).toEqual([
    'warn paris announces nodes that its entry here does not list under subnodes: evil; they are ignored',
  ]);
});

test('nonsense of a node costs what it says, not the node', async () => {
  start();
  link().answers.CONSTATUS = () => ({ nodes: [{ id: 'a b', state: 'up' }] });
  link().answers.INFORMATION = () => ({ version: 'v'.repeat(65), actions: [] });
  await link().up();
  expect(node.announcement()).toMatchObject({ state: 'up', subnodes: [] });
  expect(node.announcement().version).toBeUndefined();
  await pass(20_000);
  expect(stage.lines.filter((line) => line.includes('cannot be read'))).toHaveLength(2);
});

test('its log is asked for on each session, and handed to the core in its name; nothing else is taken from it', async () => {
  start();
  await link().up();
  await pass(11_000);
  expect(link().sent.filter((action) => action === 'SYNCLOGS')).toHaveLength(1);
  await link().lost();
  await link().up();
  expect(link().sent.filter((action) => action === 'SYNCLOGS')).toHaveLength(2);
  const rows = { epoch: 'e', rows: [], last: 7 };
  expect(await link().ask('SETLOGS', rows)).toEqual({ stored: 1 });
  expect(stage.sent).toEqual([{ action: 'SETLOGS', data: rows, target: 'paris' }]);
  for (const action of ['COMMAND', 'REGISTERNODE', 'KILL', 'CONSTATUS']) {
    await expect(link().ask(action, {})).rejects.toMatchObject({ code: 'FORBIDDEN' });
  }
  stage.sending = () => Promise.reject(Object.assign(new Error('full'), { code: 'STORE_FAILED' }));
  await expect(link().ask('SETLOGS', rows)).rejects.toMatchObject({ code: 'STORE_FAILED' });
});

test('rows that the core does not take as fast are not heaped up', async () => {
  start();
  await link().up();
  let answer = (_: object) => {};
  stage.sending = () =>
    new Promise((resolve) => {
      answer = resolve as typeof answer;
    });
  const asked = Array.from({ length: 17 }, () =>
    link()
      .ask('SETLOGS', {})
      .catch(({ code }) => code),
  );
  expect(await asked[16]).toBe('BUSY');
  answer({});
});

test('a node that has no log to stream, or grants it not, is up all the same', async () => {
  start();
  delete link().answers.SYNCLOGS;
  await link().up();
  await pass(20_000);
  expect(link().sent.filter((action) => action === 'SYNCLOGS')).toHaveLength(1);
  expect(node.announcement().state).toBe('up');
  expect(stage.lines).toHaveLength(1);
});

test('closing it ends the link, again or not', async () => {
  start();
  await link().up();
  await Promise.all([node.close(), node.close()]);
  expect(link().isClosed).toBe(true);
  stage.changed.mockClear();
  await pass(30_000);
  expect(stage.changed).not.toHaveBeenCalled();
});
