import { type AddressInfo, createServer, type Socket as TcpSocket, connect as tcpConnect } from 'node:net';
import {
  decodePack,
  encodePack,
  formatAck,
  type HistoryRow,
  isTerminal,
  type Json,
  type JsonObject,
  type Message,
  parseData,
  parseMessage,
} from '@centreond/protocol';
import {
  answerHello,
  type Cipher,
  HANDSHAKE_LIMIT,
  joinedBy,
  type KeyPair,
  keyPairOf,
  openHello,
  parseHello,
  publicKeyFromSpki,
  type RouterSession,
  verifyAuth,
  verifyHello,
} from '@centreond/protocol/channel';
import { Router } from 'zeromq';
import { rsaKey } from '../rsa-keys.ts';

/** A key that nobody else here has, of the least size that the protocol takes. */
export function newKeys(): KeyPair {
  return keyPairOf(rsaKey());
}

/** Resolves when `condition` holds; rejects after 10 s with `what`. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`this never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

function thumbprintOf(key: KeyPair['publicKey']): string {
  return publicKeyFromSpki(key.export({ type: 'spki', format: 'der' })).thumbprint;
}

interface Live {
  route: Buffer;
  session: RouterSession | undefined;
  key: KeyPair['publicKey'] | undefined;
  identity: string;
  proven: boolean;
  /** It came with the join token. */
  joins: boolean;
  follows: Set<string>;
}

export interface Request extends Message {
  text: string;
  identity: string;
}

/**
 * A small router, true to the wire and to nothing else: a real ROUTER socket, the real handshake, a history in memory.
 * A test says by `onRequest` how requests end and takes hold of the rest through the switches.
 */
export class TestRouter {
  readonly keys: KeyPair;
  /** What came: HELO and GETPUBKEY as they are, records as their messages. */
  readonly frames: string[][] = [];
  readonly requests: Request[] = [];
  readonly helloTimes: number[] = [];
  readonly rows: HistoryRow[] = [];
  readonly live = new Map<string, Live>();
  endpoint = '';
  id = 'central';
  maxMessage = 1024 * 1024;
  cipher: Cipher | undefined;
  /** Refuses each HELO with these words. */
  refusal: string | undefined;
  /** K of the join token that is open: the first key that uses it is let in from then on. */
  joinKey: Buffer | undefined;
  /** The thumbprints that are let in; undefined lets all in. */
  admitted: Set<string> | undefined;
  /** Refuses each FOLLOW with this code. */
  followRefusal: string | undefined;
  /** How many rows a page of GETLOG has at most. */
  pageRows = 1000;
  /** FOLLOWs of a token that the session follows already: no client may send one, its rows would mix. */
  doubleFollows = 0;
  /** Answers nothing at all. */
  isMute = false;
  /** Edits a frame on its way out; undefined drops it. */
  outgoing: (frame: Buffer | string) => Buffer | string | undefined = (frame) => frame;
  /** Decides on a request that is no read; default accepts it and finishes it with its own data. */
  onRequest: (request: Request, live: Live) => void = (request) => {
    this.accept(request);
    this.addRow(request.token, 2, parseData(request.data));
  };
  #socket: Router | undefined;
  #nextId = 0;
  #working = Promise.resolve();

  constructor(keys: KeyPair = newKeys()) {
    this.keys = keys;
  }

  async bind(endpoint = 'tcp://127.0.0.1:*'): Promise<this> {
    const socket = new Router({ mandatory: true, handover: false, sendTimeout: 0, linger: 0, sendHighWaterMark: 0 });
    await socket.bind(endpoint);
    this.#socket = socket;
    this.endpoint = socket.lastEndpoint ?? '';
    void this.#receive(socket);
    return this;
  }

  close(): void {
    this.#socket?.close();
    this.live.clear();
  }

  /** Loses every session, as a restart does, but not the connections. */
  forget(): void {
    this.live.clear();
  }

  /** Sends to every live session. */
  broadcast(text: string): void {
    for (const live of this.live.values()) if (live.proven) this.say(live, text);
  }

