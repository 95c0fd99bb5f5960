import {
  decodeBatch,
  decodePack,
  decodeText,
  encodeBatch,
  encodePack,
  FrameError,
  faultOf,
  formatAck,
  formatMessage,
  isIdentity,
  MAX_DEPTH,
  type Message,
  PACK,
  parseData,
  parseMessage,
  parseReply,
} from '@centreond/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

const from = (chars: string, minLength: number, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...chars), minLength, maxLength });
const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
const NAME = `${UPPER}${UPPER.toLowerCase()}0123456789._-`;
const action = fc
  .tuple(from(UPPER, 1, 1), from(`${UPPER}0123456789_-`, 0, 63))
  .map((parts) => parts.join(''))
  .filter((name) => name !== 'KILL');
const token = from(`${NAME}:`, 0, 255);
const target = from(NAME, 0, 64);
const object = fc.dictionary(
  fc.string().filter((key) => key !== '__proto__'),
  fc.jsonValue({ maxDepth: 5 }).filter((value) => faultOf(value, 20) === undefined),
);

/** What parsing `text` throws; it must be a FrameError. */
function fault(text: string): FrameError | undefined {
  try {
    parseData(parseMessage(text).data);
  } catch (error) {
    if (error instanceof FrameError) return error;
    throw error;
  }
  return undefined;
}

