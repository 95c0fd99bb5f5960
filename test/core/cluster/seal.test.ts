import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DroppedMessages } from '../../../core/dist/cluster/dropped-messages.js';
import { type Said, Seal } from '../../../core/dist/cluster/seal.js';

const SECRET = 'what only the routers know';
const TO_B = 'centreond.prod.router.b';
const TO_C = 'centreond.prod.router.c';
const TELL: Said = { kind: 'tell', what: 'news', number: 0, asker: 0, part: 0, parts: 1 };

/** The seal of a router, on a clock of its own. */
function sealOf(id: string, { secret = SECRET, process = 1, now = 1000 } = {}) {
  const clock = { now };
  const seal = new Seal({ id, process, secret, now: () => clock.now });
  return { clock, seal, say: (text: string, to = TO_B) => seal.seal(to, TELL, Buffer.from(text)) };
}

/** What is heard: the text, or why it is dropped. */
function heard({ seal }: { readonly seal: Seal }, message: Buffer, on = TO_B): string {
  const opened = seal.open(on, message);
  return typeof opened === 'string' ? opened : opened.body.toString();
}

/** Two routers of which one hears what the other says after it began. */
function pair() {
  const b = sealOf('b');
  return { b, a: sealOf('a', { now: 2000 }) };
}

describe('a message of a router of the cluster', () => {
  test('is heard as it was said, with who said it', () => {
    const { a, b } = pair();
    const opened = b.seal.open(TO_B, a.seal.seal(TO_B, { ...TELL, number: 7 }, Buffer.from('ü\n\0')));
    expect(opened).toMatchObject({ head: { ...TELL, from: 'a', process: 1, number: 7 }, body: Buffer.from('ü\n\0') });
  });

  test('is not heard with one bit changed, cut, or longer', () => {
    const { a, b } = pair();
    const message = a.say('text');
    fc.assert(
      fc.property(fc.nat(message.length * 8 - 1), (bit) => {
        const changed = Buffer.from(message);
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(heard(b, changed)).toBe('foreign');
      }),
    );
    for (let end = 0; end < message.length; end++) expect(heard(b, message.subarray(0, end))).toBe('foreign');
    expect(heard(b, Buffer.concat([message, Buffer.from('.')]))).toBe('foreign');
    expect(heard(b, message)).toBe('text');
  });

  test('is not heard by another router, nor by all, nor in another cluster', () => {
    const { a, b } = pair();
    for (const to of [TO_C, 'centreond.prod.nodes', 'centreond.test.router.b']) {
      expect(heard(b, a.say('text', to))).toBe('foreign');
      expect(heard(b, a.say('text'), to)).toBe('foreign');
    }
  });

  test('is made only by who knows the secret', () => {
    const { b } = pair();
    expect(heard(b, sealOf('a', { now: 2000, secret: 'a guess' }).say('text'))).toBe('foreign');
    expect(heard(b, Buffer.from('{"from":"a","kind":"tell"}\n{}'))).toBe('foreign');
    expect(heard(b, Buffer.alloc(0))).toBe('foreign');
  });

  test('is heard once, and none after a later one', () => {
    const { a, b } = pair();
    const [first, second, third] = [a.say('1'), a.say('2'), a.say('3')];
    expect([first, first, third, second, third].map((one) => heard(b, one))).toEqual([
      ...['1', 'repeated', '3', 'repeated', 'repeated'],
    ]);
  });

  test('is heard on each subject in its own order', () => {
    const { a, b } = pair();
    const [direct, all] = [a.say('1'), a.say('2', 'centreond.prod.nodes')];
    expect([heard(b, all, 'centreond.prod.nodes'), heard(b, direct)]).toEqual(['2', '1']);
  });

  test('is heard though the clock of its router goes back', () => {
    const { a, b } = pair();
    expect(heard(b, a.say('1'))).toBe('1');
    a.clock.now = 500;
    expect(heard(b, a.say('2'))).toBe('2');
  });

  test('is not heard by who said it, if somebody sends it back', () => {
    const { a } = pair();
    expect(heard(a, a.say('text', 'centreond.prod.nodes'), 'centreond.prod.nodes')).toBe('repeated');
  });
});

describe('a process of a router', () => {
  test('is heard though its clock is behind that of the one before, which is not heard any more', () => {
    const { a, b } = pair();
    const late = [a.say('1'), a.say('2')];
    expect(heard(b, late[0] as Buffer)).toBe('1');
    const next = sealOf('a', { process: 2, now: 100 });
    expect(heard(b, next.say('3'))).toBe('3');
    expect([late[1] as Buffer, a.say('4')].map((one) => heard(b, one))).toEqual(['repeated', 'repeated']);
    expect(heard(b, next.say('5'))).toBe('5');
  });

  test('does not hear what was said to the one before it', () => {
    const a = sealOf('a', { now: 2000 });
    const said = a.say('1');
    const next = sealOf('b', { process: 2, now: 3000 });
    expect(heard(next, said)).toBe('repeated');
    a.clock.now = 3001;
    expect(heard(next, a.say('2'))).toBe('2');
  });
});

test('messages that are dropped are counted, and logged once a minute with how many there were', () => {
  const lines: object[] = [];
  const clock = { now: 0 };
  const dropped = new DroppedMessages({ warn: (first: object) => void lines.push(first) } as never, () => clock.now);
  for (let i = 0; i < 1000; i++) dropped.count('foreign');
  expect(lines).toEqual([{ foreign: 1, repeated: 0, unread: 0 }]);
  dropped.count('repeated');
  clock.now = 60_000;
  dropped.count('unread');
  expect(lines.slice(1)).toEqual([{ foreign: 999, repeated: 1, unread: 1 }]);
  expect(dropped.counters).toEqual({ foreign: 1000, repeated: 1, unread: 1 });
});