  say(live: Live, ...texts: string[]): void {
    this.send(live.route, live.session ? live.session.sealer.seal(texts) : encodePack(texts));
  }

  send(route: Buffer, frame: Buffer | string): void {
    const edited = this.outgoing(frame);
    // A peer that is gone is what several tests are about.
    if (edited !== undefined && !this.#socket?.closed) this.#socket?.send([route, edited]).catch(() => undefined);
  }

  accept(request: Request, data = '{}'): void {
    this.#answer(request, formatAck(request.token, 0, data));
  }

  refuse(request: Request, error: string): void {
    this.#answer(request, formatAck(request.token, 1, JSON.stringify({ error, message: `${error} it is` })));
  }

  #answer(request: Request, text: string): void {
    for (const live of this.live.values()) if (live.identity === request.identity) this.say(live, text);
  }

  addRow(token: string, code: number, data: Json = {}): HistoryRow {
    const row: HistoryRow = { id: ++this.#nextId, token, type: 'TEST', node: 'here', code, etime: 1, ctime: 1, data };
    this.rows.push(row);
    for (const live of this.live.values())
      if (live.follows.has(token)) {
        this.say(live, `[LOG] [${token}] ${JSON.stringify(row)}`);
        if (isTerminal(code)) live.follows.delete(token);
      }
    return row;
  }

  #rowsOf({ token, id = 0 }: JsonObject): HistoryRow[] {
    return this.rows.filter((row) => row.token === token && row.id > Number(id));
  }

