import { type Grant, ROLES, type Role } from '../router/peer.ts';
import {
  checkInvitation,
  type InvitationRequest,
  invitationOf,
  JOINED_ROLES,
  joinGrant,
  mayBeIdentity,
  newInvitation,
  oddIdentity,
  openInvitations,
  refusal,
} from './invitations.ts';
import { type Sighting, Sightings } from './sightings.ts';
import { type Invitation, isFingerprint, NOBODY, readTrust, type TrustRecord, writeTrust } from './trust-file.ts';
import { type Merged, mergeTrust, sameTrust } from './trust-merge.ts';
import { accepting, enrolling, inviting, renaming, revoking, withdrawing, withoutExpired } from './trust-record.ts';

export { joinGrant, LONGEST_INVITATION } from './invitations.ts';
export { type Invitation, isFingerprint } from './trust-file.ts';

/** The `clients` part of the configuration. */
export interface ClientsConfig {
  readonly trust: 'strict' | 'pending';
  readonly authorized: readonly Grant[];
}

/**
 * A key, or an open join token, as `centreond keys list` shows it; times in milliseconds. `joined` is a key that came
 * with a join token, which `by` made.
 */
export type TrustEntry =
  | { state: 'config'; fingerprint: string; identity: string; roles: readonly Role[] }
  | { state: 'accepted'; fingerprint: string; identity: string; roles: readonly Role[]; at: number }
  | { state: 'joined'; fingerprint: string; identity: string; roles: readonly Role[]; at: number; by: string }
  | { state: 'invited'; identity: string; roles: readonly Role[]; at: number; until: number; by: string }
  | { state: 'revoked'; fingerprint: string; identity?: string | undefined; at: number }
  | ({ state: 'pending'; fingerprint: string } & Sighting);

/**
 * Which key is whom: the configuration, and in `file` what the operator accepted or revoked since. A revocation beats
 * everything, the configuration beats what was accepted. Needs no daemon. The constructor and {@link reload} throw
 * TRUST_FILE for a file that cannot be relied on, since a lost revocation would open the door.
 */
export class Trust {
  #config: readonly Grant[];
  #mode: ClientsConfig['trust'];
  #kept = NOBODY;
  #byKey = new Map<string, Grant>();
  #byIdentity = new Map<string, Grant>();
  #warnings: string[] = [];
  /** What was taken of others and is not on disk. */
  #unsaved = NOBODY;
  readonly #unknown = new Sightings();
  readonly #listeners: ((grant: Grant) => void)[] = [];
  readonly #onWritten: (() => void)[] = [];
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

