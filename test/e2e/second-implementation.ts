/**
 * The external door of PROTOCOL.md a second time, from its text alone: `node:crypto`, `zeromq` and nothing of centreond.
 * Every step is a function of its own, so that a test can do one of them wrong and all others right.
 */
import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPair,
  generateKeyPairSync,
  hkdfSync,
  type JsonWebKey,
  type KeyObject,
  publicEncrypt,
  randomBytes,
  sign,
  verify,
} from 'node:crypto';
import { promisify } from 'node:util';
import { Dealer } from 'zeromq';

export type Cipher = 'aes-256-gcm' | 'chacha20-poly1305';
export const BOTH: readonly Cipher[] = ['aes-256-gcm', 'chacha20-poly1305'];
/** Router and client wait no longer than this for anything. */
const PATIENCE_MS = 8000;

// ---- notation ------------------------------------------------------------------------------------------------------

export function b64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}

/** Throws unless `text` is the one encoding of its bytes. */
export function unb64(text: unknown, length?: number): Buffer {
  if (typeof text !== 'string') throw new Error('not a text');
  const bytes = Buffer.from(text, 'base64url');
  if (b64(bytes) !== text) throw new Error(`not canonical base64url: ${text}`);
  if (length !== undefined && bytes.length !== length) throw new Error(`${bytes.length} bytes, not ${length}`);
  return bytes;
}

/** The same bytes, with a bit set in the last character that counts for nothing. */
export function nonCanonical(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const changed = text.slice(0, -1) + (alphabet[alphabet.indexOf(text.at(-1) ?? '') + 1] ?? '');
  const bytes = Buffer.from(text, 'base64url');
  if (changed === text || !bytes.equals(Buffer.from(changed, 'base64url'))) throw new Error('every bit of it counts');
  return changed;
}

export function H(...items: (string | Uint8Array)[]): Buffer {
  const hash = createHash('sha256');
  for (const item of items) {
    const bytes = Buffer.from(item);
    hash.update(u32(bytes.length)).update(bytes);
  }
  return hash.digest();
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export type Label = 'client helo' | 'router key' | 'client auth';

function labelled(label: string, h: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`centreond/1 ${label}`), Buffer.of(0), h]);
}

