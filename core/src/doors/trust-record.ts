import { createHash } from 'node:crypto';
import type { Grant, Role } from '../router/peer.ts';
import { openInvitations } from './invitations.ts';
import type { AcceptedKey, Invitation, KeyMark, SpentToken, TrustRecord } from './trust-file.ts';

/** So long a token that was used is remembered after its time: no clock is further behind. */
const SPENT_MS = 24 * 3600 * 1000;

/** What stands for a join token where its K must not be. */
export function tokenOf({ key }: Pick<Invitation, 'key'>): string {
  return createHash('sha256').update(key).digest('base64url');
}

/** What is kept of tokens that were spent. Those that an operator withdrew are kept like revocations. */
export function rememberedSpent(spent: readonly SpentToken[], now: number): SpentToken[] {
  return spent.filter(({ until, withdrawn }) => withdrawn || now < until + SPENT_MS);
}

/** The record without join tokens whose time is over. */
export function withoutExpired(record: TrustRecord, now: number): TrustRecord {
  return { ...record, invited: openInvitations(record.invited, now), spent: rememberedSpent(record.spent, now) };
}

/** A key is bound to an identity: newly, with other roles, or again over its revocation. The configuration may name it already. */
export function accepting(
  record: TrustRecord,
  { fingerprint, identity, roles }: { fingerprint: string; identity: string; roles: Role[] },
  isConfigured: boolean,
  now: number,
): TrustRecord {
  const isIt = (entry: { fingerprint: string }) => entry.fingerprint === fingerprint;
  const former = record.accepted.find(isIt);
  const entry = changedTo(record, { at: now, ...former, identity, fingerprint, roles }, now);
  const isReplaced = (one: AcceptedKey) => (isIt(one) ? isConfigured : one.identity === identity);
  const { revoked } = record;
  return {
    ...spend(record, (open) => open.identity === identity),
    // A revoked key that the configuration names comes back with what the configuration gives it.
    accepted: [
      ...record.accepted.filter((one) => one.identity !== identity && !isIt(one)),
      ...(isConfigured ? [] : [entry]),
    ],
    revoked: revoked.filter((one) => !isIt(one)),
    lifted: [...record.lifted, ...revoked.filter(isIt).map(({ at }) => ({ fingerprint, at }))],
    dropped: [...record.dropped, ...record.accepted.filter(isReplaced).map(dropOf)],
  };
}

/** A join token is made; an older one of its identity is void. */
export function inviting(record: TrustRecord, invitation: Invitation): TrustRecord {
  const rest = spend(record, (open) => open.identity === invitation.identity);
  return { ...rest, invited: [...rest.invited, invitation] };
}

/** A key takes a join token up. */
export function enrolling(record: TrustRecord, invitation: Invitation, grant: Grant, now: number): TrustRecord {
  const { fingerprint, identity, roles, subnodes } = grant;
  const joined = { identity, fingerprint, roles: [...roles], ...(subnodes && { subnodes: [...subnodes] }) };
  const entry = { ...joined, at: now, invitedBy: invitation.by, token: tokenOf(invitation) };
  return {
    ...spend(record, (open) => open.key === invitation.key),
    accepted: [...record.accepted.filter((one) => one.fingerprint !== fingerprint), changedTo(record, entry, now)],
  };
}

/** A key is shut out, and the join token of its identity withdrawn. */
export function revoking(
  record: TrustRecord,
  fingerprint: string,
  identity: string | undefined,
  now: number,
): TrustRecord {
  // Not that of a revocation that was taken back.
  const at = Math.max(now, latestMark(record.lifted, fingerprint) + 1);
  return {
    ...withdrawing(record, identity),
    accepted: record.accepted.filter((entry) => entry.fingerprint !== fingerprint),
    revoked: [...record.revoked, { fingerprint, ...(identity !== undefined && { identity }), at }],
  };
}

/** The join tokens of an identity are taken back. */
export function withdrawing(record: TrustRecord, identity: string | undefined): TrustRecord {
  return spend(record, (open) => open.identity === identity, true);
}

/** A key gets another identity, and keeps what it may. */
export function renaming(record: TrustRecord, entry: AcceptedKey, to: string, now: number): TrustRecord {
  const renamed = changedTo(record, { ...entry, identity: to }, now);
  return { ...record, accepted: record.accepted.map((one) => (one === entry ? renamed : one)) };
}

/** The latest of the marks of a key, 0 where there is none. */
export function latestMark(marks: readonly KeyMark[], fingerprint: string): number {
  return marks.reduce((latest, mark) => (mark.fingerprint === fingerprint ? Math.max(latest, mark.at) : latest), 0);
}

/** When an acceptance was made, or changed last. */
export function changeOf({ at, changed = at }: AcceptedKey): number {
  return changed;
}

/** What says that an acceptance gave way to another one. */
export function dropOf(entry: AcceptedKey): KeyMark {
  return { fingerprint: entry.fingerprint, at: changeOf(entry) };
}

/** `entry`, changed now, which is later than all that is known of its key. */
function changedTo(record: TrustRecord, entry: AcceptedKey, now: number): AcceptedKey {
  const { fingerprint } = entry;
  const former = record.accepted.find((one) => one.fingerprint === fingerprint);
  if (former && sameEntry(former, entry)) return former;
  const known = Math.max(
    ...[record.revoked, record.lifted, record.dropped].map((marks) => latestMark(marks, fingerprint)),
    former ? changeOf(former) : 0,
  );
  const changed = Math.max(now, known + 1);
  const { changed: _, ...rest } = entry;
  return changed === rest.at ? rest : { ...rest, changed };
}

function spend(record: TrustRecord, isSpent: (open: Invitation) => boolean, isWithdrawn = false): TrustRecord {
  const spent = record.invited.filter(isSpent).map((open) => ({
    ...{ token: tokenOf(open), until: open.until },
    ...(isWithdrawn && { withdrawn: true as const }),
  }));
  return { ...record, invited: record.invited.filter((open) => !isSpent(open)), spent: [...record.spent, ...spent] };
}

/** An entry as text, the same for the same content. */
export function textOf(entry: object): string {
  return JSON.stringify(entry, Object.keys(entry).sort());
}

/** Whether two entries have the same content. Cheaper than their texts: a record may have thousands. */
export function sameEntry<T extends object>(a: T, b: T): boolean {
  const fields = Object.entries(a);
  if (fields.length !== Object.keys(b).length) return false;
  return fields.every(([name, value]) => {
    const other: unknown = b[name as keyof T];
    if (!Array.isArray(value) || !Array.isArray(other)) return value === other;
    return value.length === other.length && value.every((one, i) => one === other[i]);
  });
}