  /** The identities of all nodes that may come by themselves. */
  nodes(): string[] {
    return [...this.#byIdentity.values()].flatMap(({ identity, roles }) => (roles.includes('node') ? [identity] : []));
  }

  /** Whether the key was revoked; such a one is never listed as pending. */
  isRevoked(cid: string): boolean {
    return this.#kept.revoked.some((entry) => entry.fingerprint === cid);
  }

  /** `listener` hears of each grant that ended or changed, at once; its live session has to end. */
  onRevoked(listener: (grant: Grant) => void): void {
    this.#listeners.push(listener);
  }

  /** `listener` is called once a decision made here is on disk; not for what was taken of others. It must not throw. */
  onWritten(listener: () => void): void {
    this.#onWritten.push(listener);
  }

  /**
   * Takes what other routers decided: has it come together with what is in the file, and in force at once. Throws TRUST_FILE, or the
   * system's error where the file cannot be written; call it again then.
   */
  take(others: TrustRecord): Merged {
    const own = readTrust(this.#file);
    const merged = mergeTrust(own, this.#withUnsaved(others), this.#clock.now());
    this.#kept = merged.record;
    this.#unsaved = merged.record;
    // Whoever was shut out elsewhere is shut out here, even if the disk is full.
    this.#rebuild();
    if (!sameTrust(own, merged.record)) writeTrust(this.#file, merged.record);
    this.#unsaved = NOBODY;
    return merged;
  }

  /** Takes a new configuration. */
  configure(clients: ClientsConfig): void {
    this.#config = clients.authorized;
    this.#mode = clients.trust;
    this.#rebuild();
  }

  /** Reads `file` again, which another process may have written. */
  reload(): void {
    this.#kept = this.#withUnsaved(readTrust(this.#file));
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
    if (!mayBeIdentity(identity)) throw refusal(oddIdentity(identity));
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
    const isConfigured = configured !== undefined;
    this.#write(accepting(this.#kept, { fingerprint, identity, roles }, isConfigured, this.#clock.now()));
    return this.#inForce(fingerprint);
  }

  /**
   * Makes a join token for `identity` and says until when it is open; an older one of that identity is void then. Throws
   * KEY_REFUSED where the identity is known already, a form is bad, or too many are open.
   */
  invite(request: InvitationRequest): { token: string; until: number } {
    checkInvitation(request);
    this.reload();
    const obstacle = this.#identityObstacle(request.identity);
    if (obstacle) throw refusal(obstacle);
    const others = this.#open().filter((open) => open.identity !== request.identity);
    const { token, invitation } = newInvitation(request, others.length, this.#clock.now());
    this.#write(inviting(this.#kept, invitation));
    return { token, until: invitation.until };
  }

  /** The open invitation whose token made the HMAC of a HELO. */
  invitationOf(hello: { readonly body: Buffer; readonly mac: Buffer | undefined }): Invitation | undefined {
    return invitationOf(hello, this.#open());
  }

  /** Why the key cannot take an invitation up, or undefined. */
  obstacleTo({ identity }: Invitation, fingerprint: string): string | undefined {
    if (this.isRevoked(fingerprint)) return `The key ${fingerprint} was revoked; the machine needs a new one.`;
    const owned = this.#byKey.get(fingerprint);
    if (owned) return `The key ${fingerprint} is already ${owned.identity}.`;
    return this.#identityObstacle(identity);
  }

  /**
   * Takes an invitation up: its token is spent and the key bound to its identity, in one write. Throws KEY_REFUSED where
   * the token is no longer open, or the key or the identity became known meanwhile; then nothing changed.
   */
  enrol(invitation: Invitation, fingerprint: string): Grant {
    this.reload();
    const open = this.#open().find(({ key }) => key === invitation.key);
    if (!open)
      throw refusal(`The join token of ${invitation.identity} was used, withdrawn or replaced, or is too old.`);
    const obstacle = this.obstacleTo(open, fingerprint);
    if (obstacle) throw refusal(obstacle);
    this.#write(enrolling(this.#kept, open, joinGrant(open, fingerprint), this.#clock.now()));
    return this.#inForce(fingerprint);
  }

  /**
   * Ends a key for good, by fingerprint (known or not) or by identity, and withdraws the identity's join token. Throws
   * KEY_REFUSED for what is neither. `fingerprint` is absent where there was a token only.
   */
  revoke(which: string): { fingerprint?: string; identity?: string | undefined; withdrawn?: boolean } {
    this.reload();
    const withdrawn = this.#open().some(({ identity }) => identity === which);
    const grant = this.#byKey.get(which) ?? this.#byIdentity.get(which);
    const fingerprint = grant?.fingerprint ?? which;
    if (!grant && withdrawn) {
      this.#write(withdrawing(this.#kept, which));
      return { identity: which, withdrawn };
    }
    const earlier = this.#kept.revoked.find((entry) => entry.fingerprint === which || entry.identity === which);
    if (!grant && earlier) return { fingerprint: earlier.fingerprint, identity: earlier.identity };
    if (!grant && !isFingerprint(which)) {
      throw refusal(`No key and no identity ${which} is known here. \`centreond keys list\` shows what there is.`);
    }
    const identity = grant?.identity;
    this.#write(revoking(this.#kept, fingerprint, identity, this.#clock.now()));
    return { fingerprint, identity };
  }

  /**
   * Why the grant of an identity cannot be changed here, or undefined: there is none, or the configuration gives it.
   */
  obstacleToChange(identity: string): string | undefined {
    if (this.#config.some((grant) => grant.identity === identity)) {
      return `the config file names ${identity}, under clients.authorized. Change it there, and send the daemon SIGHUP`;
    }
    const isKnown = this.#byIdentity.has(identity) || this.#open().some((open) => open.identity === identity);
    return isKnown ? undefined : `no key of ${identity} has been let in; \`centreond keys list\` shows what there is`;
  }

  /**
   * Gives the key of `identity`, with all that it may, to the identity `to`. Throws KEY_REFUSED where that is known already or cannot
   * be one, or for {@link obstacleToChange}.
   */
  rename(identity: string, to: string): Grant {
    this.reload();
    const entry = this.#kept.accepted.find((one) => one.identity === identity);
    const obstacle = this.obstacleToChange(identity) ?? this.#identityObstacle(to);
    if (obstacle) throw refusal(obstacle);
    if (!mayBeIdentity(to)) throw refusal(oddIdentity(to));
    if (!entry) throw refusal(`${identity} has no key yet: withdraw its join token, and make one for ${to}.`);
    this.#write(renaming(this.#kept, entry, to, this.#clock.now()));
    return this.#inForce(entry.fingerprint);
  }

  /** Every key that is known: in force, revoked, and seen but unknown; and the join tokens that are open. */
  list(): TrustEntry[] {
    const entries: TrustEntry[] = [];
    for (const grant of this.#byKey.values()) {
      const { fingerprint, identity, roles } = grant;
      const key = { fingerprint, identity, roles };
      const kept = this.#config.includes(grant)
        ? undefined
        : this.#kept.accepted.find((entry) => entry.fingerprint === fingerprint);
      if (!kept) entries.push({ state: 'config', ...key });
      else if (kept.invitedBy === undefined) entries.push({ state: 'accepted', ...key, at: kept.at });
      else entries.push({ state: 'joined', ...key, at: kept.at, by: kept.invitedBy });
    }
    for (const { identity, at, until, by } of this.#open()) {
      entries.push({ state: 'invited', identity, roles: JOINED_ROLES, at, until, by });
    }
    // One that was revoked on two routers at the same time is so twice.
    for (const [entry] of Map.groupBy(this.#kept.revoked, (one) => one.fingerprint).values()) {
      if (entry) entries.push({ state: 'revoked', ...entry });
    }
    for (const [fingerprint, sighting] of this.#unknown.list())
      entries.push({ state: 'pending', fingerprint, ...sighting });
    return entries;
  }

  /** Lists an unknown key that proved that it holds its private half. At most 1,000 are kept; the oldest drops. */
  seenUnknown(cid: string, address: string): void {
    this.#unknown.seen(cid, address, this.#clock.now());
  }

  /** The join tokens that are open now. */
  #open(): Invitation[] {
    return openInvitations(this.#kept.invited, this.#clock.now());
  }

  /** Why nobody can join as `identity`, or undefined. */
  #identityObstacle(identity: string): string | undefined {
    const holder = this.#byIdentity.get(identity);
    if (holder) {
      return (
        `${identity} already has the key ${holder.fingerprint}. If that machine is to have a new key, run ` +
        `\`centreond keys revoke ${holder.fingerprint}\` first.`
      );
    }
    const configured = this.#config.find((grant) => grant.identity === identity);
    return configured && `The configuration names ${identity} already. Take it out of clients.authorized first.`;
  }

  #inForce(fingerprint: string): Grant {
    const grant = this.#byKey.get(fingerprint);
    if (!grant) throw refusal(`The key ${fingerprint} was kept but is not in force: ${this.#warnings.join(' ')}`);
    return grant;
  }

  #withUnsaved(record: TrustRecord): TrustRecord {
    return this.#unsaved === NOBODY ? record : mergeTrust(record, this.#unsaved, this.#clock.now()).record;
  }

  #write(record: TrustRecord): void {
    const kept = withoutExpired(record, this.#clock.now());
    writeTrust(this.#file, kept);
    this.#unsaved = NOBODY;
    this.#kept = kept;
    this.#rebuild();
    for (const listener of this.#onWritten) listener();
  }

  #rebuild(): void {
    const before = this.#byKey;
    this.#byKey = new Map();
    this.#byIdentity = new Map();
    this.#warnings = [];
    const revoked = new Set(this.#kept.revoked.map((entry) => entry.fingerprint));
    for (const grant of this.#config) if (!revoked.has(grant.fingerprint)) this.#admit(grant, 'The configuration');
    for (const { identity, fingerprint, roles, subnodes } of this.#kept.accepted) {
      const grant = { identity, fingerprint, roles, ...(subnodes && { subnodes }) };
      if (!revoked.has(fingerprint)) this.#admit(grant, 'An accepted key');
    }
    for (const key of [...this.#byKey.keys(), ...revoked]) this.#unknown.forget(key);
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
