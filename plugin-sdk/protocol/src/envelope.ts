import { failure } from './errors.ts';
import { isIdentity, type JsonObject } from './frame.ts';

const HOPS_LIMIT = 8;

/** The envelope of a request: DATA's key `$`, checked. */
export interface CheckedEnvelope {
  readonly hold?: boolean;
  readonly deadline?: number;
  readonly traceparent?: string;
  readonly from?: string;
  readonly hops?: readonly string[];
  /** Its JSON text, to be kept with the request; empty where there was none. */
  readonly text: string;
}

const EMPTY: CheckedEnvelope = { text: '' };

/** Reads `$`. Throws INVALID_DATA where it is wrong, or says what only a router may. */
export function readEnvelope(value: unknown, fromRouter: boolean, action: string): CheckedEnvelope {
  if (value === undefined) return EMPTY;
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
  if (
    hops !== undefined &&
    (!Array.isArray(hops) || hops.length > HOPS_LIMIT || !hops.every((hop) => typeof hop === 'string'))
  ) {
    throw refuse(`key hops must be at most ${HOPS_LIMIT} node ids`);
  }
  return {
    ...(hold === undefined ? {} : { hold }),
    ...(deadline === undefined ? {} : { deadline }),
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(from === undefined ? {} : { from }),
    ...(hops === undefined ? {} : { hops: hops as string[] }),
    text: JSON.stringify(value),
  };
}
