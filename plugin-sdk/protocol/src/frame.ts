import { isAscii, isUtf8 } from 'node:buffer';
import { CentreondError, failure } from './errors.ts';
import { parseJson, skipSpaces, stringEnd } from './json.ts';

/** A JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
/** A JSON object: what DATA is. */
export type JsonObject = { [key: string]: Json };

/** `[ACTION] [TOKEN] [TARGET] DATA`, taken apart. `data` is JSON text, `''` standing for `{}`. */
export interface Message {
  action: string;
  token: string;
  target: string;
  data: string;
}

/** A frame that does not parse. `token` is what to echo: the TOKEN where it could be read, else `''`. */
export class FrameError extends CentreondError {
  constructor(
    reason: string,
    readonly token: string,
  ) {
    super('MALFORMED_FRAME', failure('MALFORMED_FRAME', { reason }).message);
  }
}

/** DATA has more keys and elements than a request may have. */
export class TooManyElements extends Error {
  constructor(limit: number) {
    super(`it has more than ${limit} keys and elements`);
  }
}

/** DATA may nest this deep; the object itself is level 1. */
export const MAX_DEPTH = 32;
/** Keys and elements that DATA of a request may have in all. */
export const MAX_ELEMENTS = 50_000;
/** What links say to each other: pages, which are bounded by rows and bytes and not by {@link MAX_ELEMENTS}. */
export const LINK_ACTIONS: ReadonlySet<string> = new Set(['SETLOGS', 'REGISTERNODE', 'ANNOUNCE']);
/** A row's data may nest this deep, so that every message that carries rows stays within MAX_DEPTH. */
export const MAX_ROW_DEPTH = 28;
/** A row's data stays so many bytes below the largest message, so that each message that carries one row can be sent. */
export const ROW_ROOM = 2048;

// JSON.parse takes seconds for megabytes of brackets within one another; a short text cannot hurt and is not scanned.
const SCANNED_LENGTH = 4096;
const ACTION_LIMIT = 64;
const TOKEN_LIMIT = 255;
const TARGET_LIMIT = 64;

const UPPER = 1;
const LOWER = 2;
const DIGIT = 4;
const DOT = 8;
const COLON = 16;
const DASH = 32; // also underscore
const CLASS = new Uint8Array(128);
for (let c = 65; c <= 90; c++) CLASS[c] = UPPER;
for (let c = 97; c <= 122; c++) CLASS[c] = LOWER;
for (let c = 48; c <= 57; c++) CLASS[c] = DIGIT;
CLASS[46] = DOT;
CLASS[58] = COLON;
CLASS[45] = DASH;
CLASS[95] = DASH;

const ACTION_CHARS = UPPER | DIGIT | DASH;
const TARGET_CHARS = UPPER | LOWER | DIGIT | DOT | DASH;
const TOKEN_CHARS = TARGET_CHARS | COLON;

function consistsOf(text: string, from: number, to: number, allowed: number): boolean {
  for (let i = from; i < to; i++) {
    const c = text.charCodeAt(i);
    if (c > 127 || ((CLASS[c] as number) & allowed) === 0) return false;
  }
  return true;
}

/** Whether `text` can be an ACTION. */
export function isAction(text: string): boolean {
  return (
    text.length > 0 &&
    text.length <= ACTION_LIMIT &&
    CLASS[text.charCodeAt(0)] === UPPER &&
    consistsOf(text, 0, text.length, ACTION_CHARS)
  );
}
/** Whether `text` can be a TOKEN (the empty one too). */
export function isToken(text: string): boolean {
  return text.length <= TOKEN_LIMIT && consistsOf(text, 0, text.length, TOKEN_CHARS);
}
/** Whether `text` can be a TARGET (the empty one too). */
export function isTarget(text: string): boolean {
  return text.length <= TARGET_LIMIT && consistsOf(text, 0, text.length, TARGET_CHARS);
}
/** Whether `text` can be a client's or node's identity: a non-empty target that is not `.` or `..`. */
export function isIdentity(text: string): boolean {
  return text.length > 0 && isTarget(text) && text !== '.' && text !== '..';
}

/** The text of a frame. Throws {@link FrameError} unless it is strict UTF-8. */
export function decodeText(bytes: Buffer): string {
  // Most are ASCII, whose bytes are copied as they are.
  if (isAscii(bytes)) return bytes.toString('latin1');
  if (!isUtf8(bytes)) throw new FrameError('it is not UTF-8', '');
  return bytes.toString('utf8');
}

/** The position after `[part]` that starts at `at`, or -1. */
function partEnd(text: string, at: number): number {
  return text.charCodeAt(at) === 91 ? text.indexOf(']', at + 1) : -1;
}

