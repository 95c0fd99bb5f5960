import { hkdfSync } from 'node:crypto';
import { failure } from '../errors.ts';
import { decodeBatch } from '../frame.ts';
import { Aead, type Cipher, TAG } from './aead.ts';

/** The record ciphers, in the order in which a client offers them unless told otherwise: the quicker one for small records first. */
export const CIPHERS: readonly Cipher[] = ['chacha20-poly1305', 'aes-256-gcm'];

/** 1: client to router, 2: router to client. */
export type Direction = 1 | 2;

/** The 32-byte key and 12-byte iv of one direction. */
export interface TrafficKey {
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
}

/** Where a direction begins: with the keys of `epoch`, at `seq`. Both are 0 but in tests. */
export interface Start {
  readonly epoch: number;
  readonly seq: number;
}

/** When a sealer takes the next keys: after `records` (at most 2^20) or `milliseconds`, whichever comes first. */
export interface SealLimits {
  start?: Start;
  records?: number;
  milliseconds?: number;
  clock?: { now(): number };
}

/** What a record adds to its plaintext. */
export const RECORD_OVERHEAD = 28;

const HEADER = 12;
const VERSION = 1;
const MAX_RECORDS = 2 ** 20;
const MAX_EPOCH = 0xffff;
const HOUR = 3_600_000;
const EMPTY = Buffer.alloc(0);
const FIRST: Start = { epoch: 0, seq: 0 };

/** One direction's key schedule and the bytes that bind a record to its place. */
class Traffic {
  readonly aad: Buffer;
  readonly #key: Uint8Array;
  readonly #aead: Aead;
  readonly #iv: Uint8Array;
  readonly #nonce = Buffer.alloc(12);

  constructor(
    { key, iv }: TrafficKey,
    cipher: Cipher,
    readonly epoch: number,
    direction: Direction,
    session: Buffer,
  ) {
    this.#key = key;
    this.#aead = new Aead(cipher, key);
    this.#iv = iv;
    this.aad = Buffer.alloc(HEADER + session.length);
    this.aad[0] = VERSION;
    this.aad[1] = direction;
    this.aad.writeUInt16BE(epoch, 2);
    session.copy(this.aad, HEADER);
  }

