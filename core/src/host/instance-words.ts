import type { Manifest } from '@centreond/plugin-sdk/internal';
import {
  type ErrorData,
  FAILED,
  FINISHED,
  faultOf,
  type Json,
  MAX_ROW_DEPTH,
  parseJson,
  ROW_ROOM,
} from '@centreond/protocol';

/** What an instance may write of a request that it runs, and how large: the checks of everything that enters from it. */
export class InstanceWords {
  readonly #codes: ReadonlySet<number>;
  readonly #limit: number;

  /** `maxMessage` in bytes: a row stays below it, so that every message that carries one row can be sent. */
  constructor({ codes }: Pick<Manifest, 'codes'>, maxMessage: number) {
    this.#codes = new Set([0, FAILED, FINISHED, ...Object.values(codes)]);
    this.#limit = maxMessage - ROW_ROOM;
  }

  /** What is wrong with a row, as the end of the sentence "it sent …"; else what it ends with, if it ends in an error. */
  check(code: number, data: string): { readonly fault: string } | { readonly error?: ErrorData } {
    if (!this.#codes.has(code)) return { fault: `a row of the code ${code}, which its manifest does not declare` };
    const bytes = data.length > this.#limit / 3 ? Buffer.byteLength(data) : data.length;
    if (bytes > this.#limit) return { fault: `a row of ${bytes} bytes, and ${this.#limit} are allowed` };
    let value: Json;
    try {
      value = parseJson(data) as Json;
    } catch {
      return { fault: `a row of code ${code} whose data is not JSON` };
    }
    const fault = faultOf(value, MAX_ROW_DEPTH);
    if (fault !== undefined) return { fault: `a row of code ${code} whose data ${fault}` };
    if (code !== FAILED) return {};
    return isErrorData(value) ? { error: value } : { fault: 'a row of code 1 without error and message' };
  }
}

function isErrorData(value: unknown): value is ErrorData {
  if (typeof value !== 'object' || value === null) return false;
  const { error, message } = value as { error?: unknown; message?: unknown };
  return typeof error === 'string' && typeof message === 'string';
}
