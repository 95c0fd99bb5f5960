import { expect, test } from 'vitest';
import { coreManifest } from '../../core/dist/core-actions.js';

const who = Object.fromEntries(coreManifest.actions.map(({ name, access }) => [name, access.join(' ')]));

test("the core's actions are for the roles that PROTOCOL.md section 4 names", () => {
  expect(who).toEqual({
    PING: 'client node',
    GETTHUMBPRINT: 'client node',
    INFORMATION: 'client',
    GETMANIFESTS: 'client',
    GETEVENTS: 'internal admin',
    GETLOG: 'client node',
    PUTLOG: 'client node',
    FOLLOW: 'client node',
    CANCEL: 'client node',
    GETREQUESTS: 'client node',
    KILL: 'router',
    LOADPLUGIN: 'admin',
    UNLOADPLUGIN: 'admin',
    RELOADPLUGIN: 'admin',
    WHY: 'admin',
    KEYS: 'admin',
    ACCEPTKEY: 'admin',
    REVOKEKEY: 'admin',
    JOIN: 'admin',
    CONSTATUS: 'client node',
    GETROUTERS: 'client',
    FORGETROUTER: 'admin',
    REGISTERNODE: 'node',
    UNREGISTERNODE: 'node',
    SETLOGS: 'node',
    SYNCLOGS: 'router',
    REMOVENODE: 'admin',
    RENAMENODE: 'admin',
    ANNOUNCE: 'internal',
    ROUTERKEY: 'internal',
    SIGN: 'internal',
    EMIT: 'internal',
    GETSTATE: 'internal',
    SETSTATE: 'internal',
    DELETESTATE: 'internal',
    LISTSTATE: 'internal',
  });
});

test('an action of the core that reads is answered in the ACK, and may be repeated', () => {
  const reads = coreManifest.actions.filter(({ effects }) => effects === 'read');
  expect(reads.filter(({ reply, idempotent }) => reply !== 'ack' || !idempotent)).toEqual([]);
});
