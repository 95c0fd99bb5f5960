import { type CentreondError, isIdentity, reasonOf } from '@centreond/plugin-sdk';
import { z } from 'zod';
import { fault } from '../errors.ts';
import { readPrivateFile, writePrivateFile } from '../private-file.ts';
import { ROLES, type Role } from './peer.ts';

/** Who a key is, and what it may. Without `actions` or `targets` its roles alone decide. */
export interface Grant {
  readonly identity: string;
  /** RFC 7638 thumbprint of the key: the `cid` of a handshake. */
  readonly fingerprint: string;
  readonly roles: readonly Role[];
  readonly actions?: readonly string[] | undefined;
  readonly targets?: readonly string[] | undefined;
  readonly subnodes?: readonly string[] | undefined;
}

/** The `clients` part of the configuration. */
export interface ClientsConfig {
  readonly trust: 'strict' | 'pending';
  readonly authorized: readonly Grant[];
}

/** A key as `centreond keys list` shows it; times in milliseconds. */
export type TrustEntry =
  | {
      state: 'config' | 'accepted';
      fingerprint: string;
      identity: string;
      roles: readonly Role[];
    }
  | {
      state: 'revoked';
      fingerprint: string;
      identity?: string | undefined;
      at: number;
    }
  | ({ state: 'pending'; fingerprint: string } & Sighting);

interface Sighting {
  firstSeen: number;
  lastSeen: number;
  firstAddress: string;
  lastAddress: string;
  count: number;
}

const MAX_PENDING = 1000;

const Fingerprint = z.string().refine(isFingerprint);
const TrustFile = z.strictObject({
  version: z.literal(1),
  accepted: z.array(
    z.strictObject({
      identity: z.string().refine(isIdentity),
      fingerprint: Fingerprint,
      roles: z.array(z.enum(ROLES)).min(1),
      at: z.number(),
    }),
  ),
  revoked: z.array(
    z.strictObject({
      fingerprint: Fingerprint,
      identity: z.string().optional(),
      at: z.number(),
    }),
  ),
});
type TrustFile = z.output<typeof TrustFile>;

/** Whether `text` has the form of a fingerprint: canonical base64url of 32 bytes. */
export function isFingerprint(text: string): boolean {
  if (text.length !== 43) return false;
  const bytes = Buffer.from(text, 'base64url');
  return bytes.length === 32 && bytes.toString('base64url') === text;
}

function refusal(message: string): CentreondError {
  return fault('KEY_REFUSED', { reason: message });
}

/**
 * Which key is whom: the configuration, and in `file` what the operator accepted or revoked since. A revocation beats
 * everything, the configuration beats what was accepted. Needs no daemon. The constructor and {@link reload} throw
 * TRUST_FILE for a file that cannot be relied on, since a lost revocation would open the door.
 */
export class Trust {
  #config: readonly Grant[];
  #mode: ClientsConfig['trust'];
  #kept: TrustFile = { version: 1, accepted: [], revoked: [] };
  #byKey = new Map<string, Grant>();
  #byIdentity = new Map<string, Grant>();
  #warnings: string[] = [];
  readonly #unknown = new Map<string, Sighting>();
  readonly #listeners: ((grant: Grant) => void)[] = [];
  readonly #file: string;
  readonly #clock: { now(): number };

  constructor(options: {
    file: string;
    clients: ClientsConfig;
    clock?: { now(): number };
  }) {
    this.#file = options.file;
    this.#clock = options.clock ?? Date;
    this.#config = options.clients.authorized;
    this.#mode = options.clients.trust;
    this.reload();
  }

  /** What an unknown key meets: `strict` refuses it unseen, `pending` lists it first. */
  get mode(): ClientsConfig['trust'] {
    return this.#mode;
  }

  /** Contradictions between configuration and accepted keys, as sentences for the operator. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  /** The grant of a key, or undefined for one that is unknown or revoked. */
  lookup(cid: string): Grant | undefined {
    return this.#byKey.get(cid);
  }

  /** The grant of an identity as it is now. */
  grantOf(identity: string): Grant | undefined {
    return this.#byIdentity.get(identity);
  }

