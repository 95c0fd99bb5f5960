/**
 * Who may call what: each action of the core and of the bundled plugins by the roles that may, as PROTOCOL.md section 4 lists them.
 * Whatever is not here is refused, and an action that is not here fails the tests that read this table.
 */

/** C client, N node, R router, A admin, P an instance of a plugin. */
export type Letter = 'C' | 'N' | 'R' | 'A' | 'P';
export const LETTERS: readonly Letter[] = ['C', 'N', 'R', 'A', 'P'];
export const ROLE_OF = { C: 'client', N: 'node', R: 'router', A: 'admin', P: 'plugin' } as const;

export interface MatrixRow {
  /** The letters of those that may. */
  readonly who: string;
  /** DATA that is valid where authorisation depends on it; no valid DATA otherwise, so that nothing is done. */
  readonly data?: (identity: string) => object;
}

const id = (identity: string) => ({ id: identity });

export const MATRIX: Readonly<Record<string, MatrixRow>> = {
  PING: { who: 'CNRAP' },
  GETTHUMBPRINT: { who: 'CNRAP' },
  INFORMATION: { who: 'CRAP' },
  GETMANIFESTS: { who: 'CRAP' },
  CONSTATUS: { who: 'CNRAP' },
  GETROUTERS: { who: 'CRAP' },
  GETLOG: { who: 'CNRAP' },
  PUTLOG: { who: 'CNRAP' },
  FOLLOW: { who: 'CNRAP' },
  CANCEL: { who: 'CNRAP' }, // of what is its owner's; an admin's of everybody
  GETREQUESTS: { who: 'CNRAP' },
  GETEVENTS: { who: 'AP' },
  KILL: { who: 'AR' },
  LOADPLUGIN: { who: 'A' },
  UNLOADPLUGIN: { who: 'A' },
  RELOADPLUGIN: { who: 'A' },
  WHY: { who: 'A' },
  KEYS: { who: 'A' },
  ACCEPTKEY: { who: 'A' },
  REVOKEKEY: { who: 'A' },
  JOIN: { who: 'A' },
  FORGETROUTER: { who: 'A' },
  REMOVENODE: { who: 'A' },
  RENAMENODE: { who: 'A' },
  REGISTERNODE: { who: 'N', data: (identity) => ({ ...id(identity), version: '1', actions: [] }) },
  UNREGISTERNODE: { who: 'N', data: id },
  SETLOGS: { who: 'NRAP' }, // of a log that is its own, or that it carries
  SYNCLOGS: { who: 'RA' },
  ANNOUNCE: { who: 'P' },
  ROUTERKEY: { who: 'P' },
  SIGN: { who: 'P' },
  EMIT: { who: 'P' },
  GETSTATE: { who: 'P' },
  SETSTATE: { who: 'P' },
  DELETESTATE: { who: 'P' },
  LISTSTATE: { who: 'P' },

  COMMAND: { who: 'CRAP' },
  ACLRESYNC: { who: 'CRAP' },
  ACLPURGEORGANIZATION: { who: 'CRAP' },
  GETCRON: { who: 'A' },
  ADDCRON: { who: 'A' },
  UPDATECRON: { who: 'A' },
  DELETECRON: { who: 'A' },
  SENDFILES: { who: 'CRAP' },
  FILESOPEN: { who: 'RAP' },
  FILESCHUNK: { who: 'RAP' },
  FILESCLOSE: { who: 'RAP' },
  ADDNODE: { who: 'A' },
  DELNODE: { who: 'A' },
  ADDSSHNODE: { who: 'A' },
  DELSSHNODE: { who: 'A' },
};
