import { formatMessage, parseReply } from '@centreond/protocol';
import { expect, test } from 'vitest';
import { Callers } from '../../../core/dist/fleet/callers.js';
import type { Executor } from '../../../core/dist/router/executor.js';
import { Leaving, type Peer } from '../../../core/dist/router/peer.js';
import { unknownHere } from '../../../core/dist/router/registry.js';
import { Verbs } from '../../../core/dist/router/verbs.js';
import { TestLog } from '../store/opened.ts';

/** An instance of the plugin http, and what it is told. */
class TestInstance implements Peer {
  readonly identity = '@http';
  readonly roles = new Set(['plugin'] as const);
  readonly grant = { identity: '@http', fingerprint: '', roles: [] };
  readonly open = true;
  readonly backlog = 0;
  readonly told: { action: string; data: string }[] = [];
  readonly #leaving = new Leaving();
  constructor(readonly allowsCallers = true) {}
  send(message: string): void {
    this.told.push(parseReply(message));
  }
  onLeft(listener: () => void): void {
    this.#leaving.add(listener);
  }
  leave(): void {
    this.#leaving.over();
  }
}

function scene({ authorised = [] as string[], hearers = 1 } = {}) {
  const log = new TestLog();
  const verbs = new Verbs(log as never);
  const executor = { allowsCallers: true, hearers: () => Array.from({ length: hearers }) } as unknown as Executor;
  const callers = new Callers({
    verbs,
    registry: { executorOf: (type: string) => (type === 'http' ? executor : undefined) } as never,
    isAuthorised: (identity) => authorised.includes(identity),
    log: log as never,
  });
  const heard: Peer[] = [];
  const say = (instance: Peer, message: string) =>
    verbs.receive(instance, Buffer.from(message), (peer) => void heard.push(peer));
  const up = (instance: Peer, name: string, data: object = { roles: ['client'] }, number = '1') =>
    say(instance, formatMessage('CALLERUP', number, name, data));
  return { callers, heard, say, up };
}

const refusalOf = ({ told }: TestInstance) => {
  const [last] = told.slice(-1);
  return last?.action === 'CALLERDOWN' ? (JSON.parse(last.data) as { error: string; message: string }) : undefined;
};

test('a caller is a peer TYPE/NAME with what was granted, until its instance leaves', () => {
  const { heard, say, up } = scene();
  const instance = new TestInstance();
  up(instance, 'alice', { roles: ['client'], targets: ['paris'] });
  say(instance, formatMessage('CALLED', '1', '', '[PING] [t] []'));
  expect(heard[0]).toMatchObject({ identity: 'http/alice', grant: { targets: ['paris'] }, open: true });
  expect(refusalOf(instance)).toBeUndefined();
  instance.leave();
  expect(heard[0]?.open).toBe(false);
});

test('an instance whose entry does not allow it lets nobody in, whatever the version before was allowed', () => {
  const { up } = scene();
  const instance = new TestInstance(false);
  up(instance, 'alice');
  expect(refusalOf(instance)).toMatchObject({ error: 'FORBIDDEN', message: expect.stringContaining('allowCallers') });
});

test('a malformed caller is refused and not forgotten', () => {
  const { up } = scene();
  const instance = new TestInstance();
  for (const data of [{ roles: [] }, { roles: ['router'] }, { roles: ['client'], secret: 'x' }]) {
    up(instance, 'alice', data);
    expect(refusalOf(instance)?.error).toBe('INVALID_DATA');
  }
});

test('a caller that a node would take for somebody with a key is refused', () => {
  for (const authorised of [['http'], ['http.alice']]) {
    const { up } = scene({ authorised });
    const instance = new TestInstance();
    up(instance, 'alice');
    expect(refusalOf(instance)?.message).toContain(`A key is authorised as ${authorised[0]}`);
  }
});

test('what a caller asked for goes on later only while it is let in, and waits while its plugin does not serve', () => {
  const { callers, up } = scene();
  const instance = new TestInstance();
  up(instance, 'alice', { roles: ['client'], targets: ['paris'] });
  expect(callers.stillRefused('http/alice', unknownHere('ECHO'), 'paris')).toBeUndefined();
  expect(callers.stillRefused('http/alice', unknownHere('ECHO'), 'lyon')).toMatchObject({ code: 'FORBIDDEN' });
  expect(callers.stillRefused('http/bob', unknownHere('ECHO'), 'paris')).toMatchObject({ code: 'FORBIDDEN' });
  const { callers: starting } = scene({ hearers: 0 });
  expect(starting.stillRefused('http/alice', unknownHere('ECHO'), 'paris')).toBe('later');
});

test('an owner is a caller if the plugin of that type may have callers', () => {
  const { callers } = scene();
  expect(callers.owns('http/alice')).toBe(true);
  for (const owner of ['http', 'central/alice', 'alice', '@http']) expect(callers.owns(owner)).toBe(false);
});
