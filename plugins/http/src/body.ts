import { reasonOf } from '@centreond/plugin-sdk';
import { parseJson } from '@centreond/protocol';
import { refusal } from './failure.ts';

/** The JSON of a body, whatever its content type says; undefined for an empty one. Throws MALFORMED_BODY. */
export function parseBody(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return parseJson(text);
  } catch (error) {
    throw refusal('MALFORMED_BODY', { reason: `it is no JSON (${reasonOf(error)})` });
  }
}