export function pss(key: KeyObject, label: Label, h: Uint8Array, saltLength = 32): Buffer {
  return sign('sha256', labelled(label, h), { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
}

export function checkPss(key: KeyObject, label: Label, h: Uint8Array, signature: Uint8Array): boolean {
  return verify(
    'sha256',
    labelled(label, h),
    { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 },
    signature,
  );
}

function hkdf(ikm: Uint8Array, salt: Uint8Array, info: string, length: number): Buffer {
  return Buffer.from(hkdfSync('sha256', ikm, salt, info, length));
}

// ---- keys ----------------------------------------------------------------------------------------------------------

export interface Jwk {
  e: string;
  kty: 'RSA';
  n: string;
}

export function thumbprintOf({ e, n }: { e: string; n: string }): string {
  return b64(createHash('sha256').update(`{"e":"${e}","kty":"RSA","n":"${n}"}`).digest());
}

/** A key pair of a client. */
export class Key {
  readonly jwk: Jwk;
  readonly thumbprint: string;

  readonly secret: KeyObject;

  constructor(secret: KeyObject) {
    this.secret = secret;
    const { e = '', n = '' } = createPublicKey(secret).export({ format: 'jwk' });
    this.jwk = { e, kty: 'RSA', n };
    this.thumbprint = thumbprintOf(this.jwk);
  }
  static ofPem(pem: string): Key {
    return new Key(createPrivateKey(pem));
  }
  static ofJwk(jwk: JsonWebKey): Key {
    return new Key(createPrivateKey({ key: jwk, format: 'jwk' }));
  }
  /** Several at once, on all cores. */
  static async crowd(count: number): Promise<Key[]> {
    const make = promisify(generateKeyPair);
    const pairs = Array.from({ length: count }, () => make('rsa', { modulusLength: 2048 }));
    return (await Promise.all(pairs)).map(({ privateKey }) => new Key(privateKey));
  }
  static generate(modulusLength = 2048, publicExponent = 65_537): Key {
    return new Key(generateKeyPairSync('rsa', { modulusLength, publicExponent }).privateKey);
  }
}

export interface RouterKey {
  readonly key: KeyObject;
  readonly thumbprint: string;
}

export function routerKeyOf(spki: Buffer): RouterKey {
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  const { e = '', n = '' } = key.export({ format: 'jwk' });
  return { key, thumbprint: thumbprintOf({ e, n }) };
}

// ---- join tokens ---------------------------------------------------------------------------------------------------

/** The HMAC that K, which is made of the token, keys. */
export function joinMac(token: string, label: 'join client' | 'join router', bytes: Uint8Array): Buffer {
  const zero = Buffer.of(0);
  const k = createHash('sha256').update('centreond/1 join').update(zero).update(Buffer.from(token, 'ascii')).digest();
  return createHmac('sha256', k).update(`centreond/1 ${label}`).update(zero).update(bytes).digest();
}

// ---- M1 ------------------------------------------------------------------------------------------------------------

export interface Plan {
  key: Key;
  identity: string;
  router: RouterKey;
  ciphers?: readonly string[];
  now?: number;
  /** A join token: asks to be enrolled. */
  token?: string;
  /** Set, or put in the place of, fields of the body. */
  fields?: Record<string, unknown>;
  /** What the box holds after s1; `box` replaces all of it. */
  boxText?: string;
  box?: (s1: Buffer, text: string) => Buffer;
  s1?: Buffer;
  x?: KeyObject;
  bytesOf?: (body: object) => Buffer;
  signature?: (body: Buffer) => Buffer;
}

export interface Hello {
  readonly frame: string;
  readonly body: Buffer;
  readonly s1: Buffer;
  readonly x: KeyObject;
  readonly plan: Plan;
}

export function oaep(key: KeyObject, bytes: Uint8Array, label = 'centreond/1 HELO', oaepHash = 'sha256'): Buffer {
  return publicEncrypt(
    { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash, oaepLabel: Buffer.from(label) },
    bytes,
  );
}

export function rawX25519(key: KeyObject): Buffer {
  return unb64(key.export({ format: 'jwk' }).x, 32);
}

/** M1 as the plan says. */
export function hello(plan: Plan): Hello {
  const { key, identity, router, s1 = randomBytes(32), x = generateKeyPairSync('x25519').privateKey } = plan;
  const text = plan.boxText ?? `[HELO] [${identity}]`;
  const box = plan.box?.(s1, text) ?? oaep(router.key, Buffer.concat([s1, Buffer.from(text)]));
  const fields = {
    v: 1,
    ciphers: plan.ciphers ?? BOTH,
    sid: router.thumbprint,
    cid: key.thumbprint,
    jwk: key.jwk,
    x: b64(rawX25519(x)),
    n: b64(randomBytes(32)),
    ts: plan.now ?? Date.now(),
    box: b64(box),
    ...plan.fields,
  };
  const body = plan.bytesOf?.(fields) ?? Buffer.from(JSON.stringify(fields));
  const signature = plan.signature?.(body) ?? pss(key.secret, 'client helo', H(body));
  const mac = plan.token === undefined ? '' : `.${b64(joinMac(plan.token, 'join client', body))}`;
  return { frame: `[HELO] ${b64(body)}.${b64(signature)}${mac}`, body, s1, x, plan };
}

// ---- M2 and the keys -----------------------------------------------------------------------------------------------

export interface Handshake {
  readonly th: Buffer;
  readonly cipher: Cipher;
  readonly session: Buffer;
  /** The body of M2 as it came. */
  readonly answer: Readonly<Record<string, unknown>>;
  readonly secret: Buffer;
  readonly c2s: Half;
  readonly s2c: Half;
}

/** Checks M2 and derives the keys. Throws where anything is not as it must be. */
export function readKey({ frame, s1, x, plan }: Hello, m2: string): Handshake {
  const parts = /^\[KEY\] ([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)(?:\.([A-Za-z0-9_-]+))?$/.exec(m2);
  if (!parts) throw new Error(`not a KEY: ${m2.slice(0, 200)}`);
  const body = unb64(parts[1]);
  if (!checkPss(plan.router.key, 'router key', H(frame, body), unb64(parts[2]))) throw new Error('M2 is forged');
  const mac = plan.token === undefined ? undefined : b64(joinMac(plan.token, 'join router', H(frame, body)));
  if (parts[3] !== mac) throw new Error('the router does not know the join token, or thinks that there is one');
  const answer = objectOf(JSON.parse(body.toString('utf8')));
  const { v, cid, sid } = answer;
  if (v !== 1 || cid !== plan.key.thumbprint || sid !== plan.router.thumbprint) throw new Error('M2 is not for us');
  unb64(answer.n, 32);
  const session = unb64(answer.session, 16);
  const cipher = BOTH.find((one) => one === answer.cipher);
  if (!cipher || !(plan.ciphers ?? BOTH).includes(cipher)) throw new Error(`cipher ${answer.cipher} was not offered`);
  const jwk = { kty: 'OKP', crv: 'X25519', x: b64(unb64(answer.x, 32)) };
  const secret = diffieHellman({ privateKey: x, publicKey: createPublicKey({ key: jwk, format: 'jwk' }) });
  if (secret.every((byte) => byte === 0)) throw new Error('the shared secret is zero');
  const th = H(frame, m2);
  const ikm = Buffer.concat([secret, s1]);
  const half = (name: string, direction: 1 | 2) =>
    new Half(
      cipher,
      direction,
      session,
      hkdf(ikm, th, `centreond/1 ${name} key`, 32),
      hkdf(ikm, th, `centreond/1 ${name} iv`, 12),
    );
  return { th, cipher, session, answer, secret, c2s: half('c2s', 1), s2c: half('s2c', 2) };
}

/** The AUTH message of a handshake; `key` and `th` may be others'. */
export function auth(handshake: { th: Buffer }, key: Key): string {
  return `[AUTH] [] [] ${JSON.stringify({ s: b64(pss(key.secret, 'client auth', handshake.th)) })}`;
}

// ---- records -------------------------------------------------------------------------------------------------------

export interface RecordParts {
  cipher: Cipher;
  key: Uint8Array;
  iv: Uint8Array;
  session: Uint8Array;
  direction: number;
  epoch: number;
  seq: bigint;
  version?: number;
}

function headerOf({ version = 1, direction, epoch, seq }: RecordParts): Buffer {
  const header = Buffer.alloc(12);
  header[0] = version;
  header[1] = direction;
  header.writeUInt16BE(epoch, 2);
  header.writeBigUInt64BE(seq, 4);
  return header;
}

function nonceOf({ iv, seq }: RecordParts): Buffer {
  const counter = Buffer.alloc(12);
  counter.writeBigUInt64BE(seq, 4);
  return Buffer.from(iv.map((byte, i) => byte ^ (counter[i] ?? 0)));
}

/** `chacha20-poly1305` and `aes-256-gcm` have one shape in node:crypto, and two types. */
function gcm(cipher: Cipher): 'aes-256-gcm' {
  return cipher as 'aes-256-gcm';
}

export function sealRecord(parts: RecordParts, plaintext: Uint8Array): Buffer {
  const header = headerOf(parts);
  const sealer = createCipheriv(gcm(parts.cipher), parts.key, nonceOf(parts), { authTagLength: 16 });
  sealer.setAAD(Buffer.concat([header, parts.session]), { plaintextLength: plaintext.length });
  return Buffer.concat([header, sealer.update(plaintext), sealer.final(), sealer.getAuthTag()]);
}

export function openRecord(parts: RecordParts, frame: Buffer): Buffer {
  const header = headerOf(parts);
  if (frame.length < 28 || !frame.subarray(0, 12).equals(header)) {
    throw new Error(`the header is ${frame.subarray(0, 12).toString('hex')}, not ${header.toString('hex')}`);
  }
  const opener = createDecipheriv(gcm(parts.cipher), parts.key, nonceOf(parts), { authTagLength: 16 });
  opener.setAAD(Buffer.concat([header, parts.session]), { plaintextLength: frame.length - 28 });
  opener.setAuthTag(frame.subarray(-16));
  return Buffer.concat([opener.update(frame.subarray(12, -16)), opener.final()]);
}

export function pack(messages: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat(
    messages.flatMap((message) => {
      const bytes = Buffer.from(message);
      return [u32(bytes.length), bytes];
    }),
  );
}

export function unpack(plaintext: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at < plaintext.length; ) {
    const end = at + 4 + plaintext.readUInt32BE(at);
    if (end > plaintext.length) throw new Error('a message reaches past the end of its record');
    messages.push(plaintext.subarray(at + 4, end));
    at = end;
  }
  return messages;
}

/** One direction of a session: what the next record is sealed, or opened, with. */
export class Half {
  epoch = 0;
  seq = 0n;
  readonly cipher: Cipher;
  readonly direction: 1 | 2;
  readonly session: Buffer;
  key: Buffer;
  iv: Buffer;

  constructor(cipher: Cipher, direction: 1 | 2, session: Buffer, key: Buffer, iv: Buffer) {
    this.cipher = cipher;
    this.direction = direction;
    this.session = session;
    this.key = key;
    this.iv = iv;
  }

  /** The parts of the next record, some of them replaced. Nothing is counted. */
  parts(change: Partial<RecordParts> = {}): RecordParts {
    const { cipher, key, iv, session, direction, epoch, seq } = this;
    return { cipher, key, iv, session, direction, epoch, seq, ...change };
  }
  seal(...messages: (string | Uint8Array)[]): Buffer {
    const frame = sealRecord(this.parts(), pack(messages));
    this.seq++;
    return frame;
  }
  open(frame: Buffer): Buffer[] {
    if (frame.length >= 12 && frame.readUInt16BE(2) === this.epoch + 1) this.rekey();
    const messages = unpack(openRecord(this.parts(), frame));
    this.seq++;
    return messages;
  }
  rekey(): this {
    const none = Buffer.alloc(0);
    const { key } = this;
    this.key = hkdf(key, none, 'centreond/1 update key', 32);
    this.iv = hkdf(key, none, 'centreond/1 update iv', 12);
    this.epoch++;
    this.seq = 0n;
    return this;
  }
}

// ---- messages ------------------------------------------------------------------------------------------------------

/** What a router says, taken apart. `clear` where it came outside a session. */
export interface Reply {
  readonly verb: string;
  readonly token: string;
  readonly target: string | undefined;
  readonly data: unknown;
  readonly text: string;
  readonly clear: boolean;
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Object.values(value).reduce((deepest: number, item) => Math.max(deepest, depthOf(item)), 0);
}

export function parseReply(text: string, clear = false): Reply {
  const parts = /^\[([A-Z]+)\] \[([^\]]*)\](?: \[([^\]]*)\])?(?: (.+))?$/s.exec(text);
  if (!parts) throw new Error(`not a reply: ${text.slice(0, 200)}`);
  const [, verb = '', token = '', target, data] = parts;
  if (data !== undefined && depthOf(JSON.parse(data)) > 32) throw new Error(`more than 32 levels: ${text}`);
  return { verb, token, target, data: data === undefined ? undefined : JSON.parse(data), text, clear };
}

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('not an object');
  return value as Record<string, unknown>;
}