describe('a message', () => {
  test('comes back from what was written', () => {
    fc.assert(
      fc.property(action, token, target, object, (action, token, target, data) => {
        const parsed = parseMessage(formatMessage(action, token, target, data));
        expect({ ...parsed, data: parseData(parsed.data) }).toEqual({
          action,
          token,
          target,
          data: JSON.parse(JSON.stringify(data)),
        });
      }),
    );
  });

  test.each<[string, Message]>([
    ['[PING] [] []', { action: 'PING', token: '', target: '', data: '' }],
    ['[PING] [] [] ', { action: 'PING', token: '', target: '', data: '' }],
    ['[A] [t:1._-Z] [n.1_-] {}', { action: 'A', token: 't:1._-Z', target: 'n.1_-', data: '{}' }],
    ['[A-_9] [t] [n] {"a":"]"}', { action: 'A-_9', token: 't', target: 'n', data: '{"a":"]"}' }],
    ['[A] [t] [n]   {"a":1} ', { action: 'A', token: 't', target: 'n', data: '  {"a":1} ' }],
  ])('%s is one', (text, message) => {
    expect(parseMessage(text)).toEqual(message);
    expect(fault(text)).toBeUndefined();
  });

  test.each([
    ['', ''],
    ['PING', ''],
    ['[PING]', ''],
    ['[PING] ', ''],
    ['[PING] [t]', 't'],
    ['[PING] [t] ', 't'],
    ['[PING] [t] [', 't'],
    ['[PING] [t] [n', 't'],
    ['[PING][t] [n]', ''],
    ['[PING]  [t] [n]', ''],
    ['[PING] [t][n]', 't'],
    ['[PING] [t]  [n]', 't'],
    ['[PING] [t] [n]{}', 't'],
    ['[PING] [t] [n]x', 't'],
    [' [PING] [t] [n]', ''],
    ['[] [t] [n]', 't'],
    ['[ping] [t] [n]', 't'],
    ['[1PING] [t] [n]', 't'],
    ['[_PING] [t] [n]', 't'],
    ['[P NG] [t] [n]', 't'],
    ['[PÉNG] [t] [n]', 't'],
    [`[${'A'.repeat(65)}] [t] [n]`, 't'],
    [`[PING] [${'t'.repeat(256)}] [n]`, ''],
    ['[PING] [a b] [n]', ''],
    ['[PING] [é] [n]', ''],
    ['[PING] [a/b] [n]', ''],
    ['[PING] [t] [a:b]', 't'],
    [`[PING] [t] [${'n'.repeat(65)}]`, 't'],
    ['[PING] [t] [n] []', ''],
    ['[PING] [t] [n] 1', ''],
    ['[PING] [t] [n] null', ''],
    ['[PING] [t] [n] "x"', ''],
    ['[PING] [t] [n] {', ''],
    ['[PING] [t] [n] {}{}', ''],
    ["[PING] [t] [n] {'a':1}", ''],
  ])('%j is none, and its token %j is what can be echoed', (text, token) => {
    const error = fault(text);
    expect(error).toMatchObject({ code: 'MALFORMED_FRAME' });
    expect(error?.message).toContain('[ACTION] [TOKEN] [TARGET]');
    if (token !== '') expect(error?.token).toBe(token);
  });

  test('at the limits of its parts is one', () => {
    expect(fault(`[${'A'.repeat(64)}] [${'t'.repeat(255)}] [${'n'.repeat(64)}]`)).toBeUndefined();
  });

  test('of any text parses or throws a FrameError, nothing else', () => {
    const pieces = fc.constantFrom(
      '[',
      ']',
      ' ',
      'PING',
      'KILL',
      't',
      '{',
      '}',
      '"',
      '\\',
      ':',
      '1',
      '__proto__',
      '\0',
      'é',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => void fault(parts.join(''))),
      { numRuns: 300 },
    );
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void fault(Buffer.from(bytes).toString('utf16le'))));
  });

  test('takes time in proportion to its length, however hostile it is', () => {
    const hostile: ((length: number) => string)[] = [
      (length) => '['.repeat(length),
      (length) => ']'.repeat(length),
      (length) => `[A] [${'t'.repeat(length)}`,
      (length) => `[A] [${'t'.repeat(length)}] [`,
      (length) => `[${'A'.repeat(length)}] [t] [n]`,
      (length) => `[A] [t] [${'] ['.repeat(length / 3)}`,
      (length) => `[KILL] [t] [n] [${']'.repeat(length)}`,
      (length) => `[KILL] [t] [n] [${'['.repeat(length)}`,
      (length) => `[A] [t] [n] ${'{"a":'.repeat(length / 5)}`,
      (length) => `[A] [t] [n] ${'['.repeat(length)}`,
      (length) => `[A] [t] [n] {"a":"${'\\\\'.repeat(length / 2)}`,
      (length) => `[A] [t] [n] ${' '.repeat(length)}`,
    ];
    // The best of some runs, since other processes take their share of the machine.
    const took = (text: string) => {
      let best = Number.POSITIVE_INFINITY;
      for (let run = 0; run < 4; run++) {
        const start = performance.now();
        fault(text);
        best = Math.min(best, performance.now() - start);
      }
      return best;
    };
    for (const make of hostile) {
      // Sixteen times the length: a quadratic scan takes 256 times as long. Half a millisecond is noise.
      expect(took(make(960_000)), make(20)).toBeLessThan(80 * Math.max(took(make(60_000)), 0.5));
    }
  });
});

describe('DATA', () => {
  const nested = (depth: number, open: string, close: string) =>
    `{"a":${open.repeat(depth - 1)}1${close.repeat(depth - 1)}}`;

  test('may nest 32 levels and not 33', () => {
    for (const [open, close] of [
      ['{"a":', '}'],
      ['[', ']'],
    ] as const) {
      expect(() => parseData(nested(MAX_DEPTH, open, close))).not.toThrow();
      expect(() => parseData(nested(MAX_DEPTH + 1, open, close))).toThrow('nests too deep');
    }
    expect(MAX_DEPTH).toBe(32);
  });

  test('that is long may nest as deep, with any brackets in its strings', () => {
    const long = `"x":"${'[{'.repeat(3000)}\\\\","y":"\\"${'['.repeat(100)}"`;
    const deep = (levels: number) => `{${long},"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)},"b":[]}`;
    expect(parseData(deep(MAX_DEPTH)).b).toEqual([]);
    expect(() => parseData(deep(MAX_DEPTH + 1))).toThrow('nests too deep');
    expect(() => parseData(`{${long},"open":"`)).toThrow('not JSON');
    const flat = `{"a":[${'[[]],'.repeat(2000)}[]]}`;
    expect(parseData(flat).a).toHaveLength(2001);
  });

  test('may not have a key __proto__ anywhere, however it is written', () => {
    for (const key of ['"__proto__"', '"\\u005f_proto__"', '"\\u005F\\u005fproto\\u005f_"'])
      for (const data of [
        `{${key}:1}`,
        `{${key}:null}`,
        `{"a":{${key}:{}}}`,
        `{"a":[[{${key}:[]}]]}`,
        `{"a":1,${key}:{"b":1}}`,
      ]) {
        for (const padding of ['', ' '.repeat(10_000)])
          expect(() => parseData(data + padding), data).toThrow('__proto__');
        expect(({} as Record<string, unknown>).b).toBeUndefined();
      }
    expect(parseData('{"a":"__proto__","proto":1,"constructor":2}')).toEqual({
      a: '__proto__',
      proto: 1,
      constructor: 2,
    });
  });

  test('that is nothing is {}', () => {
    expect(parseData('')).toEqual({});
  });
});

