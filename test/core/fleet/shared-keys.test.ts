import { describe, expect, test } from 'vitest';
import { NodeSessions } from '../../../core/dist/fleet/node-sessions.js';
import { PeerRequests } from '../../../core/dist/fleet/peer-requests.js';
import { Routes } from '../../../core/dist/fleet/routes.js';
import { Leaving, type Peer } from '../../../core/dist/router/peer.js';
import { Verbs } from '../../../core/dist/router/verbs.js';
import { TestLog } from '../store/opened.ts';

const MINUTE = 60_000;

/** The sessions of the node paris, each from an address and in the place of the one before, or after its end. */
function paris() {
  const log = new TestLog() as never as TestLog & { debug(): void };
  log.debug = () => {};
  const time = { ms: 0 };
  const sessions = new NodeSessions({
    id: 'central',
    routes: new Routes({ id: 'central', log: log as never }),
    requests: new PeerRequests(new Verbs(log as never)),
    events: { emit() {} } as never,
    chronicle: { tell() {} },
    clock: { now: () => time.ms, monotonic: () => time.ms },
    log: log as never,
  });
  let leave: ((replaced: boolean) => void) | undefined;
  const comes = (address: string, replaces = true) => {
    leave?.(replaces);
    const leaving = new Leaving();
    const state = { open: true, replaced: false };
    const peer: Peer = {
      identity: 'paris',
      roles: new Set(['node'] as const),
      grant: { identity: 'paris', fingerprint: '', roles: ['node'] },
      backlog: 0,
      address,
      get open() {
        return state.open;
      },
      get replaced() {
        return state.replaced;
      },
      send() {},
      onLeft: (listener) => leaving.add(listener),
    };
    leave = (replaced) => {
      state.open = false;
      state.replaced = replaced;
      leaving.over();
    };
    sessions.register(peer, { version: '1', actions: [] });
    time.ms += MINUTE;
  };
  return { comes, time, log, shared: () => sessions.addressesOf('paris'), stop: () => sessions.stop() };
}

describe('a key that two machines use', () => {
  test('is told with both addresses once their sessions replaced one another three times, and for ten minutes', () => {
    const { comes, time, log, shared, stop } = paris();
    for (const port of [1, 2, 3]) {
      expect(shared()).toEqual([]);
      comes(port % 2 ? `10.0.0.5:${port}` : `[fd00::9]:${port}`);
    }
    expect(shared()).toEqual([]);
    comes('[fd00::9]:4');
    expect(shared()).toEqual(['10.0.0.5:3', '[fd00::9]:4']);
    comes('10.0.0.5:5');
    expect(shared()).toEqual(['[fd00::9]:4', '10.0.0.5:5']);
    const warnings = log.lines.filter((line) => line.startsWith('warn'));
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('paris connects from 10.0.0.5:3 and from [fd00::9]:4 by turns');
    time.ms += 10 * MINUTE;
    expect(shared()).toEqual([]);
    stop();
  });

  test.each([
    ['connects again from other ports of one host', (n: number) => `10.0.0.5:${n}`, true, MINUTE],
    ['moves on to a new host each time', (n: number) => `10.0.0.${n}:1`, true, MINUTE],
    ['moves to another host and back', (n: number) => (n === 2 ? '10.0.0.9:1' : '10.0.0.5:1'), true, MINUTE],
    ['takes another way each time after its session has ended', (n: number) => `10.0.0.${n % 2}:1`, false, MINUTE],
    ['takes another way every six minutes', (n: number) => `10.0.0.${n % 2}:1`, true, 6 * MINUTE],
  ])('is not suspected of a node that %s', (_, addressOf, replaces, every) => {
    const { comes, time, log, shared, stop } = paris();
    for (let n = 1; n <= 9; n++) {
      comes(addressOf(n), replaces);
      time.ms += every - MINUTE;
      expect(shared()).toEqual([]);
    }
    expect(log.lines.filter((line) => line.startsWith('warn'))).toEqual([]);
    stop();
  });
});
