import type { Access } from '@centreond/plugin-sdk/internal';
import { type CentreondError, failure } from '@centreond/protocol';

/** A role of PROTOCOL.md: who may call what. */
export type Role = 'client' | 'node' | 'router' | 'admin' | 'plugin';

const ALLOWS: Readonly<Record<Access, readonly Role[]>> = {
  client: ['client', 'router', 'plugin', 'admin'],
  node: ['node', 'router', 'plugin', 'admin'],
  router: ['router', 'admin'],
  admin: ['admin'],
  internal: ['plugin'],
};

/** Who is connected to the router in memory. */
export interface TestPeer {
  readonly identity: string;
  readonly roles: readonly Role[];
  /** The instance of the plugin that it is. */
  readonly instance?: string;
  /** Takes a message of the router: ACK, PONG or LOG. */
  send(message: string): void;
}

/** Why `peer` may not call the action `name`, or undefined. */
export function refusalFor(peer: TestPeer, name: string, access: readonly Access[]): CentreondError | undefined {
  if (access.some((one) => peer.roles.some((role) => ALLOWS[one].includes(role)))) return undefined;
  const roles = peer.roles.join(', ') || 'none';
  const remedy = `It has the role ${roles}, and ${name} is for: ${[...new Set([...access, 'admin'])].join(', ')}.`;
  return failure('FORBIDDEN', { identity: peer.identity, what: `call ${name}`, remedy });
}

/** Whether `peer` may read and follow the tokens of others. */
export function seesAll({ roles }: TestPeer): boolean {
  return roles.some((role) => role === 'admin' || role === 'router' || role === 'plugin');
}

/** Whether `peer` may repeat, cancel and write under the tokens of others. */
export function actsForAll({ roles }: TestPeer): boolean {
  return roles.some((role) => role === 'admin' || role === 'router');
}
