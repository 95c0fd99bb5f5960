import { ACCEPT, APPEND, type Call, PUT } from '../batch.ts';

/** Why a call cannot be stored whatever the state of the database; undefined if it can be. */
export function faultOf(call: Call): string | undefined {
  if (call.kind === ACCEPT) return faultIn({ ...call.request, rowData: call.rowData });
  if (call.kind === APPEND) return faultIn(call.row);
  if (call.kind === PUT) return faultIn(call.row) ?? (call.own && faultIn(call.own));
  return undefined;
}

/** Types say what the values are; who calls from outside of them may not keep to that. */
function faultIn(values: object): string | undefined {
  for (const [name, value] of Object.entries(values)) {
    if (typeof value !== 'string' && !Number.isSafeInteger(value))
      return `${name} is neither a text nor a whole number`;
  }
  return undefined;
}
