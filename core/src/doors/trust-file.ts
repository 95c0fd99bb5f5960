import { isIdentity, reasonOf } from '@centreond/protocol';
import { z } from 'zod';
import { fault } from '../errors.ts';
import { readPrivateFile, writePrivateFile } from '../private-file.ts';
import { ROLES } from '../router/peer.ts';

/** Whether `text` has the form of a fingerprint: canonical base64url of 32 bytes. */
export function isFingerprint(text: string): boolean {
  if (text.length !== 43) return false;
  const bytes = Buffer.from(text, 'base64url');
  return bytes.length === 32 && bytes.toString('base64url') === text;
}

const Identity = z.string().refine(isIdentity);
const Sha256 = z.string().refine(isFingerprint);
const Subnodes = z.array(Identity).exactOptional();

const Accepted = z.strictObject({
  identity: Identity,
  fingerprint: Sha256,
  roles: z.array(z.enum(ROLES)).min(1),
  at: z.number(),
  subnodes: Subnodes,
  /** Who made the token by which it joined; absent where an operator accepted the key itself. */
  invitedBy: z.string().exactOptional(),
});
const Revoked = z.strictObject({ fingerprint: Sha256, identity: z.string().optional(), at: z.number() });
const Invited = z.strictObject({
  identity: Identity,
  /** K of the join token, base64url: a secret. */
  key: Sha256,
  at: z.number(),
  until: z.number(),
  by: z.string(),
  subnodes: Subnodes,
});

const TrustRecord = z.strictObject({
  version: z.literal(1),
  accepted: z.array(Accepted),
  revoked: z.array(Revoked),
  invited: z.array(Invited).default([]),
});

/** What is kept of the operator's decisions, all in one file: a change of several parts is one rename. */
export type TrustRecord = z.output<typeof TrustRecord>;
/** A join token that is open, or was; times in milliseconds. */
export type Invitation = z.output<typeof Invited>;

/** Reads the file. Throws TRUST_FILE for one that cannot be relied on, since a lost revocation would open the door. */
export function readTrust(path: string): TrustRecord {
  const broken = (what: string) => fault('TRUST_FILE', { path, what });
  const file = readPrivateFile(path);
  if (!file) return { version: 1, accepted: [], revoked: [], invited: [] };
  const remedy = `(mode 0${file.mode.toString(8)}); run chmod 600 ${path} once it is checked`;
  if ((file.mode & 0o022) !== 0) throw broken(`can be changed by others ${remedy}`);
  let record: TrustRecord;
  try {
    record = TrustRecord.parse(JSON.parse(file.text));
  } catch (error) {
    throw broken(`cannot be read as a trust file (${reasonOf(error)})`);
  }
  if (record.invited.length > 0 && (file.mode & 0o044) !== 0) {
    throw broken(`holds open join tokens and can be read by others ${remedy}`);
  }
  return record;
}

/** Writes the file: whole or not at all, on disk when it returns, for this uid alone. */
export function writeTrust(path: string, record: TrustRecord): void {
  writePrivateFile(path, `${JSON.stringify(record, null, 2)}\n`, true);
}

/**
 * Has the revocations in the trust file `from` count in the trust file `to`, an older copy of it: a key that was shut out is not let
 * in again by a backup. Returns the fingerprints of those that `to` did not have.
 */
export function keepRevocations(from: string, to: string): string[] {
  const record = readTrust(to);
  const known = new Set(record.revoked.map(({ fingerprint }) => fingerprint));
  const later = readTrust(from).revoked.filter(({ fingerprint }) => !known.has(fingerprint));
  if (later.length === 0) return [];
  const fingerprints = new Set(later.map(({ fingerprint }) => fingerprint));
  const accepted = record.accepted.filter(({ fingerprint }) => !fingerprints.has(fingerprint));
  writeTrust(to, { ...record, accepted, revoked: [...record.revoked, ...later] });
  return [...fingerprints];
}
