import { isCentreondError } from '@centreond/protocol';
import { type Direction, Opener, RECORD_OVERHEAD, type TrafficKey } from '@centreond/protocol/channel';
import { expect, test } from 'vitest';
import { type Cipher, pack, sealRecord } from '../e2e/second-implementation.ts';
import { fuzz, options, titled } from './campaign.ts';
import type { Dice } from './dice.ts';

const CIPHERS: readonly Cipher[] = ['chacha20-poly1305', 'aes-256-gcm'];
const SESSION = Buffer.alloc(16, 0x5e);
const KEYS: TrafficKey = { key: Buffer.alloc(32, 1), iv: Buffer.alloc(12, 2) };
const MAX_PLAINTEXT = 1000;

interface Attempt {
  readonly cipher: Cipher;
  readonly direction: Direction;
  /** What the opener waits for. */
  readonly seq: number;
  readonly frame: Buffer;
  /** The plaintext if the record is authentic and in its place. */
  readonly plaintext: Buffer | undefined;
}

function plaintextOf(dice: Dice): Buffer {
  const sound = pack(dice.list(5, () => dice.bytes(dice.size(80))));
  return dice.one([
    () => sound,
    () => dice.mutated(sound),
    () => dice.bytes(dice.size(100)),
    () => pack([dice.bytes(MAX_PLAINTEXT - 8 + dice.below(9))]),
  ]);
}

function attempt(dice: Dice): Attempt {
  const cipher = dice.pick(CIPHERS);
  const direction = dice.pick([1, 2] as const);
  const seq = dice.pick([0, 1, 2, 255, 2 ** 20 - 1]);
  const parts = { cipher, ...KEYS, session: SESSION, direction, epoch: 0, seq: BigInt(seq) };
  const plaintext = plaintextOf(dice);
  const sealed = sealRecord(parts, plaintext);
  const other = () => {
    const change = dice.one<object>([
      () => ({ direction: 3 - direction }),
      () => ({ epoch: dice.pick([1, 2, 65_535]) }),
      () => ({ seq: BigInt(dice.pick([seq + 1, Math.max(0, seq - 1) + (seq === 0 ? 1 : 0), 2 ** 20, 2 ** 32 + seq])) }),
      () => ({ session: dice.bytes(16) }),
      () => ({ key: dice.bytes(32) }),
      () => ({ cipher: CIPHERS[1 - CIPHERS.indexOf(cipher)] as Cipher }),
    ]);
    return sealRecord({ ...parts, ...change }, plaintext);
  };
  const frame = dice.one([
    () => sealed,
    () => dice.mutated(sealed),
    other,
    () => sealed.subarray(0, dice.below(sealed.length)),
    () => dice.bytes(dice.size(80)),
  ]);
  const isSound = frame.equals(sealed) && plaintext.length <= MAX_PLAINTEXT;
  return { cipher, direction, seq, frame, plaintext: isSound ? plaintext : undefined };
}

/** The messages of a plaintext, read without any code of the channel; undefined if it does not end at its end. */
function messagesOf(plaintext: Buffer): string[] | undefined {
  const out: string[] = [];
  let at = 0;
  while (at < plaintext.length) {
    if (at + 4 > plaintext.length) return undefined;
    const end = at + 4 + plaintext.readUInt32BE(at);
    if (end > plaintext.length) return undefined;
    out.push(plaintext.toString('hex', at + 4, end));
    at = end;
  }
  return out;
}

test(
  titled('a record is opened if it is authentic and the next one, and refused without a trace otherwise'),
  options,
  () =>
    fuzz<Attempt>({
      name: 'record',
      cases: 1_600_000,
      make: attempt,
      run({ cipher, direction, seq, frame, plaintext }) {
        const opener = new Opener(KEYS, cipher, direction, SESSION, { epoch: 0, seq });
        const right = plaintext && messagesOf(plaintext);
        let opened: string[] | undefined;
        try {
          opened = opener.open(frame, MAX_PLAINTEXT).map((message) => message.toString('hex'));
        } catch (error) {
          if (!isCentreondError(error) || error.code !== 'BROKEN_RECORD') throw error;
        }
        if (JSON.stringify(opened) !== JSON.stringify(right)) expect(opened).toEqual(right);
        if (plaintext !== undefined) return;
        // What was refused moved nothing: the record that was waited for still opens.
        const next = sealRecord(
          { cipher, ...KEYS, session: SESSION, direction, epoch: 0, seq: BigInt(seq) },
          pack(['x']),
        );
        expect(next.length).toBe(RECORD_OVERHEAD + 5);
        if (opener.open(next, MAX_PLAINTEXT)[0]?.toString() !== 'x') throw new Error('the next record does not open');
      },
      show: ({ frame, ...attempt }) => JSON.stringify({ ...attempt, frame: frame.toString('hex') }),
    }),
);
