import { type CentreondError, failure, type JsonObject, parseJson } from '@centreond/protocol';
import type { RequestRecord } from '../store/token-store.ts';

/**
 * Why `asked` is no repeat of `known`, which has the same token: FORBIDDEN or TOKEN_REUSED; undefined if it is one. `id` is this
 * router's, `forAll` says whether `identity`, which asks, may repeat the requests of others.
 */
export function repeatFault(
  id: string,
  forAll: boolean,
  identity: string,
  asked: RequestRecord,
  known: RequestRecord,
): CentreondError | undefined {
  const { token, owner, action, target, data } = known;
  if (owner !== asked.owner && !forAll) {
    const remedy = 'It belongs to another identity. Choose a new token.';
    return failure('FORBIDDEN', { identity, what: `use the token ${token}`, remedy });
  }
  if (action === asked.action && sameTarget(target, asked.target, id) && sameJson(data, asked.data)) return undefined;
  return failure('TOKEN_REUSED', { token, action });
}

/** Whether two TARGETs name the same node; the empty one is the router `id`. */
export function sameTarget(a: string, b: string, id: string): boolean {
  return (a === '' ? id : a) === (b === '' ? id : b);
}

/** Whether two JSON texts say the same: the order of keys does not matter. */
function sameJson(a: string, b: string): boolean {
  return a === b || sameValue(parseJson(a), parseJson(b));
}

function sameValue(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && sameValue((a as JsonObject)[key], (b as JsonObject)[key]))
  );
}