/** `{"code","data"}` of an ACK or PONG: these two and no more. */
export interface Ack {
  readonly code: number;
  readonly token: string;
  readonly data: Record<string, unknown>;
}

export function ackOf(reply: Reply): Ack {
  const { code, data, ...more } = objectOf(reply.data);
  if ((code !== 0 && code !== 1) || Object.keys(more).length > 0) throw new Error(`not an answer: ${reply.text}`);
  const inside = objectOf(data);
  if (code === 1 && (typeof inside.error !== 'string' || typeof inside.message !== 'string')) {
    throw new Error(`a refusal without error or message: ${reply.text}`);
  }
  return { code, token: reply.token, data: inside };
}

export interface Row {
  readonly id: number;
  readonly token: string;
  readonly type: string;
  readonly node: string;
  readonly code: number;
  readonly etime: number;
  readonly ctime: number;
  readonly data: unknown;
}

/** A row, which has these eight keys and no other. */
export function rowOf(value: unknown): Row {
  const { id, token, type, node, code, etime, ctime, data, ...more } = objectOf(value);
  const whole = (one: unknown): one is number => Number.isInteger(one);
  if (
    !whole(id) ||
    !whole(code) ||
    !whole(etime) ||
    !whole(ctime) ||
    typeof token !== 'string' ||
    typeof type !== 'string' ||
    typeof node !== 'string' ||
    data === undefined ||
    Object.keys(more).length > 0
  ) {
    throw new Error(`not a row: ${JSON.stringify(value)}`);
  }
  return { id, token, type, node, code, etime, ctime, data };
}

