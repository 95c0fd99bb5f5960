import { randomBytes } from 'node:crypto';
import { type CentreondError, isIdentity } from '@centreond/protocol';
import { b64, joinedBy, joinKeyOf, unb64 } from '@centreond/protocol/channel';
import { fault } from '../errors.ts';
import type { Grant, Role } from '../router/peer.ts';
import type { Invitation } from './trust-file.ts';

/** Join tokens that may be open at once: each HELO that bears an HMAC is tried against all of them. */
const MAX_INVITATIONS = 100;
/** How long a join token may be open, in seconds. */
export const LONGEST_INVITATION = 3600;
/** The clock of another router of the cluster, which made a token, may be so much ahead. */
const SKEW_MS = 10_000;
// 192 bits: a whole number of base64url characters.
const TOKEN_BYTES = 24;
/** What a node is that joined. */
export const JOINED_ROLES: readonly Role[] = ['node'];

/** Who is to join, and who says so. */
export interface InvitationRequest {
  readonly identity: string;
  readonly seconds: number;
  readonly by: string;
  readonly subnodes?: readonly string[] | undefined;
}

export function refusal(message: string): CentreondError {
  return fault('KEY_REFUSED', { reason: message });
}

/** Throws KEY_REFUSED for a request of bad form. */
export function checkInvitation({ identity, seconds, subnodes = [] }: InvitationRequest): void {
  const odd = [identity, ...subnodes].find((id) => !mayBeIdentity(id));
  if (odd !== undefined) throw refusal(oddIdentity(odd));
  if (!(seconds > 0 && seconds <= LONGEST_INVITATION)) {
    throw refusal(`A join token is open for 1 to ${LONGEST_INVITATION} seconds, not for ${seconds}.`);
  }
}

/** Makes a join token beside `others` that are open, and what is kept of it. Throws KEY_REFUSED if too many are open. */
export function newInvitation(
  { identity, seconds, by, subnodes = [] }: InvitationRequest,
  others: number,
  at: number,
): { token: string; invitation: Invitation } {
  if (others >= MAX_INVITATIONS) {
    throw refusal(
      `${MAX_INVITATIONS} join tokens are open, which is all that may be. Wait, or withdraw one with \`centreond keys revoke IDENTITY\`.`,
    );
  }
  const token = b64(randomBytes(TOKEN_BYTES));
  const key = b64(joinKeyOf(token));
  const behind = subnodes.length > 0 && { subnodes: [...subnodes] };
  return { token, invitation: { identity, key, at, until: at + seconds * 1000, by, ...behind } };
}

/** Those that are open at `now`. */
export function openInvitations(invited: readonly Invitation[], now: number): Invitation[] {
  // One from the future was made before the clock was set back, and must not be open for longer than was said.
  return invited.filter(({ at, until }) => at <= now + SKEW_MS && now < until);
}

/** The one of `open` whose token made the HMAC of a HELO. */
export function invitationOf(
  hello: { readonly body: Buffer; readonly mac: Buffer | undefined },
  open: Invitation[],
): Invitation | undefined {
  return joinedBy(hello, open, ({ key }) => unb64(key));
}

/** What a key is once it took the invitation up. */
export function joinGrant({ identity, subnodes }: Invitation, fingerprint: string) {
  return { identity, fingerprint, roles: [...JOINED_ROLES], ...(subnodes && { subnodes }) } satisfies Grant;
}

/** Whether it may name one machine or person: `all` stands for every node. */
export function mayBeIdentity(text: string): boolean {
  return isIdentity(text) && text !== 'all';
}

export function oddIdentity(text: string): string {
  const why = text === 'all' ? 'it stands for every node' : 'use 1 to 64 of A-Z a-z 0-9 . _ -, not . or ..';
  return `${JSON.stringify(text)} cannot be an identity: ${why}`;
}