  async #receive(socket: Router): Promise<void> {
    for (;;) {
      let parts: Buffer[];
      try {
        parts = await socket.receive();
      } catch {
        return;
      }
      const [route, frame] = parts;
      if (route && frame && !this.isMute) this.#working = this.#working.then(() => this.#take(route, frame));
    }
  }

  async #take(route: Buffer, frame: Buffer): Promise<void> {
    const id = route.toString('hex');
    const live = this.live.get(id);
    if (frame[0] === 1) {
      if (live?.session) await this.#record(live, frame);
      else this.send(route, '[NOSESSION] []');
      return;
    }
    const text = frame.toString();
    if (text === '[GETPUBKEY]') {
      this.frames.push([text]);
      const der = this.keys.publicKey.export({ type: 'spki', format: 'der' });
      this.send(route, `[PUBKEY] [${der.toString('base64url')}]`);
    } else if (text.startsWith('[HELO] ')) await this.#hello(route, text);
    else {
      const local = live ?? this.#admit(route, '@local', undefined, undefined);
      this.#requests(local, decodePack(frame).map(String));
    }
  }

  #admit(route: Buffer, identity: string, session: RouterSession | undefined, key: Live['key']): Live {
    const proven = session === undefined;
    const live: Live = { route, session, key, identity, proven, joins: false, follows: new Set() };
    this.live.set(route.toString('hex'), live);
    return live;
  }

  async #hello(route: Buffer, text: string): Promise<void> {
    this.frames.push([text]);
    this.helloTimes.push(performance.now());
    const hello = parseHello(text);
    const joinKey = hello.mac && this.joinKey && joinedBy(hello, [this.joinKey], (key) => key);
    const isKnown = hello.mac ? joinKey !== undefined : (this.admitted?.has(hello.cid) ?? true);
    if (!isKnown || this.refusal !== undefined || hello.sid !== this.keys.thumbprint || !(await verifyHello(hello))) {
      const data = { error: 'HANDSHAKE_REFUSED', message: this.refusal ?? 'The handshake was refused.' };
      this.send(route, formatAck('', 1, JSON.stringify(data)));
      return;
    }
    const opened = await openHello(hello, this.keys, joinKey);
    const session = await answerHello(hello, opened, this.keys, this.cipher ?? hello.ciphers[0] ?? 'aes-256-gcm');
    this.#admit(route, opened.identity, session, hello.key).joins = joinKey !== undefined;
    this.send(route, session.frame);
  }

  async #record(live: Live, frame: Buffer): Promise<void> {
    const limit = live.proven ? this.maxMessage + 4096 : HANDSHAKE_LIMIT;
    const messages = live.session?.opener.open(frame, limit).map(String) ?? [];
    if (!live.proven) {
      const auth = messages.shift() ?? '';
      if (!live.session || !live.key || !(await verifyAuth(live.session.th, live.key, auth)))
        throw new Error('the AUTH is wrong');
      for (const [id, other] of this.live)
        if (other !== live && other.identity === live.identity) {
          this.say(other, '[BYE] [] [] {"reason":"REPLACED"}');
          this.live.delete(id);
        }
      live.proven = true;
      if (live.joins) {
        this.admitted?.add(thumbprintOf(live.key));
        this.joinKey = undefined;
      }
      const { identity } = live;
      const welcome = { id: this.id, identity, roles: ['client'], version: '1.0.0', maxMessage: this.maxMessage };
      this.say(live, formatAck('', 0, JSON.stringify(welcome)));
      if (messages.length === 0) return;
    }
    this.#requests(live, messages);
  }

  #requests(live: Live, messages: string[]): void {
    this.frames.push(messages);
    for (const text of messages) {
      // Answers to what came down the session: `frames` has them.
      if (text.startsWith('[ACK] ') || text.startsWith('[PONG] ')) continue;
      const request: Request = { ...parseMessage(text), text, identity: live.identity };
      const data = parseData(request.data);
      if (request.action === 'PING') {
        const pong = `{"code":0,"data":{"id":"${this.id}","hostname":"here","version":"1.0.0"}}`;
        this.say(live, `[PONG] [${request.token}] [] ${pong}`);
        if (!request.token.startsWith('heartbeat:')) this.requests.push(request);
        continue;
      }
      this.requests.push(request);
      if (request.action === 'FOLLOW' && this.followRefusal !== undefined) this.refuse(request, this.followRefusal);
      else if (request.action === 'FOLLOW') {
        const token = String(data.token);
        if (live.follows.has(token)) this.doubleFollows++;
        live.follows.add(token);
        const past = this.#rowsOf(data);
        if (past.some((row) => isTerminal(row.code))) live.follows.delete(token);
        const logs = past.map((row) => `[LOG] [${token}] ${JSON.stringify(row)}`);
        this.say(live, formatAck(request.token, 0, '{}'), ...logs);
      } else if (request.action === 'GETLOG') {
        const match = this.#rowsOf(data);
        const result = match.slice(0, Math.min(this.pageRows, Number(data.limit)));
        const more = match.length > result.length;
        this.accept(request, JSON.stringify({ action: 'getlog', id: 'here', result, more }));
      } else this.onRequest(request, live);
    }
  }
}

/** A TCP line to `endpoint` that can be cut and stalled. */
export class Wire {
  readonly #server = createServer((near) => this.#join(near));
  readonly #pairs = new Set<[TcpSocket, TcpSocket]>();
  connections = 0;
  /** Where it listens, or did. */
  address = '';

  constructor(public endpoint: string) {}

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.address = `tcp://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  /** How many connections there are. */
  get open(): number {
    return this.#pairs.size;
  }

  /** Ends every connection; new ones are taken. */
  cut(): void {
    for (const [near, far] of this.#pairs) {
      near.destroy();
      far.destroy();
    }
    this.#pairs.clear();
  }

  /** Nothing passes any more on the connections there are. */
  stall(): void {
    for (const [near, far] of this.#pairs) {
      near.unpipe(far);
      far.unpipe(near);
    }
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #join(near: TcpSocket): void {
    this.connections++;
    const far = tcpConnect(Number(this.endpoint.split(':').at(-1)), '127.0.0.1');
    const pair: [TcpSocket, TcpSocket] = [near, far];
    this.#pairs.add(pair);
    near.setNoDelay();
    far.setNoDelay();
    near.pipe(far);
    far.pipe(near);
    const over = () => {
      near.destroy();
      far.destroy();
      this.#pairs.delete(pair);
    };
    for (const socket of pair) socket.on('error', over).on('close', over);
  }
}