export const isTerminal = (row: Row): boolean => row.code === 1 || row.code === 2;

// ---- a connection --------------------------------------------------------------------------------------------------

/** One DEALER. Frames wait in order until they are taken, or go to `listener`. */
export class Wire {
  readonly socket: Dealer;
  readonly frames: Buffer[] = [];
  listener: ((frame: Buffer) => void) | undefined;
  readonly #waiting: ((frame: Buffer) => void)[] = [];
  #sent: Promise<void> = Promise.resolve();
  readonly #loop: Promise<void>;

  constructor(endpoint: string, { routingId }: { routingId?: string } = {}) {
    this.socket = new Dealer({ linger: 0, sendTimeout: PATIENCE_MS, ...(routingId !== undefined && { routingId }) });
    this.socket.connect(endpoint);
    this.#loop = this.#read();
  }

  async #read(): Promise<void> {
    for (;;) {
      let parts: Buffer[];
      try {
        parts = await this.socket.receive();
      } catch (error) {
        if (this.socket.closed) return;
        throw error;
      }
      for (const frame of parts) {
        const waiting = this.#waiting.shift();
        if (this.listener) this.listener(frame);
        else if (waiting) waiting(frame);
        else this.frames.push(frame);
      }
    }
  }

  /** One ZeroMQ message of these frames, after all that was sent before. */
  send(...frames: (string | Uint8Array)[]): Promise<void> {
    this.#sent = this.#sent.then(() => this.socket.send(frames));
    return this.#sent;
  }

  /** The next frame from the router. */
  next(what = 'a frame'): Promise<Buffer> {
    const frame = this.frames.shift();
    if (frame) return Promise.resolve(frame);
    return new Promise((resolve, reject) => {
      const waiter = (arrived: Buffer) => {
        clearTimeout(timer);
        resolve(arrived);
      };
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(new Error(`${what} did not come within ${PATIENCE_MS} ms`));
      }, PATIENCE_MS);
      this.#waiting.push(waiter);
    });
  }

  async ask(...frames: (string | Uint8Array)[]): Promise<string> {
    await this.send(...frames);
    return (await this.next(`an answer to ${String(frames[0]).slice(0, 40)}`)).toString('utf8');
  }

  /** What came in clear before the answer to `[GETPUBKEY]`, asked now. */
  async settled(): Promise<string[]> {
    const heard: string[] = [];
    for (let text = await this.ask('[GETPUBKEY]'); !text.startsWith('[PUBKEY] '); ) {
      heard.push(text);
      text = (await this.next('[PUBKEY]')).toString('utf8');
    }
    return heard;
  }

  async close(): Promise<void> {
    if (!this.socket.closed) this.socket.close();
    await this.#loop;
  }
}