  /** Whether `node` is a node that may come by itself, or is listed behind one. */
  expects(node: string): boolean {
    if (this.#byIdentity.get(node)?.roles.includes('node')) return true;
    for (const { subnodes } of this.#byIdentity.values()) if (subnodes?.includes(node)) return true;
    return false;
  }

  /** Whether the key was revoked; such a one is never listed as pending. */
  isRevoked(cid: string): boolean {
    return this.#kept.revoked.some((entry) => entry.fingerprint === cid);
  }

  /** `listener` hears of each grant that ended or changed, at once; its live session has to end. */
  onRevoked(listener: (grant: Grant) => void): void {
    this.#listeners.push(listener);
  }

  /** Takes a new configuration. */
  configure(clients: ClientsConfig): void {
    this.#config = clients.authorized;
    this.#mode = clients.trust;
    this.#rebuild();
  }

  /** Reads `file` again, which another process may have written. */
  reload(): void {
    this.#kept = this.#read();
    this.#rebuild();
  }

  /**
   * Binds a key to an identity for good. The same key and identity again changes its roles. Throws KEY_REFUSED where
   * the identity has another key, the key another identity, the configuration already names the key, or a form is bad.
   */
  accept(request: { fingerprint: string; identity: string; roles: readonly Role[] }): Grant {
    const { fingerprint, identity } = request;
    const roles = [...new Set(request.roles)];
    if (!isFingerprint(fingerprint)) {
      throw refusal(
        `${fingerprint} is no fingerprint: it has 43 characters of A-Z a-z 0-9 - _ (\`centreond keys list\`).`,
      );
    }
    if (!isIdentity(identity)) {
      throw refusal(`${JSON.stringify(identity)} cannot be an identity: use 1 to 64 of A-Z a-z 0-9 . _ -, not . or ..`);
    }
    if (roles.length === 0 || !roles.every((role) => ROLES.includes(role))) {
      throw refusal(`${roles.join(', ') || 'No role'} will not do: give one or more of ${ROLES.join(', ')}.`);
    }
    this.reload();
    const holder = this.#byIdentity.get(identity);
    if (holder && holder.fingerprint !== fingerprint) {
      throw refusal(
        `${identity} already has the key ${holder.fingerprint}, and ${fingerprint} is another one. If the key was ` +
          `changed on purpose, run \`centreond keys revoke ${holder.fingerprint}\` first; if not, someone else claims to be ${identity}.`,
      );
    }
    const owned = this.#byKey.get(fingerprint);
    if (owned && owned.identity !== identity) {
      throw refusal(
        `The key ${fingerprint} is already ${owned.identity}. A key has one identity: give ${identity} its own.`,
      );
    }
    const configured = this.#config.find((grant) => grant.fingerprint === fingerprint);
    if (configured && (owned || configured.identity !== identity)) {
      throw refusal(
        `The configuration already names the key ${fingerprint}, as ${configured.identity}. Change it under clients.authorized.`,
      );
    }
    const others = <T extends { fingerprint: string }>(entries: T[]) =>
      entries.filter((entry) => entry.fingerprint !== fingerprint);
    this.#write({
      version: 1,
      // A revoked key that the configuration names comes back with what the configuration gives it.
      accepted: [
        ...others(this.#kept.accepted).filter((entry) => entry.identity !== identity),
        ...(configured ? [] : [{ identity, fingerprint, roles, at: this.#clock.now() }]),
      ],
      revoked: others(this.#kept.revoked),
    });
    const grant = this.#byKey.get(fingerprint);
    if (!grant) throw refusal(`The key ${fingerprint} was kept but is not in force: ${this.#warnings.join(' ')}`);
    return grant;
  }

  /** Ends a key for good, by fingerprint (known or not) or by identity. Throws KEY_REFUSED for what is neither. */
  revoke(which: string): {
    fingerprint: string;
    identity?: string | undefined;
  } {
    this.reload();
    const grant = this.#byKey.get(which) ?? this.#byIdentity.get(which);
    const fingerprint = grant?.fingerprint ?? which;
    const earlier = this.#kept.revoked.find((entry) => entry.fingerprint === which || entry.identity === which);
    if (!grant && earlier) return { fingerprint: earlier.fingerprint, identity: earlier.identity };
    if (!grant && !isFingerprint(which)) {
      throw refusal(`No key and no identity ${which} is known here. \`centreond keys list\` shows what there is.`);
    }
    const identity = grant?.identity;
    this.#write({
      version: 1,
      accepted: this.#kept.accepted.filter((entry) => entry.fingerprint !== fingerprint),
      revoked: [...this.#kept.revoked, { fingerprint, ...(identity && { identity }), at: this.#clock.now() }],
    });
    return { fingerprint, identity };
  }

  /** Every key that is known: in force, revoked, and seen but unknown. */
  list(): TrustEntry[] {
    const entries: TrustEntry[] = [];
    for (const grant of this.#byKey.values()) {
      const { fingerprint, identity, roles } = grant;
      entries.push({
        state: this.#config.includes(grant) ? 'config' : 'accepted',
        fingerprint,
        identity,
        roles,
      });
    }
    for (const entry of this.#kept.revoked) entries.push({ state: 'revoked', ...entry });
    for (const [fingerprint, sighting] of this.#unknown) entries.push({ state: 'pending', fingerprint, ...sighting });
    return entries;
  }

  /** Lists an unknown key that proved that it holds its private half. At most 1,000 are kept; the oldest drops. */
  seenUnknown(cid: string, address: string): void {
    const now = this.#clock.now();
    const known = this.#unknown.get(cid);
    if (known) {
      known.lastSeen = now;
      known.lastAddress = address;
      known.count++;
      return;
    }
    if (this.#unknown.size >= MAX_PENDING) {
      for (const oldest of this.#unknown.keys()) {
        this.#unknown.delete(oldest);
        break;
      }
    }
    this.#unknown.set(cid, {
      firstSeen: now,
      lastSeen: now,
      firstAddress: address,
      lastAddress: address,
      count: 1,
    });
  }

  #read(): TrustFile {
    const broken = (what: string) => fault('TRUST_FILE', { path: this.#file, what });
    const file = readPrivateFile(this.#file);
    if (!file) return { version: 1, accepted: [], revoked: [] };
    if ((file.mode & 0o022) !== 0) {
      throw broken(
        `can be changed by others (mode 0${file.mode.toString(8)}); run chmod 600 ${this.#file} once it is checked`,
      );
    }
    try {
      return TrustFile.parse(JSON.parse(file.text));
    } catch (error) {
      throw broken(`cannot be read as a trust file (${reasonOf(error)})`);
    }
  }

  #write(kept: TrustFile): void {
    writePrivateFile(this.#file, `${JSON.stringify(kept, null, 2)}\n`, true);
    this.#kept = kept;
    this.#rebuild();
  }

  #rebuild(): void {
    const before = this.#byKey;
    this.#byKey = new Map();
    this.#byIdentity = new Map();
    this.#warnings = [];
    const revoked = new Set(this.#kept.revoked.map((entry) => entry.fingerprint));
    for (const grant of this.#config) if (!revoked.has(grant.fingerprint)) this.#admit(grant, 'The configuration');
    for (const { at: _, ...grant } of this.#kept.accepted) {
      if (!revoked.has(grant.fingerprint)) this.#admit(grant, 'An accepted key');
    }
    for (const key of this.#byKey.keys()) this.#unknown.delete(key);
    for (const key of revoked) this.#unknown.delete(key);
    for (const [key, grant] of before) {
      const now = this.#byKey.get(key);
      if (now && sameGrant(now, grant)) continue;
      for (const listener of this.#listeners) listener(grant);
    }
  }

  /** One identity, one key: the first that claims either holds it. */
  #admit(grant: Grant, source: string): void {
    const { identity, fingerprint } = grant;
    const holder = this.#byIdentity.get(identity) ?? this.#byKey.get(fingerprint);
    if (!holder) {
      this.#byIdentity.set(identity, grant);
      this.#byKey.set(fingerprint, grant);
    } else if (holder.identity !== identity || holder.fingerprint !== fingerprint) {
      this.#warnings.push(
        `${source} names ${identity} with the key ${fingerprint}, but ${holder.identity} with ${holder.fingerprint} came first and stays; revoke one of them.`,
      );
    }
  }
}

function sameGrant(a: Grant, b: Grant): boolean {
  const text = (grant: Grant) =>
    JSON.stringify([grant.identity, grant.roles, grant.actions, grant.targets, grant.subnodes]);
  return text(a) === text(b);
}
