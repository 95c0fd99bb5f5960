import type { Access } from '@centreond/plugin-sdk/internal';
import { type CentreondError, failure } from '@centreond/protocol';
import type { Grant, Peer, PeerRole } from './peer.ts';

/** The type of the core's own actions. */
export const CORE_TYPE = 'core';

const ALLOWS: Readonly<Record<Access, ReadonlySet<PeerRole>>> = {
  client: new Set<PeerRole>(['client', 'router', 'plugin', 'admin']),
  node: new Set<PeerRole>(['node', 'router', 'plugin', 'admin']),
  router: new Set<PeerRole>(['router', 'admin']),
  admin: new Set<PeerRole>(['admin']),
  internal: new Set<PeerRole>(['plugin']),
};

/** What authorisation has to know of an action. */
export interface Guarded {
  readonly type: string;
  readonly manifest: { readonly name: string; readonly access: readonly Access[] };
}

/** What authorisation reads of a peer. */
interface Asker extends Pick<Peer, 'identity' | 'roles'> {
  readonly grant: Pick<Grant, 'actions' | 'targets' | 'source'>;
}

/**
 * Why `peer` may not call `action` on `node` (`elsewhere`: not this one), or undefined where it may. Default deny. The lists `actions` and `targets` of a
 * grant speak of everything but what the core offers to every client: reading, following and ending one's own tokens.
 */
export function refusalFor(
  peer: Asker,
  { type, manifest }: Guarded,
  node: string,
  elsewhere = false,
): CentreondError | undefined {
  const { grant, identity } = peer;
  const { name, access } = manifest;
  const { source = 'Its entry in clients.authorized' } = grant;
  const refuse = (what: string, remedy: string) => failure('FORBIDDEN', { identity, what, remedy });
  if (!access.some((one) => intersects(ALLOWS[one], peer.roles))) {
    const roles = [...peer.roles].join(', ') || 'none';
    return refuse(
      `call ${name}`,
      `It has the role ${roles}, and ${name} is for: ${[...new Set([...access, 'admin'])].join(', ')}.`,
    );
  }
  const everybodys = type === CORE_TYPE && (access.includes('client') || access.includes('node'));
  if (everybodys && !elsewhere) return undefined;
  if (!everybodys && grant.actions && !grant.actions.includes(name)) {
    return refuse(`call ${name}`, `${source} allows the actions ${grant.actions.join(', ')}.`);
  }
  if (grant.targets && !grant.targets.includes(node)) {
    const remedy = `${source} allows the targets ${grant.targets.join(', ')}.`;
    return refuse(`call ${name} on ${node}`, remedy);
  }
  return undefined;
}

/**
 * Why `owner` may no longer call `action` on `node`, after its session: its grant may have been revoked or changed since. What a
 * router forwarded stands as long as that router is authorised, since it has authorised its caller itself.
 */
export function stillRefused(
  grantOf: (identity: string) => Grant | undefined,
  owner: string,
  action: Guarded,
  node: string,
): CentreondError | undefined {
  const refuse = (remedy: string) =>
    failure('FORBIDDEN', { identity: owner, what: `call ${action.manifest.name} on ${node}`, remedy });
  if (owner === '@local') return undefined;
  if (owner.startsWith('@')) {
    return refusalFor({ identity: owner, roles: new Set(['plugin']), grant: {} }, action, node);
  }
  // A router answers for what it forwarded: ROUTER/FROM.
  const identity = owner.split('/')[0] ?? owner;
  const grant = grantOf(identity);
  if (!grant) return refuse(`The key of ${identity} is no longer authorised.`);
  return refusalFor({ identity: owner, grant, roles: new Set(grant.roles) }, action, node, true);
}

function intersects(a: ReadonlySet<PeerRole>, b: ReadonlySet<PeerRole>): boolean {
  for (const role of b) if (a.has(role)) return true;
  return false;
}

/** Whether `peer` may read and act on everybody's tokens. */
export function seesAll(peer: Peer): boolean {
  return peer.roles.has('admin') || peer.roles.has('router') || peer.roles.has('plugin');
}

/** Whether `peer` may repeat, cancel and write under tokens of others. */
export function actsForAll(peer: Peer): boolean {
  return peer.roles.has('admin') || peer.roles.has('router');
}