export interface Door {
  readonly endpoint: string;
  readonly fingerprint: string;
}
export interface Who {
  readonly identity: string;
  readonly key: Key;
}

/** A key file's owner. */
export function whoOf({ identity, key }: { identity: string; key: string }): Who {
  return { identity, key: Key.ofPem(key) };
}

const routerKeys = new Map<string, RouterKey>();

/** The router's key, asked for in clear and held against the pinned fingerprint. */
export async function routerKey({ endpoint, fingerprint }: Door): Promise<RouterKey> {
  const known = routerKeys.get(fingerprint);
  if (known) return known;
  const wire = new Wire(endpoint);
  try {
    const parts = /^\[PUBKEY\] \[([A-Za-z0-9_-]+)\]$/.exec(await wire.ask('[GETPUBKEY]'));
    const router = routerKeyOf(unb64(parts?.[1]));
    if (router.thumbprint !== fingerprint) throw new Error(`the router is ${router.thumbprint}, not ${fingerprint}`);
    routerKeys.set(fingerprint, router);
    return router;
  } finally {
    await wire.close();
  }
}

// ---- a client ------------------------------------------------------------------------------------------------------

export interface ConnectOptions {
  ciphers?: readonly string[];
  /** A join token. */
  token?: string;
  /** Messages in the record of AUTH, after it. */
  also?: readonly string[];
  wire?: Wire;
}

