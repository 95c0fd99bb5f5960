/** Bits of a frame's first byte. */
export const MORE = 0x01;
export const LONG = 0x02;
export const COMMAND = 0x04;

/** Bytes of a greeting. */
export const GREETING_BYTES = 64;

const SIGNATURE_END = 9;
const MAJOR = 10;
const MECHANISM = 12;
const MECHANISM_BYTES = 20;
const NULL_MECHANISM = Buffer.alloc(MECHANISM_BYTES);
NULL_MECHANISM.write('NULL');

/** This side's greeting: ZMTP 3.1, NULL. */
export const GREETING: Buffer = Buffer.alloc(GREETING_BYTES);
GREETING[0] = 0xff;
GREETING[SIGNATURE_END] = 0x7f;
GREETING[MAJOR] = 3;
GREETING[MAJOR + 1] = 1;
NULL_MECHANISM.copy(GREETING, MECHANISM);

/** Why a peer's greeting is not taken. */
export type GreetingFault = 'notZmtp' | 'oldZmtp' | 'mechanism';

/** Checks as much of a greeting as has arrived, the first `length` bytes. Versions after 3.1 are taken, as the RFC asks. */
export function greetingFault(greeting: Buffer, length: number): GreetingFault | undefined {
  if (length > 0 && greeting[0] !== 0xff) return 'notZmtp';
  if (length > SIGNATURE_END && greeting[SIGNATURE_END] !== 0x7f) return 'notZmtp';
  if (length > MAJOR && (greeting[MAJOR] as number) < 3) return 'oldZmtp';
  if (length < GREETING_BYTES) return undefined;
  const end = MECHANISM + MECHANISM_BYTES;
  return greeting.compare(NULL_MECHANISM, 0, MECHANISM_BYTES, MECHANISM, end) === 0 ? undefined : 'mechanism';
}

/** Bytes of a frame whose body has `size`. */
export function frameBytes(size: number): number {
  return size > 255 ? size + 9 : size + 2;
}

/** Writes the head of a frame; returns where its body goes. */
export function writeHead(out: Buffer, at: number, flags: number, size: number): number {
  if (size <= 255) {
    out[at] = flags;
    out[at + 1] = size;
    return at + 2;
  }
  out[at] = flags | LONG;
  out.writeUInt32BE(Math.floor(size / 2 ** 32), at + 1);
  out.writeUInt32BE(size % 2 ** 32, at + 5);
  return at + 9;
}

function command(name: string, ...data: Buffer[]): Buffer {
  const body = Buffer.concat([Buffer.of(name.length), Buffer.from(name), ...data]);
  const out = Buffer.alloc(frameBytes(body.length));
  body.copy(out, writeHead(out, 0, COMMAND, body.length));
  return out;
}

function property(name: string, value: string): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(value.length);
  return Buffer.concat([Buffer.of(name.length), Buffer.from(name), size, Buffer.from(value)]);
}

/** The ends of a connection: each talks to the other only. */
export type SocketType = 'ROUTER' | 'DEALER';

const PEER_OF: Readonly<Record<SocketType, SocketType>> = { ROUTER: 'DEALER', DEALER: 'ROUTER' };

/** The frames with which a side ends its handshake. */
export const READY: Readonly<Record<SocketType, Buffer>> = { ROUTER: ready('ROUTER'), DEALER: ready('DEALER') };

function ready(type: SocketType): Buffer {
  return command('READY', property('Socket-Type', type), property('Identity', ''));
}

/** The frame that tells a peer of another socket type than `own` talks to not to come back. */
export function wrongSocketType(own: SocketType): Buffer {
  const text = `This is a ${own} socket that talks to ${PEER_OF[own]} sockets only`;
  return command('ERROR', Buffer.of(text.length), Buffer.from(text));
}

/** Why a peer's READY is not taken. */
export type ReadyFault = 'malformed' | 'socketType';

const MAX_IDENTITY = 255;

/** Checks the first command of a peer of `own`. Its Identity is checked and not used: a peer is found by its connection. */
export function readyFault(body: Buffer, own: SocketType): ReadyFault | undefined {
  if (nameOf(body) !== 'READY') return 'malformed';
  let at = 6;
  let type = '';
  while (at < body.length) {
    const nameEnd = at + 1 + (body[at] as number);
    if (nameEnd === at + 1 || nameEnd + 4 > body.length) return 'malformed';
    const name = body.toString('latin1', at + 1, nameEnd).toLowerCase();
    const valueEnd = nameEnd + 4 + body.readUInt32BE(nameEnd);
    if (valueEnd > body.length) return 'malformed';
    if (name === 'socket-type') type = body.toString('latin1', nameEnd + 4, valueEnd);
    else if (name === 'identity' && valueEnd - nameEnd - 4 > MAX_IDENTITY) return 'malformed';
    at = valueEnd;
  }
  return type === PEER_OF[own] ? undefined : 'socketType';
}

/** The name of a command; undefined if the body is not a command's. */
export function nameOf(body: Buffer): string | undefined {
  const length = body[0];
  if (length === undefined || length === 0 || body.length <= length) return undefined;
  return body.toString('latin1', 1, 1 + length);
}

const PING_HEAD = 7; // the name with its length, and the TTL
const MAX_CONTEXT = 16;

/** The frame that answers a PING; undefined if the PING is malformed. */
export function pongFor(ping: Buffer): Buffer | undefined {
  if (ping.length < PING_HEAD || ping.length > PING_HEAD + MAX_CONTEXT) return undefined;
  return command('PONG', ping.subarray(PING_HEAD));
}