describe('KILL', () => {
  const killed = (text: string) => parseData(parseMessage(text).data);

  test('names its instance in brackets or in JSON', () => {
    expect(killed('[KILL] [t] [n] [weather] [paris]')).toEqual({ type: 'weather', id: 'paris' });
    expect(killed('[KILL] [t] [n] [weather] []')).toEqual({ type: 'weather', id: '' });
    expect(killed('[KILL] [t] [n] [weather] [a "quoted" é [id]')).toEqual({ type: 'weather', id: 'a "quoted" é [id' });
    expect(killed('[KILL] [t] [n] {"type":"weather","id":"a]b"}')).toEqual({ type: 'weather', id: 'a]b' });
    expect(killed('[KILL] [t] [n]')).toEqual({});
  });

  test.each([
    '[KILL] [t] [n] [weather]',
    '[KILL] [t] [n] [weather] ',
    '[KILL] [t] [n] [weather][paris]',
    '[KILL] [t] [n] [weather]  [paris]',
    '[KILL] [t] [n] [weather] [paris',
    '[KILL] [t] [n] [weather] [paris] ',
    '[KILL] [t] [n] [weather] [paris] {}',
    '[KILL] [t] [n] [weather] [a]b]',
    '[KILL] [t] [n] [weather] [a\nb]',
    '[KILL] [t] [n] [weather] [a\u007fb]',
  ])('%j is none', (text) => {
    expect(fault(text)).toMatchObject({ code: 'MALFORMED_FRAME', token: 't' });
  });

  test('alone has that form', () => {
    expect(fault('[KILLS] [t] [n] [weather] [paris]')).toMatchObject({ code: 'MALFORMED_FRAME' });
  });

  test('carries any id that brackets can hold', () => {
    const id = fc
      .string({ unit: 'grapheme' })
      .filter((text) => ![...text].some((c) => c === ']' || c < ' ' || c === '\u007f'));
    fc.assert(
      fc.property(id, (id) => {
        expect(killed(`[KILL] [] [] [weather] [${id}]`)).toEqual({ type: 'weather', id });
      }),
    );
  });
});

describe('text', () => {
  test('is strict UTF-8', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const bytes = Buffer.from(text);
        expect(decodeText(bytes)).toBe(bytes.toString());
      }),
    );
    expect(decodeText(Buffer.from('é€😀'))).toBe('é€😀');
    // A lone continuation, an overlong slash, a surrogate, a cut off sequence, a code point beyond the last one.
    for (const bytes of [
      [0x80],
      [0xc0, 0xaf],
      [0xed, 0xa0, 0x80],
      [0xe2, 0x82],
      [0xf4, 0x90, 0x80, 0x80],
      [0x41, 0xff],
    ])
      expect(() => decodeText(Buffer.from(bytes))).toThrow('UTF-8');
  });
});

