import { createPrivateKey, generateKeyPairSync, type JsonWebKey, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  b64,
  type ClientSession,
  clientJoinMac,
  createHello,
  H,
  type KeyPair,
  keyPairOf,
  type PendingHello,
  readKey,
  sealBox,
  signPss,
} from '@centreond/protocol/channel';
import { Dealer } from 'zeromq';
import { rsaKey } from '../../rsa-keys.ts';

const vectors = JSON.parse(
  readFileSync(fileURLToPath(import.meta.resolve('@centreond/protocol/channel.json')), 'utf8'),
);

function pairOfJwk(jwk: JsonWebKey): KeyPair {
  return keyPairOf(createPrivateKey({ key: jwk, format: 'jwk' }).export({ type: 'pkcs8', format: 'pem' }).toString());
}

export const routerKeys = pairOfJwk(vectors.router_test_key_jwk);
export const aliceKeys = pairOfJwk(vectors.client_test_key_jwk);

/** A key that nobody else here has. */
export function newKeys(): KeyPair {
  return keyPairOf(rsaKey());
}

/** Waits until `probe` returns something. */
export async function until<T>(
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  what = 'the condition',
  ms = 20_000,
): Promise<T> {
  const end = performance.now() + ms;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`${what} did not come about`);
    await delay(2);
  }
}

/** A clock that only its test moves. */
export class TestClock {
  constructor(public time = 1_790_000_000_000) {}
  private ticks = 1000;
  now = (): number => this.time;
  monotonic = (): number => this.ticks;
  advance(ms: number): void {
    this.time += ms;
    this.ticks += ms;
  }
}

export interface HeloFields {
  v?: unknown;
  ciphers?: unknown;
  sid?: unknown;
  cid?: unknown;
  jwk?: unknown;
  x?: unknown;
  n?: unknown;
  ts?: unknown;
  box?: unknown;
}

/** A HELO of any content: `fields` replace those of a sound one, `signer` signs whatever came out. */
export async function forgeHelo(
  fields: HeloFields,
  by: { keys: KeyPair; identity: string; now: number; signer?: KeyPair; inBox?: string; joinKey?: Buffer },
): Promise<string> {
  const { keys, identity, now, signer = keys, inBox = `[HELO] [${identity}]` } = by;
  const box = await sealBox(routerKeys.publicKey, Buffer.concat([randomBytes(32), Buffer.from(inBox)]));
  const x = generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' }).x;
  const body = Buffer.from(
    JSON.stringify({
      v: 1,
      ciphers: ['aes-256-gcm'],
      sid: routerKeys.thumbprint,
      cid: keys.thumbprint,
      jwk: keys.jwk,
      x,
      n: b64(randomBytes(32)),
      ts: now,
      box: b64(box),
      ...fields,
    }),
  );
  const mac = by.joinKey ? `.${b64(clientJoinMac(by.joinKey, body))}` : '';
  return `[HELO] ${b64(body)}.${b64(await signPss(signer.privateKey, 'client helo', H(body)))}${mac}`;
}

/** One DEALER connection that keeps whatever arrives, and speaks the protocol only as far as it is told to. */
export class Wire {
  readonly frames: Buffer[] = [];
  readonly socket: Dealer;
  #loop: Promise<void>;

  constructor(endpoint: string, routingId?: string, read = true) {
    this.socket = new Dealer({
      linger: 0,
      sendTimeout: 2000,
      ...(routingId && { routingId }),
      ...(!read && { receiveHighWaterMark: 1 }),
    });
    this.socket.connect(endpoint);
    this.#loop = read ? this.#read() : Promise.resolve();
  }

  async #read(): Promise<void> {
    for (;;) {
      try {
        for (const frame of await this.socket.receive()) this.frames.push(frame);
      } catch {
        return; // closed by the test
      }
    }
  }

  /** Begins to read, where the wire was made not to. */
  read(): void {
    this.#loop = this.#read();
  }

  send(...parts: (string | Buffer)[]): Promise<void> {
    return this.socket.send(parts);
  }

  /** The next frame, taken off. */
  next(): Promise<Buffer> {
    return until(() => this.frames.shift(), 'a frame from the router');
  }

  /** Sends `frame` and takes the next answer, as text. */
  async ask(frame: string | Buffer): Promise<string> {
    await this.send(frame);
    return (await this.next()).toString('latin1');
  }

  /** Everything that arrived before the answer to a question that is always answered. */
  async settled(): Promise<string[]> {
    await this.send('[GETPUBKEY]');
    const seen: string[] = [];
    for (;;) {
      const frame = (await this.next()).toString('latin1');
      if (frame.startsWith('[PUBKEY]')) return seen;
      seen.push(frame);
    }
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.#loop;
  }
}

export interface Who {
  keys: KeyPair;
  identity: string;
  now: number;
  joinKey?: Buffer;
}

/** Asks for a session and stops before AUTH. */
export async function begin(wire: Wire, who: Who): Promise<ClientSession & { hello: PendingHello }> {
  const hello = await createHello({ ...who, router: { key: routerKeys.publicKey, thumbprint: routerKeys.thumbprint } });
  const session = await readKey(hello, await wire.ask(hello.frame));
  return { ...session, hello };
}

/** A whole session; `also` follow AUTH in the first record. */
export async function connect(wire: Wire, who: Who, also: string[] = []): Promise<ClientSession & { welcome: string }> {
  const session = await begin(wire, who);
  await wire.send(session.sealer.seal([session.auth, ...also]));
  const [welcome = ''] = await inside(wire, session);
  return { ...session, welcome };
}

/** The messages of the next record. */
export async function inside(wire: Wire, session: ClientSession): Promise<string[]> {
  const frame = await wire.next();
  if (frame[0] !== 1) throw new Error(`in clear: ${frame.toString()}`);
  return session.opener.open(frame, 64 * 1024 * 1024).map((message) => message.toString());
}

/** The next `count` messages, over as many records as they come in. */
export async function messages(wire: Wire, session: ClientSession, count: number): Promise<string[]> {
  const got: string[] = [];
  while (got.length < count) got.push(...(await inside(wire, session)));
  return got;
}
