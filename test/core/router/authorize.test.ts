import type { Access } from '@centreond/plugin-sdk/internal';
import { describe, expect, test } from 'vitest';
import { actsForAll, type Guarded, refusalFor, seesAll, stillRefused } from '../../../core/dist/router/authorize.js';
import type { Grant, Peer, PeerRole } from '../../../core/dist/router/peer.js';

const ROLES: readonly PeerRole[] = ['client', 'node', 'router', 'admin', 'plugin'];

/** PROTOCOL.md section 4: who may call an action of each access. */
const MAY: Readonly<Record<Access, readonly PeerRole[]>> = {
  client: ['client', 'router', 'plugin', 'admin'],
  node: ['node', 'router', 'plugin', 'admin'],
  router: ['router', 'admin'],
  admin: ['admin'],
  internal: ['plugin'],
};
const ACCESSES = Object.keys(MAY) as Access[];

function peer(roles: readonly PeerRole[], lists: Pick<Grant, 'actions' | 'targets'> = {}): Peer {
  const grant: Grant = { identity: 'alice', fingerprint: 'f', roles: ['client'], ...lists };
  return { identity: 'alice', roles: new Set(roles), grant, open: true, backlog: 0, send() {}, onLeft() {} };
}

const action = (access: readonly Access[], type = 'probe', name = 'ECHO'): Guarded => ({
  type,
  manifest: { name, access },
});
const sentence = (of: { message: string } | undefined) => of?.message;

describe('an action', () => {
  test.each(ACCESSES.flatMap((access) => ROLES.map((role) => [access, role] as const)))(
    'of access %s is refused to a peer of the role %s unless the protocol lists it',
    (access, role) => {
      const refused = refusalFor(peer([role]), action([access]), 'central');
      expect(refused?.code).toBe(MAY[access].includes(role) ? undefined : 'FORBIDDEN');
    },
  );

  test('is refused to a peer without any role, and where it names no access', () => {
    for (const access of ACCESSES) expect(refusalFor(peer([]), action([access]), 'central')?.code).toBe('FORBIDDEN');
    for (const role of ROLES) expect(refusalFor(peer([role]), action([]), 'central')?.code).toBe('FORBIDDEN');
  });

  test('needs one of its accesses and one of the roles of its peer, not all of them', () => {
    expect(refusalFor(peer(['node', 'client']), action(['client']), 'central')).toBeUndefined();
    expect(refusalFor(peer(['node']), action(['client', 'node']), 'central')).toBeUndefined();
    expect(refusalFor(peer(['client', 'node']), action(['router', 'admin']), 'central')?.code).toBe('FORBIDDEN');
  });

  test('is refused with who, what, the roles that there are and those that it is for', () => {
    const said = sentence(refusalFor(peer(['client', 'node']), action(['router', 'internal']), 'central'));
    expect(said).toContain('alice');
    expect(said).toContain('call ECHO');
    expect(said).toContain('It has the role client, node, and ECHO is for: router, internal, admin.');
    expect(sentence(refusalFor(peer([]), action(['client']), 'central'))).toContain('the role none,');
  });
});

describe('the list of actions of a grant', () => {
  const listed = { actions: ['COMMAND', 'FETCH'] };

  test('allows what it names and nothing else', () => {
    expect(refusalFor(peer(['client'], listed), action(['client'], 'probe', 'FETCH'), 'central')).toBeUndefined();
    const refused = refusalFor(peer(['client'], listed), action(['client']), 'central');
    expect(refused?.code).toBe('FORBIDDEN');
    expect(sentence(refused)).toContain('call ECHO');
    expect(sentence(refused)).toContain('Its entry in clients.authorized allows the actions COMMAND, FETCH.');
  });

  test('allows nothing where it is empty', () => {
    expect(refusalFor(peer(['client'], { actions: [] }), action(['client']), 'central')?.code).toBe('FORBIDDEN');
  });

  test.each(['client', 'node'] as const)('does not speak of what the core offers to every %s', (role) => {
    const core = action([role], 'core', 'GETLOG');
    expect(refusalFor(peer([role], listed), core, 'central')).toBeUndefined();
    expect(refusalFor(peer([role], listed), core, 'paris', true)).toBeUndefined();
  });

  test('speaks of the other actions of the core, and of those of plugins that are for every client', () => {
    expect(refusalFor(peer(['admin'], listed), action(['admin'], 'core', 'KEYS'), 'central')?.code).toBe('FORBIDDEN');
    expect(refusalFor(peer(['client'], listed), action(['client'], 'probe'), 'central')?.code).toBe('FORBIDDEN');
  });

  test('gives no right that the roles do not give', () => {
    expect(refusalFor(peer(['client'], { actions: ['ECHO'] }), action(['admin']), 'central')?.code).toBe('FORBIDDEN');
  });
});

