// One attacker, in a process of its own: makes the attack that it is told, and prints what came of it as one line of JSON.
import { createConnection, type Socket } from 'node:net';
import os from 'node:os';
import { GREETING, READY } from '@centreond/protocol/zmtp';
import { Client, routerKey, whoOf } from '../e2e/second-implementation.ts';
import { helloKinds, type KindName, manyKeys } from './hello-kinds.ts';
import { seeded } from './ledger.ts';
import { SHAPES } from './message-shapes.ts';

/** Where the daemon listens, and for how long it is attacked. */
interface Target {
  readonly endpoint: string;
  readonly fingerprint: string;
  readonly seconds: number;
}

export type Order = Target &
  (
    | { readonly attack: 'silent' | 'slow'; readonly count: number }
    | { readonly attack: 'multipart'; readonly count: number; readonly bytes: number }
    | { readonly attack: 'greetings' }
    | { readonly attack: 'messages'; readonly shape: string; readonly known: { identity: string; key: string } }
    | { readonly attack: 'garbage'; readonly seed: number }
    | {
        readonly attack: 'helos';
        readonly kind: KindName;
        readonly perSecond: number;
        readonly known: { identity: string; key: string };
        readonly strangers: number;
      }
  );

/** What an attacker prints: `open` once its attack has begun, `done` at its end. */
export type Said = { readonly open: number } | { readonly done: Figures };
export type Figures = Readonly<Record<string, number>>;

// What an attacker computes is to cost its own machine, not the daemon's.
os.setPriority(os.constants.priority.PRIORITY_LOW);
const order = JSON.parse(process.argv[2] as string) as Order;
const port = Number(order.endpoint.split(':').at(-1));
const endAt = () => begunAt + order.seconds * 1000;
let begunAt = performance.now();
const isOver = () => performance.now() >= endAt();
let places = 0;

function say(said: Said): void {
  process.stdout.write(`${JSON.stringify(said)}\n`);
}

/** The attack is in place: it lasts `seconds` from now on. */
function begin(open: number): void {
  begunAt = performance.now();
  say({ open });
}

/** A connection from one of many addresses of this machine, which reads and drops what it is told. */
function connection(...words: Buffer[]): Socket {
  const localAddress = `127.0.1.${1 + (places++ % 100)}`;
  const socket = createConnection({ host: '127.0.0.1', port, localAddress, noDelay: true });
  socket.on('error', () => {});
  socket.resume();
  for (const word of words) socket.write(word);
  return socket;
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const closed = (socket: Socket) =>
  new Promise<void>((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });

/** Writes and waits until it went, or the connection is over. */
function written(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else socket.write(bytes, () => resolve());
  });
}

/** The head of a frame with the size `size`. */
function head(flags: number, size: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = flags | 2;
  bytes.writeBigUInt64BE(BigInt(size), 1);
  return bytes;
}

/** Many connections at once, `words` said on each; resolves when all are there or refused. */
async function crowd(count: number, words: (i: number) => Buffer[]): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i++) {
    sockets.push(connection(...words(i)));
    if (i % 50 === 49) await pause(1);
  }
  while (sockets.some(({ connecting }) => connecting)) await pause(10);
  return sockets;
}

/** How long it takes until all are closed, as seconds; -1 if they are not by the end of the attack. */
async function gone(sockets: readonly Socket[]): Promise<number> {
  const all = Promise.all(sockets.map(closed)).then(() => (performance.now() - begunAt) / 1000);
  return Promise.race([all, pause(order.seconds * 1000).then(() => -1)]);
}

async function silent(count: number): Promise<Figures> {
  // Every other one shakes hands as a DEALER, and is silent then.
  const sockets = await crowd(count, (i) => (i % 2 === 0 ? [] : [GREETING, READY.DEALER]));
  begin(sockets.filter((socket) => !socket.closed).length);
  return { goneAfter: await gone(sockets) };
}

/** A byte a second: from the start, within the greeting, within READY, within a frame, within a HELO. */
async function slow(count: number): Promise<Figures> {
  const opened = [GREETING, READY.DEALER];
  const helo = Buffer.concat([Buffer.of(0, 200), Buffer.from('[HELO] '), Buffer.alloc(193, 'A')]);
  const starts: [said: Buffer[], rest: Buffer][] = [
    [[], GREETING],
    [[GREETING.subarray(0, 12)], GREETING.subarray(12)],
    [[GREETING, READY.DEALER.subarray(0, 3)], READY.DEALER.subarray(3)],
    [[...opened, head(0, 8000)], Buffer.alloc(8000)],
    [[...opened, helo.subarray(0, 20)], helo.subarray(20)],
  ];
  const start = (i: number) => starts[i % starts.length] as [Buffer[], Buffer];
  const sockets = await crowd(count, (i) => start(i)[0]);
  begin(sockets.filter((socket) => !socket.closed).length);
  let sent = 0;
  const timer = setInterval(() => {
    for (const [i, socket] of sockets.entries()) {
      const rest = start(i)[1];
      if (!socket.destroyed && sent < rest.length) socket.write(rest.subarray(sent, sent + 1));
    }
    sent++;
  }, 1000);
  const goneAfter = await gone(sockets);
  clearInterval(timer);
  return { sent, goneAfter };
}