/**
 * Parses a request. One linear scan, no backtracking; DATA stays text (see {@link parseData}).
 * The `[TYPE] [ID]` form of KILL becomes `{"type","id"}`. Throws {@link FrameError}.
 */
export function parseMessage(text: string): Message {
  const a = partEnd(text, 0);
  if (a < 0) throw new FrameError('it does not start with [ACTION]', '');
  const action = text.slice(1, a);
  const t = text.charCodeAt(a + 1) === 32 ? partEnd(text, a + 2) : -1;
  const token = t < 0 ? '' : text.slice(a + 3, t);
  const tokenIsSound = t >= 0 && isToken(token);
  const echo = tokenIsSound ? token : '';
  if (!isAction(action)) throw new FrameError('ACTION must be a capital letter and up to 63 of A-Z 0-9 _ -', echo);
  if (t < 0) throw new FrameError('[TOKEN] does not follow [ACTION] after one space', '');
  if (!tokenIsSound) throw new FrameError('TOKEN must be at most 255 of A-Z a-z 0-9 . _ : -', '');
  const g = text.charCodeAt(t + 1) === 32 ? partEnd(text, t + 2) : -1;
  if (g < 0) throw new FrameError('[TARGET] does not follow [TOKEN] after one space', echo);
  const target = text.slice(t + 3, g);
  if (!isTarget(target)) throw new FrameError('TARGET must be at most 64 of A-Z a-z 0-9 . _ -', echo);
  if (g + 1 === text.length) return { action, token, target, data: '' };
  if (text.charCodeAt(g + 1) !== 32) throw new FrameError('DATA does not follow [TARGET] after one space', echo);
  const data = text.slice(g + 2);
  if (action === 'KILL' && data.charCodeAt(0) === 91) return { action, token, target, data: killData(data, echo) };
  return { action, token, target, data };
}

function killData(text: string, echo: string): string {
  const y = partEnd(text, 0);
  const i = y >= 0 && text.charCodeAt(y + 1) === 32 ? partEnd(text, y + 2) : -1;
  if (i < 0 || i + 1 !== text.length) throw new FrameError('KILL takes [TYPE] [ID] or a JSON object', echo);
  const id = text.slice(y + 3, i);
  for (let k = 0; k < id.length; k++) {
    if (id.charCodeAt(k) < 32 || id.charCodeAt(k) === 127)
      throw new FrameError('a control character in [ID] needs the JSON form', echo);
  }
  return JSON.stringify({ type: text.slice(1, y), id });
}

/**
 * DATA as an object. Throws {@link FrameError} if it is not a JSON object, nests deeper than {@link MAX_DEPTH} or has an own key
 * `__proto__` anywhere; {@link TooManyElements} if it has more than `elements` keys and elements. Both limits are checked by a
 * linear scan before anything is parsed.
 */
export function parseData(data: string, token = '', elements = Number.POSITIVE_INFINITY): JsonObject {
  if (data === '') return {};
  const isScanned = data.length > SCANNED_LENGTH;
  if (isScanned) {
    const fault = scan(data, MAX_DEPTH, elements);
    if (fault === 'depth') throw new FrameError(`DATA nests too deep (the limit is ${MAX_DEPTH} levels)`, token);
    if (fault === 'elements') throw new TooManyElements(elements);
  }
  let value: unknown;
  try {
    value = parseJson(data);
  } catch {
    throw new FrameError('DATA is not JSON', token);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new FrameError('DATA is JSON but not an object', token);
  }
  // To look at 50,000 keys takes a third as long as to parse them.
  if (isScanned && !maySpellProto(data)) return value as JsonObject;
  const fault = faultOf(value, MAX_DEPTH);
  if (fault) throw new FrameError(`DATA ${fault}`, token);
  return value as JsonObject;
}

/** Whether JSON text can have a key `__proto__`, written as it is or with escapes. */
function maySpellProto(text: string): boolean {
  return text.includes('__proto__') || text.includes('\\u');
}

/** Which limit JSON text passes first, if any: brackets within one another, or keys and elements in all. Strings are skipped. */
function scan(text: string, maxDepth: number, maxElements: number): 'depth' | 'elements' | undefined {
  let depth = 0;
  let elements = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 34) {
      i = stringEnd(text, i);
      if (i < 0) return undefined;
    } else if (c === 44) {
      if (++elements > maxElements) return 'elements';
    } else if (c === 91 || c === 123) {
      if (++depth > maxDepth) return 'depth';
      // A container that is not empty has one element more than commas.
      if (!closesAt(text, i + 1) && ++elements > maxElements) return 'elements';
    } else if (c === 93 || c === 125) depth--;
  }
  return undefined;
}