/** A session, begun and used as the protocol says; its parts lie open for those who want to misuse them. */
export class Client {
  /** Everything that arrived, in order. */
  readonly heard: Reply[] = [];
  readonly #untaken: Reply[] = [];
  #wake: (() => void)[] = [];
  /** The first thing that arrived and was no sound record, nor in clear. */
  fault: Error | undefined;
  welcome: Ack | undefined;

  readonly wire: Wire;
  readonly who: Who;
  readonly handshake: Handshake;

  private constructor(wire: Wire, who: Who, handshake: Handshake) {
    this.wire = wire;
    this.who = who;
    this.handshake = handshake;
  }

  get c2s(): Half {
    return this.handshake.c2s;
  }

  /** Handshake as far as M2. The session waits for its AUTH. */
  static async begin(door: Door, who: Who, options: ConnectOptions = {}): Promise<Client> {
    const router = await routerKey(door);
    const wire = options.wire ?? new Wire(door.endpoint);
    const { ciphers, token } = options;
    const plan = { ...who, router, ...(ciphers && { ciphers }), ...(token !== undefined && { token }) };
    const m1 = hello(plan);
    return new Client(wire, who, readKey(m1, await wire.ask(m1.frame)));
  }

  static async connect(door: Door, who: Who, options: ConnectOptions = {}): Promise<Client> {
    const client = await Client.begin(door, who, options);
    return client.authenticate(...(options.also ?? []));
  }

  /** Sends AUTH, with `also` in the same record, and waits for the welcome. */
  async authenticate(...also: string[]): Promise<this> {
    this.listen();
    await this.send(auth(this.handshake, this.who.key), ...also);
    const first = await this.take(() => true, 'the welcome');
    this.welcome = ackOf(first);
    if (this.welcome.code !== 0 || first.clear) throw new Error(`no welcome: ${first.text}`);
    return this;
  }

  /** From now on frames are opened as they come. */
  listen(): void {
    this.wire.listener = (frame) => this.#hear(frame);
    for (const frame of this.wire.frames.splice(0)) this.#hear(frame);
  }

  #hear(frame: Buffer): void {
    try {
      const replies =
        frame[0] === 1
          ? this.handshake.s2c.open(frame).map((message) => parseReply(message.toString('utf8')))
          : [parseReply(frame.toString('utf8'), true)];
      this.heard.push(...replies);
      this.#untaken.push(...replies);
    } catch (error) {
      this.fault ??= error instanceof Error ? error : new Error(String(error));
    }
    for (const wake of this.#wake.splice(0)) wake();
  }

  /** One record. */
  send(...messages: (string | Uint8Array)[]): Promise<void> {
    return this.wire.send(this.c2s.seal(...messages));
  }

