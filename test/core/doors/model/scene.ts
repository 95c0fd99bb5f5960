import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import type { ClientLabel, KeyPair } from '@centreond/protocol/channel';
import type { ExternalDoor } from '../../../../core/dist/doors/external.js';
import type { Trust } from '../../../../core/dist/doors/trust.js';
import type { Connection as RouterEnd } from '../../../../core/dist/doors/zmtp/connection.js';
import type { ListenerOptions } from '../../../../core/dist/doors/zmtp/listener.js';
import type { Peer } from '../../../../core/dist/router/peer.js';
import type { Connection } from '../../../../plugin-sdk/client/dist/connection.js';
import type { DealerHandlers } from '../../../../plugin-sdk/client/dist/dealer/dealer.js';
import { type Forgery, forge } from './forgery.ts';
import type { Modules } from './modules.ts';
import { type Frame, isRecord, Network, type Way, type Wire } from './network.ts';
import { Verdict } from './promises.ts';
import { TestClock } from './test-clock.ts';
import { type Person, Witness } from './witness.ts';

/** Who takes part. Two processes have alice's key; mallory's is unknown to the router. */
export interface Cast {
  readonly router: KeyPair;
  readonly alice: KeyPair;
  readonly bob: KeyPair;
  readonly mallory: KeyPair;
}

const IDLE_MS = 24 * 3_600_000;
const PENDING_MS = 10_000;
const STALL_MS = 120_000;
const ENDLESS_MS = 1_000_000_000;
const TIMING = {
  ping: ENDLESS_MS,
  silence: ENDLESS_MS,
  attempt: ENDLESS_MS,
  backOffMin: 1,
  backOffMax: 1,
  replaced: 1,
  refusals: ENDLESS_MS,
  renew: ENDLESS_MS,
};
const BYE_BYTES = 28 + 4 + '[BYE] [] [] {"reason":"REVOKED"}'.length;

/** One connection of an honest client, and what was said over it. */
interface Talk {
  readonly number: number;
  readonly person: Person;
  readonly wire: Wire;
  connection: Connection;
  /** The transcript that its AUTH signs. */
  th: string | undefined;
  isReady: boolean;
  isLost: boolean;
  said: number;
  /** What the router heard, and by which session. */
  heard: number;
  heardBy: Peer | undefined;
  /** The live session that this client hears, and how much of it. */
  hears: Live | undefined;
  got: number;
}

/** A live session of the router. */
interface Live {
  readonly number: number;
  readonly person: Person;
  readonly wire: Wire;
  readonly peer: Peer;
  /** The place of its AUTH among all that were verified. */
  readonly auth: number;
  /** When a record last went through, and the time before that: its BYE is a record, too. */
  used: [number, number];
  told: number;
}

interface VerifiedAuth {
  readonly person: Person;
  readonly th: string;
  isTaken: boolean;
}

/** Four processes, a router, and the network between them, which belongs to the attacker. */
export class Scene {
  readonly verdict = new Verdict();
  readonly clock = new TestClock();
  readonly network = new Network((wire, bytes) => this.#arriving(wire, bytes));
  readonly people: readonly Person[];
  /** The connection of each process. */
  readonly talks: (Talk | undefined)[] = [];
  readonly #all: Talk[] = [];
  readonly #disk = new Map<string, string>();
  readonly #seals = new Set<string>();
  readonly #witness: Witness;
  readonly #routerKeys: KeyPair;
  readonly #lives: Live[] = [];
  readonly #auths: VerifiedAuth[] = [];
  /** When each wire was last sent a KEY. */
  readonly #offered = new Map<Wire, number>();
  /** How long after its KEY the latest first record of each wire came. */
  readonly #waited = new Map<Wire, number>();
  readonly #skew = [0, 0, 0, 0];
  #roles: 'client' | 'admin' = 'client';
  #lifetime = 0;
  #sessions = 0;
  /** Keys whose grant is being ended by the operator in this moment. */
  #ending = new Set<Person>();
  #isStopping = false;
  #listening: ListenerOptions | undefined;
  #trust!: Trust;
  #door!: ExternalDoor;

  constructor(
    readonly modules: Modules,
    cast: Cast,
  ) {
    this.#witness = new Witness(this.verdict, this.clock);
    const alice: Person = { identity: 'alice', keys: cast.alice, cipher: 'chacha20-poly1305', isTrusted: true };
    const bob: Person = { identity: 'bob', keys: cast.bob, cipher: 'aes-256-gcm', isTrusted: true };
    const mallory: Person = { identity: 'mallory', keys: cast.mallory, cipher: 'aes-256-gcm', isTrusted: false };
    this.people = [alice, alice, bob, mallory];
    const { taken } = this.#witness;
    const { privateKey } = cast.router;
    this.#routerKeys = {
      ...cast.router,
      get privateKey() {
        taken.count++;
        return privateKey;
      },
    };
    modules.stage.holding = 'none';
    modules.stage.scenery = {
      listen: (options) => {
        this.#listening = options;
        return { endpoint: 'tcp://model', counters: {} as never, load: {} as never, close: async () => {} };
      },
      dial: (handlers) => this.#dial(handlers),
      disk: this.#disk,
      sealing: (key, nonce) => this.#sealing(key, nonce),
      opening: (box) => this.#witness.opening(box),
      signing: () => this.#witness.signing(),
      verified: (modulus, label, h) => this.#verified(modulus, label, h),
    };
  }

