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
  /** The digest of that token's K. */
  token: Sha256.exactOptional(),
  /** When it was changed last; absent where that is `at`. Later than all that was known of the key. */
  changed: z.number().exactOptional(),
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

const Mark = z.strictObject({ fingerprint: Sha256, at: z.number() });
const Spent = z.strictObject({
  /** The digest of the token's K. */
  token: Sha256,
  until: z.number(),
  /** An operator took it back: who joined with it elsewhere meanwhile is shut out. */
  withdrawn: z.literal(true).exactOptional(),
});

/**
 * The last three say what is over. Nothing is over because it is absent: an older copy of the file, or another router that has not
 * heard of it, could not bring it back otherwise.
 */
const TrustRecord = z.strictObject({
  version: z.literal(1),
  accepted: z.array(Accepted),
  revoked: z.array(Revoked),
  invited: z.array(Invited).default([]),
  /** Revocations that were taken back: of this key, made at that time. What was accepted of the key until then is over too. */
  lifted: z.array(Mark).default([]),
  /** What was accepted of the key until then gave way to another key. */
  dropped: z.array(Mark).default([]),
  /** Join tokens that were used, withdrawn or replaced. */
  spent: z.array(Spent).default([]),
});

/** What is kept of the operator's decisions, all in one file: a change of several parts is one rename. */
export type TrustRecord = z.output<typeof TrustRecord>;
export type AcceptedKey = z.output<typeof Accepted>;
export type RevokedKey = z.output<typeof Revoked>;
/** A moment in what is known of a key. */
export type KeyMark = z.output<typeof Mark>;
export type SpentToken = z.output<typeof Spent>;
/** A join token that is open, or was; times in milliseconds. */
export type Invitation = z.output<typeof Invited>;

export const NOBODY: TrustRecord = {
  ...{ version: 1, accepted: [], revoked: [], invited: [] },
  ...{ lifted: [], dropped: [], spent: [] },
};

/** Reads the text of a record. Throws a plain Error, which holds nothing of the text: it has secrets. */
export function parseTrust(text: string): TrustRecord {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch {
    // The engine's message quotes the text.
    throw new Error('it is not JSON');
  }
  return TrustRecord.parse(fields);
}

/** Reads the file. Throws TRUST_FILE for one that cannot be relied on, since a lost revocation would open the door. */
export function readTrust(path: string): TrustRecord {
  const broken = (what: string) => fault('TRUST_FILE', { path, what });
  const file = readPrivateFile(path);
  if (!file) return NOBODY;
  const remedy = `(mode 0${file.mode.toString(8)}); run chmod 600 ${path} once it is checked`;
  if ((file.mode & 0o022) !== 0) throw broken(`can be changed by others ${remedy}`);
  let record: TrustRecord;
  try {
    record = parseTrust(file.text);
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
  const isLater = (mark: KeyMark) =>
    later.some(({ fingerprint, at }) => fingerprint === mark.fingerprint && at === mark.at);
  const lifted = record.lifted.filter((mark) => !isLater(mark));
  writeTrust(to, { ...record, accepted, revoked: [...record.revoked, ...later], lifted });
  return [...fingerprints];
}
