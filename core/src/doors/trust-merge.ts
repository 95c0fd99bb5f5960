import type { AcceptedKey, Invitation, KeyMark, RevokedKey, SpentToken, TrustRecord } from './trust-file.ts';
import { changeOf, dropOf, rememberedSpent, sameEntry, textOf, tokenOf } from './trust-record.ts';

/** So long after its time a join token still counts, as one that is not open: a clock of another router may be behind. */
const EXPIRED_MS = 24 * 3600 * 1000;

export interface Merged {
  readonly record: TrustRecord;
  /** Decisions of two routers that exclude each other, and which one stands, as sentences for the operator. */
  readonly warnings: readonly string[];
}

/**
 * What two routers know comes together, whichever is asked first. What either says is over is over. A revocation beats an acceptance
 * that was not made over it. Of two changes of a key the later stands, of two keys for an identity or a join token the earlier.
 */
export function mergeTrust(a: TrustRecord, b: TrustRecord, now: number): Merged {
  const lifted = unique([...a.lifted, ...b.lifted], markText);
  const isLifted = new Set(lifted.map(markText));
  const revoked = unique([...a.revoked, ...b.revoked], markText).filter((one) => !isLifted.has(markText(one)));
  const spent = rememberedSpent(mergedSpent([...a.spent, ...b.spent]), now);
  const marks = latestMarks([...a.dropped, ...b.dropped]);
  const warnings: string[] = [];
  const alive = living([...a.accepted, ...b.accepted], { revoked, lifted, marks, spent }, warnings);
  const { accepted, dropped } = oneKeyEach(alive, warnings);
  for (const { fingerprint, at } of dropped) marks.set(fingerprint, at);
  const invited = unique([...a.invited, ...b.invited], ({ key }) => key).filter(
    ({ until }) => now < until + EXPIRED_MS,
  );
  const open = oneTokenEach(invited, accepted, spent);
  const record: TrustRecord = {
    version: 1,
    accepted,
    revoked: revoked.sort(byTime),
    invited: open.invited,
    lifted: lifted.sort(byTime),
    dropped: [...marks].map(([fingerprint, at]) => ({ fingerprint, at })).sort(byTime),
    spent: mergedSpent([...spent, ...open.spent]).sort((x, y) => x.until - y.until || order(x.token, y.token)),
  };
  return { record, warnings };
}

/** Whether two records say the same, in whichever order. */
export function sameTrust(a: TrustRecord, b: TrustRecord): boolean {
  return (
    sameList(a.accepted, b.accepted, ({ fingerprint }) => fingerprint) &&
    sameList(a.revoked, b.revoked, markText) &&
    sameList(a.invited, b.invited, ({ key }) => key) &&
    sameList(a.lifted, b.lifted, markText) &&
    sameList(a.dropped, b.dropped, markText) &&
    sameList(a.spent, b.spent, ({ token }) => token)
  );
}

function sameList<T extends object>(a: readonly T[], b: readonly T[], keyOf: (entry: T) => string): boolean {
  if (a.length !== b.length) return false;
  const others = new Map(b.map((entry) => [keyOf(entry), entry]));
  // One that is there twice hides another.
  if (others.size !== b.length) return false;
  return a.every((entry) => {
    const other = others.get(keyOf(entry));
    return other !== undefined && sameEntry(entry, other);
  });
}

/** What is over, by which acceptances are judged. */
interface Over {
  readonly revoked: readonly RevokedKey[];
  readonly lifted: readonly KeyMark[];
  readonly marks: ReadonlyMap<string, number>;
  readonly spent: readonly SpentToken[];
}

/** The acceptances that nothing stands against, one for each key. */
function living(entries: readonly AcceptedKey[], over: Over, warnings: string[]): AcceptedKey[] {
  const shut = new Set(over.revoked.map(({ fingerprint }) => fingerprint));
  const lifts = latestMarks(over.lifted);
  const withdrawn = new Set(over.spent.flatMap((one) => (one.withdrawn ? [one.token] : [])));
  const alive = new Map<string, AcceptedKey>();
  for (const entry of entries) {
    const { fingerprint, identity, token } = entry;
    const since = Math.max(lifts.get(fingerprint) ?? 0, over.marks.get(fingerprint) ?? 0);
    if (shut.has(fingerprint) || changeOf(entry) <= since) continue;
    if (token !== undefined && withdrawn.has(token)) {
      warnings.push(
        `${identity} joined with the key ${fingerprint} by a token that was withdrawn meanwhile on another router; the key is shut out.`,
      );
      continue;
    }
    const known = alive.get(fingerprint);
    if (known && sameEntry(known, entry)) continue;
    const later = known && (changeOf(entry) - changeOf(known) || order(textOf(known), textOf(entry)));
    if (later === undefined || later > 0) alive.set(fingerprint, entry);
  }
  return [...alive.values()].sort(byTime);
}