  // ---- the router -------------------------------------------------------------------------------------------------

  get #clients() {
    const [alice, , bob] = this.people as [Person, Person, Person, Person];
    return {
      trust: 'pending' as const,
      authorized: [
        { identity: 'alice', fingerprint: alice.keys.thumbprint, roles: [this.#roles] },
        { identity: 'bob', fingerprint: bob.keys.thumbprint, roles: ['node' as const] },
      ],
    };
  }

  async start(): Promise<void> {
    const { trust, door } = this.modules;
    this.#trust = new trust.Trust({ file: 'trust.json', clients: this.#clients, clock: this.clock });
    const log = (fields: object, event: string) => this.#log({ ...fields }, event);
    this.#door = new door.ExternalDoor({
      listen: 'tcp://127.0.0.1:*',
      routerKeys: this.#routerKeys,
      trust: this.#trust,
      id: 'central',
      version: '1',
      maxMessage: 1024 * 1024,
      strangers: { perSecond: 1e9, perAddress: { perSecond: 1e9 } },
      idleMs: IDLE_MS,
      chronicle: { tell() {} },
      clock: this.clock,
      log: { info: log, warn: log, error: (fields, event) => this.#failed(fields, event) },
      limits: { sweepMs: ENDLESS_MS, concurrency: 2, pendingMs: PENDING_MS, stallMs: STALL_MS },
      receive: (peer, message) => this.#receive(peer, message.toString()),
    });
    await this.#door.listen();
    this.#door.serve();
  }

  async restart(isGraceful: boolean): Promise<void> {
    this.#isStopping = true;
    const stopped = isGraceful ? this.#door.stop(0) : undefined;
    if (isGraceful) await this.settle();
    this.#lifetime++;
    for (const wire of [...this.network.wires]) wire.cut();
    await (stopped ?? this.#door.stop(0));
    this.modules.stage.releaseAll();
    await this.settle();
    this.#lives.length = 0;
    this.#offered.clear();
    this.#witness.restarted();
    this.#isStopping = false;
    await this.start();
  }

  /** A connection reaches the router's listener. */
  #enter(wire: Wire): void {
    const lifetime = this.#lifetime;
    const isOver = () => this.#lifetime !== lifetime || !wire.isOpen;
    // The parts of a connection that the door uses.
    const end: Pick<RouterEnd, 'address' | 'open' | 'full' | 'send' | 'pause' | 'resume' | 'settle' | 'unsettle'> = {
      address: wire.address,
      get open() {
        return !isOver();
      },
      get full() {
        return wire.isFull;
      },
      send: (frame) => {
        if (!isOver()) this.#sent(wire, Buffer.from(frame));
      },
      pause: () => {
        wire.isPaused = true;
      },
      resume: () => {
        if (!isOver()) wire.resume();
      },
      settle() {},
      unsettle() {},
    };
    wire.router = this.#listening?.onConnection(end as RouterEnd);
  }