/** Whether the next character that is not a space closes a container. */
function closesAt(text: string, from: number): boolean {
  const c = text.charCodeAt(skipSpaces(text, from));
  return c === 93 || c === 125;
}

/** DATA of a request as JSON text. Throws INVALID_DATA if the router would refuse the number of its keys and elements. */
export function requestData(action: string, data: object): string {
  const text = JSON.stringify(data);
  if (!LINK_ACTIONS.has(action) && text.length > MAX_ELEMENTS && scan(text, MAX_DEPTH, MAX_ELEMENTS) === 'elements') {
    throw failure('INVALID_DATA', { action, reason: new TooManyElements(MAX_ELEMENTS).message });
  }
  return text;
}

/** What makes parsed JSON unfit to pass on, as a predicate of a sentence, or undefined. */
export function faultOf(value: unknown, maxDepth: number): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (maxDepth === 0) return 'nests too deep (the limit is 32 levels)';
  if (Array.isArray(value)) {
    for (const item of value) {
      const fault = faultOf(item, maxDepth - 1);
      if (fault) return fault;
    }
    return undefined;
  }
  const object = value as JsonObject;
  for (const key in object) {
    if (key === '__proto__') return 'has a key __proto__';
    const item = object[key];
    if (typeof item !== 'object') continue;
    const fault = faultOf(item, maxDepth - 1);
    if (fault) return fault;
  }
  return undefined;
}

/** Writes a message; `data` is JSON text or an object, left out when empty. Does not check its parts. */
export function formatMessage(action: string, token: string, target: string, data: string | object = ''): string {
  const text = typeof data === 'string' ? data : JSON.stringify(data);
  return text === '' ? `[${action}] [${token}] [${target}]` : `[${action}] [${token}] [${target}] ${text}`;
}

/** Writes `[ACK] [TOKEN] {"code","data"}`; `data` is JSON text. */
export function formatAck(token: string, code: 0 | 1, data: string): string {
  return `[ACK] [${token}] {"code":${code},"data":${data}}`;
}

/** A frame from a router: `[VERB] [TOKEN] DATA` or `[VERB] [TOKEN] [TARGET] DATA`. Throws {@link FrameError}. */
export function parseReply(text: string): Message {
  const a = partEnd(text, 0);
  const t = a > 0 && text.charCodeAt(a + 1) === 32 ? partEnd(text, a + 2) : -1;
  if (t < 0) throw new FrameError('it does not start with [VERB] [TOKEN]', '');
  const reply: Message = {
    action: text.slice(1, a),
    token: text.slice(a + 3, t),
    target: '',
    data: '',
  };
  let at = t + 1;
  if (text.charCodeAt(at) === 32 && text.charCodeAt(at + 1) === 91) {
    const g = partEnd(text, at + 1);
    if (g < 0) throw new FrameError('[TARGET] is not closed', reply.token);
    reply.target = text.slice(at + 2, g);
    at = g + 1;
  }
  if (at < text.length) {
    if (text.charCodeAt(at) !== 32) throw new FrameError('DATA does not follow after one space', reply.token);
    reply.data = text.slice(at + 1);
  }
  return reply;
}

/** First byte of a pack on the internal door. */
export const PACK = 0x02;

/** Appends `u32 BE length ‖ message` for each message: the inside of packs and of records. */
export function encodeBatch(messages: readonly string[], prefix = 0): Buffer {
  let size = prefix;
  for (const message of messages) size += 4 + Buffer.byteLength(message);
  // Not from the pool: zeromq reads the memory after send() returned.
  const out = Buffer.allocUnsafeSlow(size);
  let at = prefix;
  for (const message of messages) {
    const length = out.write(message, at + 4);
    out.writeUInt32BE(length, at);
    at += 4 + length;
  }
  return out;
}

/** The messages of a batch, each as bytes. Throws {@link FrameError} unless it ends exactly at its end. */
export function decodeBatch(bytes: Buffer, from = 0): Buffer[] {
  const out: Buffer[] = [];
  let at = from;
  while (at < bytes.length) {
    const end = at + 4 <= bytes.length ? at + 4 + bytes.readUInt32BE(at) : Number.POSITIVE_INFINITY;
    if (end > bytes.length) throw new FrameError('a length in the pack reaches past its end', '');
    out.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return out;
}

/** One frame of the internal door for one or more messages; a single one goes bare. */
export function encodePack(messages: readonly string[]): Buffer | string {
  if (messages.length === 1) return messages[0] as string;
  const out = encodeBatch(messages, 1);
  out[0] = PACK;
  return out;
}

/** The messages of a frame of the internal door, each as bytes. Throws {@link FrameError}. */
export function decodePack(frame: Buffer): Buffer[] {
  return frame[0] === PACK ? decodeBatch(frame, 1) : [frame];
}