/** Each sender sends one message of endless parts, of which each has `bytes` in all, as often as it may. */
async function multipart(count: number, bytes: number): Promise<Figures> {
  const chunk = Buffer.alloc(64 * 1024);
  let connections = 0;
  let sent = 0;
  begin(count);
  await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      while (!isOver()) {
        const socket = connection(GREETING, READY.DEALER);
        connections++;
        // Parts of 10 KiB, one part of all bytes, a frame of all bytes, and parts behind one that is allowed.
        const small = Buffer.concat([head(1, 10_240), Buffer.alloc(10_240)]);
        const ways = [
          [small],
          [head(1, bytes), chunk],
          [head(0, bytes), chunk],
          [head(0, 16), Buffer.alloc(16), small],
        ];
        const way = ways[(i + connections) % ways.length] as Buffer[];
        for (let of = 0; of < bytes && !socket.destroyed && !isOver(); ) {
          const word = of === 0 ? Buffer.concat(way) : (way.at(-1) as Buffer);
          await written(socket, word);
          of += word.length;
          sent += word.length;
        }
        socket.destroy();
      }
    }),
  );
  return { connections, sentMiB: sent / 2 ** 20 };
}

/** Connects, greets and leaves, as fast as it can. */
async function greetings(): Promise<Figures> {
  let connections = 0;
  begin(0);
  await Promise.all(
    Array.from({ length: 100 }, async () => {
      while (!isOver()) {
        const socket = connection();
        await written(socket, Buffer.concat([GREETING, READY.DEALER]));
        socket.destroy();
        await closed(socket);
        connections++;
      }
    }),
  );
  return { connections, perSecond: connections / order.seconds };
}

/** Bytes that mean nothing, in each state of a connection. */
async function garbage(seed: number): Promise<Figures> {
  const random = seeded(seed);
  const noise = (length: number) => Buffer.from(Array.from({ length }, () => random() * 256));
  // As many as are used again and again: they cost the attacker more than the daemon.
  const noises = Array.from({ length: 200 }, () => noise(1 + random() * 4000));
  const pick = () => noises[Math.floor(random() * noises.length)] as Buffer;
  const frame = (body: Buffer, flags = 0) => Buffer.concat([head(flags, body.length), body]);
  let connections = 0;
  begin(0);
  await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      while (!isOver()) {
        const socket = connection();
        connections++;
        const state = (i + connections) % 5;
        if (state > 0) await written(socket, GREETING);
        if (state > 1) await written(socket, READY.DEALER);
        for (let round = 0; round < 20 && !socket.destroyed && !isOver(); round++) {
          const body = pick();
          if (state < 3) await written(socket, body);
          else if (state === 3) await written(socket, frame(body));
          // Text of a handshake, and a record of no session.
          else await written(socket, frame(Buffer.concat([Buffer.from(round % 2 ? '[HELO] ' : [1, 1, 0, 0]), body])));
        }
        await pause(5);
        socket.destroy();
      }
    }),
  );
  return { connections };
}

/** HELOs of one kind, at a steady rate, over as many connections as may begin so many handshakes. */
async function helos(of: Extract<Order, { attack: 'helos' }>): Promise<Figures> {
  const router = await routerKey(of);
  const kinds = helloKinds(router, whoOf(of.known), await manyKeys(of.strangers));
  const kind = kinds[of.kind];
  const count = Math.ceil(of.perSecond / 40);
  const sockets = await crowd(count, () => [GREETING, READY.DEALER]);
  begin(count);
  let sent = 0;
  while (!isOver()) {
    const due = ((performance.now() - begunAt) / 1000) * of.perSecond;
    for (; sent < due; sent++) {
      const at = sent % count;
      if (sockets[at]?.destroyed) sockets[at] = connection(GREETING, READY.DEALER);
      const body = Buffer.from(kind());
      sockets[at]?.write(Buffer.concat([head(0, body.length), body]));
    }
    await pause(4);
  }
  return { sent, perSecond: sent / of.seconds };
}

/** Messages of one shape, as large as they may be, one after the other, in a session of an identity that the router knows. */
async function messages(of: Extract<Order, { attack: 'messages' }>): Promise<Figures> {
  const make = SHAPES[of.shape];
  if (!make) throw new Error(`there is no message of the shape '${of.shape}'`);
  const client = await Client.connect(of, whoOf(of.known));
  const maxMessage = Number(client.welcome?.data.maxMessage);
  begin(1);
  let sent = 0;
  let refused = 0;
  let slowest = 0;
  while (!isOver()) {
    const token = `m${process.pid}.${sent}`;
    const since = performance.now();
    await client.send(make(token, maxMessage));
    // What is not even text is answered without its token.
    const { data } = await client.take(
      ({ verb, token: of }) => verb === 'ACK' && (of === token || of === ''),
      'an ACK',
    );
    const { code } = data as { code: number };
    slowest = Math.max(slowest, performance.now() - since);
    sent++;
    refused += code;
  }
  await client.close();
  return { sent, refused, slowest };
}

function attack(): Promise<Figures> {
  switch (order.attack) {
    case 'silent':
      return silent(order.count);
    case 'slow':
      return slow(order.count);
    case 'multipart':
      return multipart(order.count, order.bytes);
    case 'greetings':
      return greetings();
    case 'garbage':
      return garbage(order.seed);
    case 'helos':
      return helos(order);
    case 'messages':
      return messages(order);
  }
}

const done = await attack();
say({ done });
process.exit(0);