  #sent(wire: Wire, bytes: Buffer): void {
    if (bytes.toString('latin1', 0, 5) === '[KEY]') this.#offered.set(wire, this.clock.monotonic());
    if (isRecord(bytes)) {
      const live = this.#lives.find((one) => one.wire === wire);
      this.verdict.expect(live !== undefined, 'auth', 'the router sends a record without a live session');
      if (live) {
        const { person } = live;
        this.#used(live);
        const isBye = this.#ending.has(person) && bytes.length === BYE_BYTES;
        const isRevoked = !person.isTrusted || this.#ending.has(person);
        this.verdict.expect(!isRevoked || isBye, 'revoked', `${person.identity} is sent ${bytes.length} bytes`);
      }
    }
    wire.send('down', bytes);
  }

  #used(live: Live): void {
    live.used = [live.used[1], this.clock.monotonic()];
  }

  #failed(fields: object, event: string): void {
    this.verdict.break('sound', `${event}: ${String('err' in fields ? fields.err : '')}`);
  }

  #log(fields: Record<string, unknown>, event: string): void {
    if (event === 'a session began') this.#began(String(fields.cid), String(fields.address));
    if (event === 'a session ended') this.#ended(String(fields.cause), String(fields.address));
  }

  #began(cid: string, address: string): void {
    const person = this.people.find(({ keys }) => keys.thumbprint === cid);
    const wire = this.network.wires.find((one) => one.address === address);
    const peer = person && this.#door.peer(person.identity);
    if (!person || !wire || !peer) {
      this.verdict.break('auth', `a session of ${cid} began at ${address}`);
      return;
    }
    const auth = this.#auths.findIndex((one) => one.person === person && !one.isTaken);
    const proof = this.#auths[auth];
    this.verdict.expect(proof !== undefined, 'auth', `a session of ${person.identity} began without a verified AUTH`);
    if (proof) proof.isTaken = true;
    const waited = this.#waited.get(wire) ?? Number.POSITIVE_INFINITY;
    this.verdict.expect(waited <= PENDING_MS, 'auth', `an AUTH was taken ${waited} ms after its KEY`);
    this.verdict.expect(person.isTrusted, 'revoked', `a session of ${person.identity} began`);
    const rival = this.#lives.find((one) => one.person.identity === person.identity || one.wire === wire);
    this.verdict.expect(!rival, 'oneLive', `${person.identity} has two live sessions, or its connection has`);
    const now = this.clock.monotonic();
    this.#lives.push({ number: ++this.#sessions, person, wire, peer, auth, used: [now, now], told: 0 });
  }

  #ended(cause: string, address: string): void {
    const at = this.#lives.findIndex(({ wire }) => wire.address === address);
    const [live] = at < 0 ? [] : this.#lives.splice(at, 1);
    if (!live) {
      this.verdict.break('survives', `a session at ${address} ended that never began`);
      return;
    }
    const { person, wire, auth } = live;
    const isNewer = (one: VerifiedAuth, i: number) => i > auth && one.isTaken === false;
    const mayEnd: Record<string, () => boolean> = {
      'a newer session of its identity began': () =>
        this.#auths.some((one, i) => isNewer(one, i) && one.person === person),
      'a newer session of its connection began': () => this.#auths.some(isNewer),
      'the key was revoked, or its grant changed': () => this.#ending.has(person),
      'the router stops': () => this.#isStopping,
      'it was idle': () => this.clock.monotonic() - live.used[0] > IDLE_MS,
      cut: () => !wire.isOpen,
      [`its connection has been full for ${STALL_MS} ms`]: () => wire.isFull,
    };
    const isBroken = () => cause.startsWith('The record does not open: ') && !wire.up.isIntact;
    const isRightful = mayEnd[cause] ?? isBroken;
    this.verdict.expect(isRightful(), 'survives', `the session of ${person.identity} ended: ${cause}`);
  }

  #verified(modulus: string, label: string, h: Buffer): void {
    if (label === 'client helo') this.#witness.verified(h.toString('hex'));
    const person = this.people.find(({ keys }) => keys.jwk.n === modulus);
    if (label === 'client auth' && person) this.#auths.push({ person, th: h.toString('hex'), isTaken: false });
  }

  #sealing(key: Uint8Array, nonce: Buffer): void {
    const place = `${Buffer.from(key).toString('hex')} ${nonce.toString('hex')}`;
    this.verdict.expect(!this.#seals.has(place), 'nonce', 'a key seals twice with one nonce');
    this.#seals.add(place);
  }

  #receive(peer: Peer, text: string): void {
    const live = this.#lives.find((one) => one.peer === peer);
    const isTrusted = this.people.some(({ identity, isTrusted: is }) => identity === peer.identity && is);
    this.verdict.expect(isTrusted, 'revoked', `${text} is heard`);
    this.verdict.expect(peer.open && live !== undefined, 'auth', `${text} is heard, of no live session`);
    const [, number, place] = /^\[SAY] \[(\d+)-(\d+)] \[] /.exec(text) ?? [];
    const talk = this.#all[Number(number)];
    if (!talk) {
      this.verdict.break('intact', `the router hears ${text}`);
      return;
    }
    const { person } = talk;
    talk.heardBy ??= peer;
    if (live) this.#used(live);
    this.verdict.expect(
      Number(place) === ++talk.heard,
      'intact',
      `the router hears ${text} in the ${talk.heard}. place`,
    );
    this.verdict.expect(talk.heard <= talk.said, 'intact', `the router hears ${text}, which was not said`);
    this.verdict.expect(peer.identity === person.identity, 'intact', `${peer.identity} says ${text}`);
    this.verdict.expect(talk.heardBy === peer, 'intact', `two sessions say ${text}`);
    const isProven = this.#auths.some((one) => one.person === person && one.th === talk.th);
    this.verdict.expect(isProven, 'auth', `${text} is heard before its AUTH was verified`);
    if (text.includes('"revoke"')) this.revoke(person);
  }

  // ---- the clients ------------------------------------------------------------------------------------------------

  #dialing: Wire | undefined;

  #dial(handlers: DealerHandlers) {
    this.#dialing = this.network.open();
    this.#enter(this.#dialing);
    return this.#dialing.dealer(handlers);
  }

  /** Process `slot` connects; one whose `isFaulty` does not sign its AUTH. */
  async connect(slot: number, isFaulty = false): Promise<void> {
    const person = this.people[slot % 4] as Person;
    await this.leave(slot);
    const { channel, connection } = this.modules;
    const { keys, identity, cipher } = person;
    const talk: Partial<Talk> = {};
    const sign = (label: ClientLabel, h: Buffer) => {
      if (label === 'client auth') talk.th = h.toString('hex');
      const signed = label === 'client auth' && isFaulty ? randomBytes(32) : h;
      return channel.signPss(keys.privateKey, label, signed);
    };
    const { publicKey: key, jwk, thumbprint } = this.#routerKeys;
    const made = new connection.Connection(
      {
        address: 'tcp://model',
        credentials: {
          keys: { jwk: keys.jwk, thumbprint: keys.thumbprint, sign },
          identity,
          ciphers: [cipher],
          router: { key, jwk, thumbprint },
          fingerprint: thumbprint,
          joinKey: undefined,
        },
        timing: TIMING,
        clock: { now: () => this.clock.now() + (this.#skew[slot % 4] ?? 0) },
        inboundLimit: 2 * 1024 * 1024,
      },
      {
        ready: () => {
          talk.isReady = true;
        },
        message: (text) => this.#heard(whole, text),
        lost: () => {
          talk.isLost = true;
        },
      },
    );
    const wire = this.#dialing as Wire;
    const begun = { number: this.#all.length, person, wire, connection: made, said: 0, heard: 0, got: 0 };
    const whole = Object.assign(talk, { isReady: false, isLost: false, ...begun }) as Talk;
    this.#all.push(whole);
    this.talks[slot % 4] = whole;
    await this.settle();
    // The HELO may be delivered by now only by a move.
    for (const { bytes } of wire.up.queue) if (!isRecord(bytes)) this.#witness.made(bytes, person, identity, true);
  }

  /** Process `slot` ends, or gives its connection up. */
  async leave(slot: number): Promise<void> {
    await this.talks[slot % 4]?.connection.close();
    this.talks[slot % 4] = undefined;
  }

  /** Process `slot` says some messages in one turn; the router revokes its key when it hears the first of them. */
  say(slot: number, count: number, isLast: boolean): void {
    const talk = this.talks[slot % 4];
    if (!talk?.isReady || talk.isLost) return;
    for (let i = 0; i < count; i++) {
      const text = `[SAY] [${talk.number}-${++talk.said}] [] {"then":"${isLast && i === 0 ? 'revoke' : ''}"}`;
      talk.connection.send(text, text.length);
    }
  }

  /** The router tells a live session some things in one turn. */
  tell(pick: number, count: number): void {
    const live = this.#lives[pick % Math.max(1, this.#lives.length)];
    for (let i = 0; live && i < count; i++) live.peer.send(`[LOG] [${live.number}-${++live.told}] {}`);
  }

  #heard(talk: Talk, text: string): void {
    if (text.startsWith('[BYE] ')) return;
    const [, number, place] = /^\[LOG] \[(\d+)-(\d+)] \{}$/.exec(text) ?? [];
    const live = this.#lives.find((one) => one.number === Number(number));
    talk.hears ??= live;
    const isMine = live === undefined || (live === talk.hears && live.person === talk.person);
    this.verdict.expect(number !== undefined && isMine, 'intact', `${talk.person.identity} hears ${text}`);
    this.verdict.expect(Number(place) === ++talk.got, 'intact', `a client hears ${text} in the ${talk.got}. place`);
  }

  // ---- the operator and time --------------------------------------------------------------------------------------

  revoke(person: Person): void {
    if (!person.isTrusted) return;
    this.#changing(person, () => this.#trust.revoke(person.identity));
    person.isTrusted = false;
  }

  /** Lets a key in again that was revoked. */
  accept(person: Person): void {
    if (person.isTrusted || person === this.people[3]) return;
    const { fingerprint, identity, roles } = this.#grantOf(person);
    this.#trust.accept({ fingerprint, identity, roles });
    person.isTrusted = true;
  }

  #grantOf(person: Person) {
    const found = this.#clients.authorized.find(({ identity }) => identity === person.identity);
    if (!found) throw new Error(`${person.identity} has no grant`);
    return found;
  }

  /** A new configuration gives alice another role. */
  regrant(): void {
    this.#roles = this.#roles === 'client' ? 'admin' : 'client';
    this.#changing(this.people[0] as Person, () => this.#trust.configure(this.#clients));
  }

  #changing(person: Person, change: () => void): void {
    this.#ending.add(person);
    change();
    this.#ending.delete(person);
    this.verdict.expect(!this.#lives.some((one) => one.person === person), 'revoked', `${person.identity} lives on`);
  }

  pass(ms: number): void {
    this.clock.advance(ms);
    this.#witness.saw();
  }

  jump(ms: number): void {
    this.clock.jump(ms);
    this.#witness.saw();
  }

  skew(slot: number, ms: number): void {
    this.#skew[slot % 4] = ms;
  }

  sweep(): void {
    this.#door.sweep();
  }

  // ---- the network ------------------------------------------------------------------------------------------------

  #arriving(wire: Wire, bytes: Buffer): void {
    if (bytes.toString('latin1', 0, 7) === '[HELO] ') this.#witness.arrived(bytes);
    const isFirst = isRecord(bytes) && bytes.subarray(2, 12).every((byte) => byte === 0);
    if (isFirst) this.#waited.set(wire, this.clock.monotonic() - (this.#offered.get(wire) ?? 0));
  }

  /** Delivers a frame to an end of `wire`. */
  deliver(wire: Wire, frame: Frame): void {
    wire.deliver(frame);
  }

  /** The attacker sends bytes of his own making, or a stranger does. */
  inject(wire: Wire, way: Way, bytes: Buffer): void {
    this.deliver(wire, { bytes, wire: undefined, way, place: undefined });
  }

  /** The attacker, who holds mallory's key, sends a HELO on a connection. */
  async forge(wire: Wire, kind: Forgery): Promise<void> {
    const { channel } = this.modules;
    const [alice, , bob, mallory] = this.people as [Person, Person, Person, Person];
    const world = { channel, alice, bob, mallory, router: this.#routerKeys, now: this.clock.now() };
    const { frame, person, identity, isSound } = await forge(kind, world);
    this.#witness.made(frame, person, identity, isSound);
    this.inject(wire, 'up', frame);
  }

  /** A connection of the attacker's own. */
  stranger(): Wire {
    const wire = this.network.open();
    this.#enter(wire);
    return wire;
  }

  /** An honest network: all that waits is delivered in its order, until nothing does. */
  async pump(): Promise<void> {
    for (let round = 0; round < 200; round++) {
      const busy = this.network.wires.filter(({ up, down }) => up.queue.length + down.queue.length > 0);
      if (busy.length === 0) break;
      for (const wire of busy) {
        for (const lane of [wire.up, wire.down]) {
          for (const frame of lane.queue.splice(0)) this.deliver(wire, frame);
        }
      }
      await this.settle();
    }
    this.#checkDelivered();
  }

  /** The attacker carries a handshake of one connection over another one. */
  async relay(from: Wire, over: Wire): Promise<void> {
    for (let round = 0; round < 3; round++) {
      this.#carry(from, over, 'up');
      await this.settle();
      this.#carry(over, from, 'down');
      await this.settle();
    }
  }

  /** Delivers all that waits on one connection over another: it is missing where it was sent. */
  #carry(from: Wire, over: Wire, way: Way): void {
    const lane = from[way];
    if (lane.queue.length > 0) lane.isIntact = false;
    for (const frame of lane.queue.splice(0)) this.deliver(over, frame);
  }

  /** Waits until all computations are over or held, and all that was queued was sent. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 2; ) {
      await turn();
      quiet = this.modules.stage.computing === 0 ? quiet + 1 : 0;
    }
  }

  // ---- what has to hold -------------------------------------------------------------------------------------------

  check(): void {
    const { load } = this.#door;
    if (this.modules.stage.held === 0) this.#witness.check();
    this.verdict.expect(load.live === this.#lives.length, 'oneLive', `${load.live} live, ${this.#lives.length} began`);
    for (const { peer, person } of this.#lives)
      this.verdict.expect(peer.open, 'survives', `the session of ${person.identity} is over without a word`);
    this.verdict.check();
  }

  #checkDelivered(): void {
    const isPaused = this.modules.stage.held === 0 && this.network.wires.some((wire) => wire.isPaused);
    this.verdict.expect(!isPaused, 'works', 'a connection stays paused');
    for (const talk of this.talks) {
      if (!talk?.isReady || talk.isLost || !talk.wire.isOpen) continue;
      const { wire, person } = talk;
      const live = this.#lives.find((one) => one.wire === wire);
      if (!live || wire.isPaused || wire.isFull || live.person !== person) continue;
      const isHeard = !wire.up.isIntact || talk.heard === talk.said;
      this.verdict.expect(isHeard, 'works', `of ${talk.said} messages of ${person.identity} ${talk.heard} were heard`);
      const isTold = !wire.down.isIntact || talk.got === live.told;
      this.verdict.expect(isTold, 'works', `of ${live.told} messages ${person.identity} got ${talk.got}`);
    }
  }

  /** The attacker leaves, the clocks are right, and time passes: whoever is let in has a session again. */
  async finish(): Promise<void> {
    const { stage } = this.modules;
    stage.releaseAll();
    await this.settle();
    for (const wire of this.network.wires) wire.drain();
    this.#skew.fill(0);
    this.pass(600_000);
    this.sweep();
    for (const slot of [0, 2]) await this.connect(slot);
    await this.pump();
    for (const slot of [0, 2]) this.say(slot, 2, false);
    await this.settle();
    await this.pump();
    this.check();
    for (const slot of [0, 2]) {
      const talk = this.talks[slot];
      const { isTrusted, identity } = this.people[slot] as Person;
      const isBack = talk?.isReady === true && talk.heard === 2;
      this.verdict.expect(isBack === isTrusted, 'recovers', `${identity} ${isTrusted ? 'is not back' : 'is back'}`);
    }
    this.verdict.check();
  }

  /** Leaves nothing behind, whatever happened. */
  async close(): Promise<void> {
    this.modules.stage.releaseAll();
    this.#isStopping = true;
    for (const wire of [...this.network.wires]) wire.cut();
    for (const { connection } of this.#all) await connection.close();
    await this.#door.stop(0);
    await this.settle();
  }
}

/** The keys of everybody, made once: no move depends on their bytes. */
export function newCast(channel: Modules['channel']): Cast {
  const newKeys = () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    return channel.keyPairOf(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
  };
  return { router: newKeys(), alice: newKeys(), bob: newKeys(), mallory: newKeys() };
}