/** One identity, one key; one join token, one key. `entries` are in the order of their times: the first that claims either holds it. */
function oneKeyEach(
  entries: readonly AcceptedKey[],
  warnings: string[],
): { accepted: AcceptedKey[]; dropped: KeyMark[] } {
  const holders = new Map<string, AcceptedKey>();
  const accepted: AcceptedKey[] = [];
  const dropped: KeyMark[] = [];
  for (const entry of entries) {
    const { identity, fingerprint, token } = entry;
    const claims = [`identity ${identity}`, ...(token === undefined ? [] : [`token ${token}`])];
    const holder = claims.map((claim) => holders.get(claim)).find(Boolean);
    if (!holder) {
      accepted.push(entry);
      for (const claim of claims) holders.set(claim, entry);
      continue;
    }
    dropped.push(dropOf(entry));
    warnings.push(
      `Two routers let a key in ${holder.identity === identity ? `as ${identity}` : 'by one join token'} at the same time: ` +
        `${holder.fingerprint}, as ${holder.identity}, came first and stays; ${fingerprint}, as ${identity}, is shut out. ` +
        `If it is the right one, run \`centreond keys revoke ${holder.fingerprint}\` and let it in again.`,
    );
  }
  return { accepted, dropped };
}

/** One identity, one join token: the latest, and none where the identity has a key. */
function oneTokenEach(
  invited: readonly Invitation[],
  accepted: readonly AcceptedKey[],
  spent: readonly SpentToken[],
): { invited: Invitation[]; spent: SpentToken[] } {
  const taken = new Set(accepted.map(({ identity }) => identity));
  const gone = new Set(spent.map(({ token }) => token));
  const kept: Invitation[] = [];
  const over: SpentToken[] = [];
  const latestFirst = [...invited].sort((x, y) => y.at - x.at || order(x.key, y.key));
  for (const invitation of latestFirst) {
    const token = tokenOf(invitation);
    if (gone.has(token)) continue;
    if (taken.has(invitation.identity)) over.push({ token, until: invitation.until });
    else kept.push(invitation);
    taken.add(invitation.identity);
  }
  return { invited: kept.reverse(), spent: over };
}

/** A token that was withdrawn anywhere is withdrawn. */
function mergedSpent(spent: readonly SpentToken[]): SpentToken[] {
  const tokens = new Map<string, SpentToken>();
  for (const one of spent) {
    const known = tokens.get(one.token);
    const withdrawn = (one.withdrawn ?? known?.withdrawn) && { withdrawn: true as const };
    tokens.set(one.token, { token: one.token, until: Math.max(one.until, known?.until ?? 0), ...withdrawn });
  }
  return [...tokens.values()];
}

function latestMarks(marks: readonly KeyMark[]): Map<string, number> {
  const latest = new Map<string, number>();
  for (const { fingerprint, at } of marks) latest.set(fingerprint, Math.max(at, latest.get(fingerprint) ?? 0));
  return latest;
}

function markText({ fingerprint, at }: KeyMark): string {
  return `${fingerprint} ${at}`;
}

/** The first by its text of those that have the same `key`. */
function unique<T extends object>(entries: readonly T[], keyOf: (entry: T) => string): T[] {
  const kept = new Map<string, T>();
  for (const entry of entries) {
    const key = keyOf(entry);
    const known = kept.get(key);
    if (known && sameEntry(entry, known)) continue;
    if (!known || order(textOf(entry), textOf(known)) < 0) kept.set(key, entry);
  }
  return [...kept.values()];
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function byTime(a: KeyMark, b: KeyMark): number {
  return a.at - b.at || order(a.fingerprint, b.fingerprint);
}