describe('a reply', () => {
  test('has a TARGET or none', () => {
    expect(parseReply('[PONG] [t] [] {"code":0}')).toEqual({
      action: 'PONG',
      token: 't',
      target: '',
      data: '{"code":0}',
    });
    expect(parseReply(formatAck('t', 0, '{"a":[1]}'))).toEqual({
      action: 'ACK',
      token: 't',
      target: '',
      data: '{"code":0,"data":{"a":[1]}}',
    });
    expect(parseReply('[LOG] [t] {"id":1}').data).toBe('{"id":1}');
    expect(parseReply('[NOSESSION] []')).toEqual({ action: 'NOSESSION', token: '', target: '', data: '' });
    for (const wrong of ['', '[ACK]', '[ACK] t', '[ACK] [t]{}', '[ACK] [t] [n', '[ACK] [t] [n]{}'])
      expect(() => parseReply(wrong), wrong).toThrow(FrameError);
  });
});

describe('a pack', () => {
  const messages = fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 30 });

  test('comes back from what was written, one message bare and several together', () => {
    fc.assert(
      fc.property(messages, (messages) => {
        expect(decodeBatch(encodeBatch(messages)).map(String)).toEqual(messages);
        expect(decodeBatch(encodeBatch(messages, 7), 7).map(String)).toEqual(messages);
        if (messages.length === 1) return;
        const pack = encodePack(messages);
        expect(Buffer.isBuffer(pack) && pack[0]).toBe(PACK);
        expect(decodePack(Buffer.from(pack)).map(String)).toEqual(messages);
      }),
    );
    expect(encodePack(['[PING] [] []'])).toBe('[PING] [] []');
    expect(decodePack(Buffer.from('[PING] [] []')).map(String)).toEqual(['[PING] [] []']);
  });

  test('that is cut anywhere but between two messages is refused', () => {
    const pack = Buffer.from(encodePack(['one', '', 'three']));
    const seams = [1, 8, 12, 21];
    for (let length = 1; length <= pack.length; length++) {
      const cut = () => decodePack(pack.subarray(0, length));
      if (seams.includes(length)) expect(cut).not.toThrow();
      else expect(cut, String(length)).toThrow(FrameError);
    }
  });

  test('of noise is refused or read, with nothing beyond its end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (noise) => {
        const bytes = Buffer.from([PACK, ...noise]);
        try {
          const size = decodePack(bytes).reduce((sum, message) => sum + 4 + message.length, 1);
          expect(size).toBe(bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
        }
      }),
    );
  });
});

test('an identity is a target that can also be a file name', () => {
  for (const name of ['a', 'paris-1.lan_2', '...', 'x'.repeat(64)]) expect(isIdentity(name), name).toBe(true);
  for (const name of ['', '.', '..', '@local', 'a/b', 'a b', 'é', 'x'.repeat(65)])
    expect(isIdentity(name), name).toBe(false);
});

describe('the bound of keys and elements', () => {
  const keys = (count: number) => `{${Array.from({ length: count }, (_, i) => `"key-number-${i}":1`).join(',')}}`;
  test.each<[string, string, boolean]>([
    ['fewer keys', keys(900), true],
    ['more keys', keys(1100), false],
    ['elements of a list', `{"list":[${'1,'.repeat(3000)}1]}`, false],
    ['as many elements as may be', `{"list":[${'1000000,'.repeat(998)}1]}`, true],
    ['one element more', `{"list":[${'1000000,'.repeat(999)}1]}`, false],
    ['empty lists as one element each', `{"list":[${'[ ],{},'.repeat(499)}[\n]]}`, true],
    ['more empty lists', `{"list":[${'[],'.repeat(1500)}[]]}`, false],
    ['commas in a string', `{"text":"${',{['.repeat(3000)}"}`, true],
    ['escaped quotes in a string', `{"text":"${'\\",'.repeat(3000)}"}`, true],
  ])('counts %s while scanning', (_, text, fits) => {
    const parse = () => parseData(text, 't', 1000);
    if (fits) expect(parse()).toEqual(JSON.parse(text));
    else expect(parse).toThrow(/more than 1000 keys and elements/);
  });
});
