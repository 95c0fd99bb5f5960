/**
 * Checks a run of a cluster afterwards: what clients were told at each router, what really ran, and what the database has, with who
 * wrote it and when. It knows no daemon: a test hands in its evidence. What holds of one router as well is in ../history/checker.ts.
 */
import {
  type Event as CommonEvent,
  type Fault as CommonFault,
  type StoredRow as CommonRow,
  faultsOfShown,
  violationsOf as violationsOfOne,
} from '../history/checker.ts';
import type { Event } from './history.ts';

/** A row as the database has it at the end. `router` and `process` wrote it, at `at`. */
export interface StoredRow extends CommonRow {
  readonly router: string;
  /** One start of a router: `ROUTER.NUMBER`. */
  readonly process: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** What the database saw, in the order in which it did. `by` is a process, as {@link StoredRow.process}. */
export type Seen =
  /** The fence of `router` was raised. */
  | { readonly kind: 'fence'; readonly router: string; readonly by: string }
  /** A row was written. */
  | { readonly kind: 'write'; readonly token: string; readonly by: string };

/** What a router answered to GETLOG at the end. */
export interface Told {
  readonly router: string;
  readonly rows: readonly { readonly id: number; readonly token: string; readonly code: number }[];
}

export interface Evidence {
  readonly events: readonly Event[];
  /** All rows of these tokens, by ascending id. */
  readonly rows: readonly StoredRow[];
  /** How often each token really ran, over all routers and nodes. */
  readonly runs: ReadonlyMap<string, number>;
  readonly seen: readonly Seen[];
  readonly told: readonly Told[];
}

/** What is wrong with a token. */
export type Fault =
  | CommonFault
  | 'accepted twice'
  | 'ended too late after the death of its router'
  | 'the end was not shown'
  | 'a follower was refused'
  | 'written by a router after its fence'
  | 'a router tells other rows than there are';

export interface Violation {
  readonly token: string;
  readonly fault: Fault;
  /** The follower, router or process that it is about. */
  readonly who?: string;
}

/** Within so long after the death of its router each token has ended. */
export const ENDED_MS = 15_000;

/** What of the promises of a cluster the evidence contradicts. */
export function violationsOf({ events, rows, runs, seen, told }: Evidence, endedMs = ENDED_MS): Violation[] {
  const stored = Map.groupBy(rows, ({ token }) => token);
  const found: Violation[] = violationsOfOne({ events: events.flatMap((one) => common(one) ?? []), rows, runs });
  const deaths = events.filter(({ kind }) => kind === 'death');
  const targeted = targetedIn(events);
  for (const [token, ofToken] of stored) {
    if (ofToken.filter(isAcceptance).length > 1) found.push({ token, fault: 'accepted twice' });
    const took = afterDeath(ofToken, deaths, targeted.has(token), endedMs);
    if (took !== undefined && took > endedMs)
      found.push({ token, fault: 'ended too late after the death of its router' });
  }
  found.push(...faultsOfFollowers(events, stored), ...faultsOfFences(seen), ...faultsOfTold(told, stored));
  return found;
}

/** How long each token that was open at the death of its router was open after that, in milliseconds. */
export function timesAfterDeath({ events, rows }: Evidence): number[] {
  const deaths = events.filter(({ kind }) => kind === 'death');
  const targeted = targetedIn(events);
  return [...Map.groupBy(rows, ({ token }) => token)].flatMap(
    ([token, ofToken]) => afterDeath(ofToken, deaths, targeted.has(token), ENDED_MS) ?? [],
  );
}

/** An event of one token as it is for one router; undefined for what followers were shown, and for deaths. */
function common(event: Event): CommonEvent | undefined {
  switch (event.kind) {
    case 'invoke':
      return { kind: 'invoke', token: event.token, once: event.once };
    case 'fail':
      return { kind: 'fail', token: event.token, code: event.code };
    case 'ok':
    case 'unknown':
      return { kind: event.kind, token: event.token };
    default:
      return undefined;
  }
}

/** Tokens whose requests were for nodes. */
function targetedIn(events: readonly Event[]): Set<string> {
  return new Set(events.flatMap((event) => (event.kind === 'invoke' && event.target !== '' ? event.token : [])));
}

const isTerminal = ({ code }: { readonly code: number }) => code === 1 || code === 2;
const isAcceptance = ({ code, origin }: StoredRow) => code === 0 && origin === null;

/**
 * How long after the death that concerns it a token ended; undefined where none does. That is the death of the router that accepted
 * it, of any router for a request to a node, and then of whoever may have taken it over.
 */
function afterDeath(
  rows: readonly StoredRow[],
  deaths: readonly Event[],
  isTargeted: boolean,
  endedMs: number,
): number | undefined {
  const accepted = rows.find(isAcceptance);
  const end = rows.find(isTerminal);
  if (!accepted || !end) return undefined;
  let last: number | undefined;
  for (const { at, router } of deaths) {
    if (at < accepted.at || at > end.at) continue;
    const concerns = last === undefined ? isTargeted || router === accepted.router : at <= last + endedMs;
    if (concerns) last = at;
  }
  return last === undefined ? undefined : end.at - last;
}

function* faultsOfFollowers(
  events: readonly Event[],
  stored: ReadonlyMap<string, readonly StoredRow[]>,
): Generator<Violation> {
  const all = events.filter((event) => 'follower' in event);
  for (const [who, ofFollower] of Map.groupBy(all, ({ follower }) => follower)) {
    const [first] = ofFollower;
    if (!first) continue;
    const { token } = first;
    const rows = stored.get(token) ?? [];
    const shown = ofFollower.filter((event) => event.kind === 'row');
    for (const fault of faultsOfShown(shown, rows)) yield { token, fault, who };
    if (ofFollower.some((event) => event.kind === 'followed' && event.code !== undefined))
      yield { token, fault: 'a follower was refused', who };
    if (shown.some(isTerminal) || !rows.some(isTerminal)) continue;
    yield { token, fault: 'the end was not shown', who };
    const ids = new Set(shown.map(({ id }) => id));
    const last = Math.max(...ids);
    if (rows.some(({ id }) => id < last && !ids.has(id))) yield { token, fault: 'a row was not shown', who };
  }
}

/** The id of the router of which a process is one start. */
export function routerOf(process: string): string {
  return process.slice(0, process.lastIndexOf('.'));
}

function* faultsOfFences(seen: readonly Seen[]): Generator<Violation> {
  /** Which process of each router may write; '' for none. */
  const holders = new Map<string, string>();
  for (const one of seen) {
    const { by: who } = one;
    if (one.kind === 'fence') {
      holders.set(one.router, routerOf(who) === one.router ? who : '');
      continue;
    }
    const holder = holders.get(routerOf(who));
    if (holder !== undefined && holder !== who)
      yield { token: one.token, fault: 'written by a router after its fence', who };
  }
}

function* faultsOfTold(told: readonly Told[], stored: ReadonlyMap<string, readonly StoredRow[]>): Generator<Violation> {
  for (const { router: who, rows } of told) {
    const byToken = Map.groupBy(rows, ({ token }) => token);
    for (const token of new Set([...byToken.keys(), ...stored.keys()])) {
      const line = (all: readonly { id: number; code: number }[] = []) => all.map(({ id, code }) => `${id} ${code}`);
      if (line(byToken.get(token)).join() !== line(stored.get(token)).join())
        yield { token, fault: 'a router tells other rows than there are', who };
    }
  }
}