  /** The first reply not yet taken for which `test` holds, taken off. */
  async take(test: (reply: Reply) => boolean, what: string): Promise<Reply> {
    const limit = Date.now() + PATIENCE_MS;
    for (;;) {
      const at = this.#untaken.findIndex(test);
      if (at >= 0) return this.#untaken.splice(at, 1)[0] as Reply;
      const left = limit - Date.now();
      if (this.fault) throw this.fault;
      if (left <= 0) {
        const seen = this.heard.slice(-5).map(({ text }) => text.slice(0, 200));
        throw new Error(
          `${this.who.identity} did not hear ${what} within ${PATIENCE_MS} ms; last:\n${seen.join('\n')}`,
        );
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** What the router answers to `text`, whose TOKEN is `token`. */
  async ask(text: string | Uint8Array, token = ''): Promise<Ack> {
    await this.send(text);
    return ackOf(await this.answer(token));
  }

  /** The next ACK or PONG of `token`. */
  answer(token: string): Promise<Reply> {
    return this.take(
      ({ verb, token: of }) => (verb === 'ACK' || verb === 'PONG') && of === token,
      `the ACK of ${token}`,
    );
  }

  request(action: string, data: object, token: string = newToken(), target = ''): Promise<Ack> {
    return this.ask(`[${action}] [${token}] [${target}] ${JSON.stringify(data)}`, token);
  }

  /** The code of a refusal, or `accepted`. */
  async verdict(text: string | Uint8Array, token = ''): Promise<unknown> {
    const { code, data } = await this.ask(text, token);
    return code === 0 ? 'accepted' : data.error;
  }

  /** That the session lives: asks and is answered. */
  async ping(): Promise<Ack> {
    const token = newToken();
    return this.ask(`[PING] [${token}] []`, token);
  }

  /** Rows that a GETLOG answers, over as many pages as there are. */
  async rows(filter: Record<string, unknown>): Promise<Row[]> {
    const rows: Row[] = [];
    for (;;) {
      const { code, data } = await this.request('GETLOG', { ...filter, ...(rows.length && { id: rows.at(-1)?.id }) });
      if (code !== 0 || !Array.isArray(data.result)) throw new Error(`no rows: ${JSON.stringify(data)}`);
      rows.push(...data.result.map(rowOf));
      if (data.more !== true) return rows;
      if (data.result.length === 0) throw new Error('an empty page says that there is more');
    }
  }

  /** The rows of `token` that were heard by FOLLOW up to now. */
  logged(token: string): Row[] {
    return this.heard.filter(({ verb, token: of }) => verb === 'LOG' && of === token).map(({ data }) => rowOf(data));
  }

  /** Waits for the terminal row of a followed token, and gives all of its rows. */
  async ended(token: string): Promise<Row[]> {
    await this.take(
      ({ verb, token: of, data }) => verb === 'LOG' && of === token && isTerminal(rowOf(data)),
      `the end of ${token}`,
    );
    return this.logged(token);
  }

  /** Sends a request and follows it to its end, both in one record. */
  async run(action: string, data: object, token: string = newToken()): Promise<Row[]> {
    const follow = newToken();
    await this.send(
      `[${action}] [${token}] [] ${JSON.stringify(data)}`,
      `[FOLLOW] [${follow}] [] ${JSON.stringify({ token })}`,
    );
    for (const one of [token, follow]) {
      const { code, data } = ackOf(await this.answer(one));
      if (code !== 0) throw new Error(`${action} was refused: ${JSON.stringify(data)}`);
    }
    return this.ended(token);
  }

  /** That the router no longer knows this session: whatever it is sent, it says so in clear. */
  async isOver(): Promise<void> {
    await this.take(({ verb, clear }) => verb === 'NOSESSION' && clear, 'NOSESSION');
  }

  close(): Promise<void> {
    return this.wire.close();
  }
}

let tokens = 0;
const RUN = b64(randomBytes(6)).replaceAll('-', '.');

/** A token that nobody used before. */
export function newToken(): string {
  return `t.${RUN}.${++tokens}`;
}
