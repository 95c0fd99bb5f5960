/** codes.json: the table of error codes as data. */
import { ERROR_TABLE, isRetryable, isUnsure } from '@centreond/protocol';

/** The codes of refusals, in the order of PROTOCOL.md section 3. */
export const REFUSALS: readonly string[] =
  'MALFORMED_FRAME TOO_LARGE INVALID_DATA UNKNOWN_ACTION UNKNOWN_TARGET UNKNOWN_INSTANCE NODE_UNREACHABLE NODE_LACKS_ACTION FORBIDDEN TOKEN_REUSED NOT_READY BUSY STOPPING STORE_FAILED INTERNAL HANDSHAKE_REFUSED'.split(
    ' ',
  );
/** The codes of rows of code 1 alone. */
export const ENDS: readonly string[] =
  'PLUGIN_CRASHED PLUGIN_KILLED TIMEOUT CANCELLED INTERRUPTED OUTCOME_UNKNOWN INVALID_OUTPUT CALL_REFUSED ACTION_FAILED COMMAND_NOT_STARTED FILES_REFUSED FILES_OUT_OF_STEP FILES_INCOMPLETE UNKNOWN_ROUTER ROUTER_NOT_GONE ROUTER_NOT_TAKEN_OVER NO_CLUSTER'.split(
    ' ',
  );

/** Stands for a detail of a sentence: `‹name›`, whatever the sentence does with it. */
function placeholder(name: string): unknown {
  const text = `‹${name}›`;
  return new Proxy(
    {},
    {
      get(_, key) {
        if (key === 'length') return `‹number of ${name}›`;
        if (key === 'toString' || key === 'valueOf' || key === 'join' || key === 'replace' || key === 'slice') {
          return () => text;
        }
        if (key === 'map') return () => ({ join: () => text });
        if (key === Symbol.toPrimitive) return () => text;
        if (key === 'endsWith') return () => false;
        if (key === Symbol.iterator)
          return function* () {
            yield text;
          };
        return undefined;
      },
    },
  );
}

/** A sentence of an error table with ‹name› for each detail. */
export function sentenceOf(sentence: unknown): string {
  const details = new Proxy({}, { get: (_, key) => placeholder(String(key)) });
  return String((sentence as (details: object) => unknown)(details));
}

function placeOf(code: string): 'refusal' | 'row' | 'caller' {
  if (REFUSALS.includes(code)) return 'refusal';
  return ENDS.includes(code) ? 'row' : 'caller';
}

/** The SDK's table of errors, in its order. */
export function codes() {
  const entries = Object.entries(ERROR_TABLE).map(([code, sentence]) => {
    const [retryable, unsure] = [isRetryable(code), isUnsure(code)];
    return { code, where: placeOf(code), retryable, unsure, sentence: sentenceOf(sentence) };
  });
  return {
    note: 'The error codes of plugin-sdk/protocol/src/errors.ts. Written by `npm run docs`. A code is stable for ever: programs branch on it, people read its sentence, in which ‹…› stands for a detail. where: `refusal` in an ACK of code 1 (nothing was done; INVALID_DATA and FORBIDDEN also end requests), `row` in a terminal row of code 1, `caller` raised by the SDK itself and never sent as a refusal. retryable: the same request, sent again later, may be accepted. unsure: nobody knows whether the request was accepted; its token, sent again, tells.',
    codes: entries,
  };
}
