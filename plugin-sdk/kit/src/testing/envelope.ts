import { failure, isIdentity, type JsonObject } from '@centreond/protocol';

const HOPS_LIMIT = 8;

/** What of a request's `$` the router in memory goes by. */
export interface TestEnvelope {
  /** Whole seconds since the epoch. */
  readonly deadline?: number;
  /** For whom a router forwards. */
  readonly from?: string;
}

/** Reads `$` of a request. Throws INVALID_DATA where it is malformed, or says what only a router may. */
export function readEnvelope(value: unknown, fromRouter: boolean, action: string): TestEnvelope {
  if (value === undefined) return {};
  const refuse = (reason: string) => failure('INVALID_DATA', { action, reason: `its "$" ${reason}` });
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refuse('must be an object');
  const { hold, deadline, traceparent, from, hops, ...unknown } = value as JsonObject;
  const [extra] = Object.keys(unknown);
  if (extra !== undefined) throw refuse(`has the unknown key '${extra}'`);
  if (hold !== undefined && typeof hold !== 'boolean') throw refuse('key hold must be true or false');
  if (deadline !== undefined && (typeof deadline !== 'number' || !Number.isInteger(deadline) || deadline < 0)) {
    throw refuse('key deadline must be whole seconds since the epoch');
  }
  if (traceparent !== undefined && (typeof traceparent !== 'string' || traceparent.length > 128)) {
    throw refuse('key traceparent must be a short string');
  }
  if (!fromRouter && (from !== undefined || hops !== undefined)) throw refuse('keys from and hops are for routers');
  if (from !== undefined && (typeof from !== 'string' || !isIdentity(from.replace(/^@|^ROUTER\//, '')))) {
    throw refuse('key from must be an identity');
  }
  const areHops = Array.isArray(hops) && hops.length <= HOPS_LIMIT && hops.every((hop) => typeof hop === 'string');
  if (hops !== undefined && !areHops) throw refuse(`key hops must be at most ${HOPS_LIMIT} node ids`);
  return { ...(deadline !== undefined && { deadline }), ...(from !== undefined && { from }) };
}