describe('the list of targets of a grant', () => {
  const listed = { targets: ['paris', 'lyon'] };

  test('allows the nodes that it names and no other', () => {
    expect(refusalFor(peer(['client'], listed), action(['client']), 'lyon', true)).toBeUndefined();
    const refused = refusalFor(peer(['client'], listed), action(['client']), 'rome', true);
    expect(refused?.code).toBe('FORBIDDEN');
    expect(sentence(refused)).toContain('call ECHO on rome');
    expect(sentence(refused)).toContain('Its entry in clients.authorized allows the targets paris, lyon.');
  });

  test('speaks of this router, too, but not of what the core offers to every client on it', () => {
    expect(refusalFor(peer(['client'], listed), action(['client']), 'central')?.code).toBe('FORBIDDEN');
    const core = action(['client'], 'core', 'GETLOG');
    expect(refusalFor(peer(['client'], listed), core, 'central')).toBeUndefined();
    expect(refusalFor(peer(['client'], listed), core, 'rome', true)?.code).toBe('FORBIDDEN');
    expect(refusalFor(peer(['client'], listed), core, 'paris', true)).toBeUndefined();
  });
});

describe('after its session', () => {
  const grants = new Map<string, Grant>([
    ['alice', { identity: 'alice', fingerprint: 'f', roles: ['client'] }],
    ['guest', { identity: 'guest', fingerprint: 'f', roles: ['client'], targets: ['lyon'] }],
    ['central', { identity: 'central', fingerprint: 'f', roles: ['router'] }],
  ]);
  const still = (owner: string, guarded: Guarded, node = 'paris') =>
    stillRefused((identity) => grants.get(identity), owner, guarded, node);

  test('a request stands while its owner could make it', () => {
    expect(still('alice', action(['client']))).toBeUndefined();
    expect(still('alice', action(['admin']))?.code).toBe('FORBIDDEN');
    expect(still('guest', action(['client']), 'lyon')).toBeUndefined();
    expect(still('guest', action(['client']))?.code).toBe('FORBIDDEN');
    // As on another node: there the list of targets speaks of the core's actions, too.
    expect(still('guest', action(['client'], 'core', 'GETLOG'))?.code).toBe('FORBIDDEN');
  });

  test('a request of a key that is no longer authorised is refused with its reason', () => {
    const refused = still('mallory', action(['client']));
    expect(refused?.code).toBe('FORBIDDEN');
    expect(sentence(refused)).toContain('mallory');
    expect(sentence(refused)).toContain('call ECHO on paris');
    expect(sentence(refused)).toContain('The key of mallory is no longer authorised.');
  });

  test('a request that a router forwarded stands while that router does', () => {
    expect(still('central/mallory', action(['client']))).toBeUndefined();
    expect(still('central/mallory', action(['internal']))?.code).toBe('FORBIDDEN');
    expect(sentence(still('central/mallory', action(['internal'])))).toContain('central/mallory');
    expect(sentence(still('other/alice', action(['client'])))).toContain('The key of other is no longer authorised.');
  });

  test('a local client may do everything, a plugin what plugins may', () => {
    for (const access of ACCESSES) expect(still('@local', action([access]))).toBeUndefined();
    for (const access of ACCESSES) {
      const refused = still('@cron', action([access]));
      expect(refused?.code).toBe(MAY[access].includes('plugin') ? undefined : 'FORBIDDEN');
      if (refused) expect(sentence(refused)).toContain('@cron');
    }
  });
});

test('administrators, routers and plugins see the tokens of all; of these, plugins do not act for others', () => {
  for (const role of ROLES) {
    expect([role, seesAll(peer([role]))]).toEqual([role, ['admin', 'router', 'plugin'].includes(role)]);
    expect([role, actsForAll(peer([role]))]).toEqual([role, ['admin', 'router'].includes(role)]);
  }
});