  /** The keys of the next epoch. */
  next(): Traffic {
    const update = (name: string, length: number) =>
      new Uint8Array(hkdfSync('sha256', this.#key, EMPTY, `centreond/1 update ${name}`, length));
    const direction = this.aad[1] === 1 ? 1 : 2;
    const keys = { key: update('key', 32), iv: update('iv', 12) };
    return new Traffic(keys, this.#aead.cipher, this.epoch + 1, direction, this.aad.subarray(HEADER));
  }

  /** Sets AAD and nonce to `seq`, which stays below 2^32 by the rekey limit. */
  #place(seq: number): void {
    this.aad.writeUInt32BE(seq, 8);
    this.#nonce.set(this.#iv);
    this.#nonce.writeUInt32BE((this.#nonce.readUInt32BE(8) ^ seq) >>> 0, 8);
  }

  /** Seals the record `seq`, whose plaintext of `size` bytes stands behind the place of its header. */
  seal(seq: number, record: Buffer, size: number): void {
    this.#place(seq);
    this.#aead.seal(record.subarray(HEADER), size, this.#nonce, this.aad);
    this.aad.copy(record, 0, 0, HEADER);
  }

  /** The plaintext of the record `seq`; undefined if its tag is wrong. */
  open(seq: number, record: Buffer): Buffer | undefined {
    this.#place(seq);
    return this.#aead.open(record.subarray(HEADER), this.#nonce, this.aad);
  }
}

/**
 * Seals the records of one direction, in the order of its calls. Each call uses its place in the sequence up: send what
 * it returns, in that order, or end the session. Takes the next keys by itself.
 */
export class Sealer {
  #traffic: Traffic;
  #seq: number;
  #since: number;
  readonly #limit: number;
  readonly #age: number;
  readonly #clock: { now(): number };

  constructor(keys: TrafficKey, cipher: Cipher, direction: Direction, session: Buffer, limits: SealLimits = {}) {
    const { epoch, seq } = limits.start ?? FIRST;
    this.#traffic = new Traffic(keys, cipher, epoch, direction, session);
    this.#seq = seq;
    this.#limit = Math.min(limits.records ?? MAX_RECORDS, MAX_RECORDS);
    this.#age = limits.milliseconds ?? HOUR;
    this.#clock = limits.clock ?? Date;
    this.#since = this.#clock.now();
  }

  /** One record that carries `messages`. Throws BROKEN_RECORD when the last epoch is used up: the session must end. */
  seal(messages: readonly string[]): Buffer {
    const now = this.#clock.now();
    if (this.#seq >= this.#limit || (this.#seq > 0 && now - this.#since >= this.#age)) {
      if (this.#traffic.epoch === MAX_EPOCH)
        throw failure('BROKEN_RECORD', {
          reason: 'the last epoch of this session is used up',
        });
      this.#traffic = this.#traffic.next();
      this.#seq = 0;
      this.#since = now;
    }
    let size = 0;
    for (const message of messages) size += 4 + Buffer.byteLength(message);
    const record = Buffer.allocUnsafe(HEADER + size + TAG);
    let at = HEADER;
    for (const message of messages) {
      const length = record.write(message, at + 4);
      record.writeUInt32BE(length, at);
      at += 4 + length;
    }
    const seq = this.#seq;
    this.#seq = seq + 1;
    this.#traffic.seal(seq, record, size);
    return record;
  }
}

/** Opens the records of one direction, each exactly once and in order. */
export class Opener {
  #traffic: Traffic;
  #seq: number;
  readonly #direction: Direction;

  constructor(keys: TrafficKey, cipher: Cipher, direction: Direction, session: Buffer, { epoch, seq } = FIRST) {
    this.#traffic = new Traffic(keys, cipher, epoch, direction, session);
    this.#seq = seq;
    this.#direction = direction;
  }

  /**
   * The messages of the next record, each as bytes. Throws BROKEN_RECORD for a replay, a gap, another direction or
   * epoch, a plaintext longer than `maxPlaintext` bytes, a wrong tag or a batch that does not end at its end; the
   * session must end then. Nothing changes here before the tag has been verified.
   */
  open(frame: Buffer, maxPlaintext: number): Buffer[] {
    const size = frame.length - RECORD_OVERHEAD;
    if (size < 0)
      throw failure('BROKEN_RECORD', {
        reason: `${frame.length} bytes are too few`,
      });
    if (size > maxPlaintext)
      throw failure('BROKEN_RECORD', {
        reason: `it carries ${size} bytes and the limit is ${maxPlaintext}`,
      });
    if (frame[0] !== VERSION || frame[1] !== this.#direction)
      throw failure('BROKEN_RECORD', {
        reason: 'its version or direction is wrong',
      });
    const epoch = frame.readUInt16BE(2);
    const seq = frame.readUInt32BE(4) * 2 ** 32 + frame.readUInt32BE(8);
    if (seq >= MAX_RECORDS) throw failure('BROKEN_RECORD', { reason: 'its keys are used up' });
    let traffic = this.#traffic;
    let next = this.#seq;
    if (epoch !== traffic.epoch) {
      if (epoch !== traffic.epoch + 1)
        throw failure('BROKEN_RECORD', {
          reason: `epoch ${epoch} is not the next one after ${traffic.epoch}`,
        });
      traffic = traffic.next();
      next = 0;
    }
    if (seq !== next)
      throw failure('BROKEN_RECORD', {
        reason: seq < next ? `${seq} is a replay` : `${next} is missing before ${seq}`,
      });
    const plaintext = traffic.open(seq, frame);
    if (!plaintext) throw failure('BROKEN_RECORD', { reason: 'its tag is wrong' });
    this.#traffic = traffic;
    this.#seq = seq + 1;
    try {
      return decodeBatch(plaintext);
    } catch {
      throw failure('BROKEN_RECORD', {
        reason: 'its messages do not end where it ends',
      });
    }
  }
}

/** Whether `frame` claims to be the first record of a session (epoch 0, seq 0): the one a pending session waits for. */
export function isFirstRecord(frame: Buffer): boolean {
  if (frame.length < RECORD_OVERHEAD || frame[0] !== VERSION) return false;
  for (let i = 2; i < HEADER; i++) if (frame[i] !== 0) return false;
  return true;
}
