import fc from 'fast-check';
import { expect, test } from 'vitest';
import { defaultId } from '../../../core/dist/config/schema.js';
import { parseSource } from '../../../core/dist/config/source.js';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../../core/dist/config/units.js';
import { near } from '../../../core/dist/words.js';

const DURATIONS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZES = { B: 1, KiB: 1_024, MiB: 1_024 ** 2, GiB: 1_024 ** 3 };

function always<T>(values: fc.Arbitrary<T>, promise: (value: T) => void): void {
  fc.assert(
    fc.property(values, (value) => {
      promise(value);
    }),
  );
}

for (const [what, units, parse, format] of [
  ['duration', DURATIONS, parseDuration, formatDuration],
  ['size', SIZES, parseSize, formatSize],
] as const) {
  test(`a ${what} is a whole number times its unit`, () => {
    const one = fc.tuple(fc.nat({ max: 8_000_000 }), fc.constantFrom(...Object.entries(units)));
    always(one, ([n, [unit, factor]]) => expect(parse(`${n}${unit}`)).toBe(n * factor));
  });

  test(`a ${what} is written so that it reads the same`, () => {
    always(fc.maxSafeNat(), (n) => expect(parse(format(n))).toBe(n));
  });

  test(`nothing else is a ${what}`, () => {
    const sound = new RegExp(`^[0-9]+(${Object.keys(units).join('|')})$`);
    const text = fc.oneof(
      fc.string(),
      fc.stringMatching(/^[-+ 0-9.e]{0,4} ?(ms|[smhdwyBK]|KB|MiB|gib|constructor)? ?$/),
    );
    always(
      text.filter((word) => !sound.test(word)),
      (word) => expect(parse(word)).toHaveProperty('refused'),
    );
    const other = fc.oneof(fc.integer(), fc.boolean(), fc.constant(null), fc.array(fc.string()));
    always(other, (value) => expect(parse(value)).toHaveProperty('refused'));
    expect(parse(`9007199254740993${Object.keys(units)[0]}`)).toHaveProperty('refused');
  });
}

test('whatever a file holds, it is read or refused at a place in it', () => {
  const tokens = [
    'a',
    ':',
    ' ',
    '\n',
    '- ',
    '[',
    ']',
    '{',
    '}',
    ',',
    '&x ',
    '*x',
    '<<',
    '#',
    '"',
    "'",
    '|',
    '\t',
    '? ',
    '!t ',
  ];
  const yaml = fc.array(fc.constantFrom(...tokens, '1', '.inf', '\r', '---\n')).map((words) => words.join(''));
  always(fc.oneof(fc.string(), yaml), (content) => {
    for (const name of ['x.yaml', 'x.json']) {
      const { problems, value, at } = parseSource(name, content);
      expect(value === undefined).toBe(problems.some(({ code }) => code !== 'CONFIG_DUPLICATE_KEY'));
      expect(() => JSON.stringify(value)).not.toThrow();
      const lines = content.split('\n').length;
      for (const place of [...problems, at([]), at(['a', 0, 'a'])]) {
        expect(place.line).toBeGreaterThanOrEqual(1);
        expect(place.line).toBeLessThanOrEqual(lines + 1);
        expect(place.column).toBeGreaterThanOrEqual(1);
      }
    }
  });
});

test('a host name becomes an id, whatever it is', () => {
  expect(defaultId('paris-1.example.org')).toBe('paris-1.example.org');
  expect(defaultId('büro rechner')).toBe('b-ro-rechner');
  expect(defaultId('..')).toBe('centreond');
  expect(defaultId('')).toBe('centreond');
  always(fc.string(), (host) => expect(defaultId(host)).toMatch(/^[A-Za-z0-9._-]{1,64}$/));
});

test.each([
  ['dataDir', 'dataDir'],
  ['DATADIR', 'dataDir'],
  ['data-dir', 'dataDir'],
  ['dtaaDir', 'dataDir'],
  ['externl', 'external'],
  ['ix', 'id'],
  ['xy', undefined],
  ['x', undefined],
  ['', undefined],
  ['maximum', undefined],
])('%s is near %s', (word, expected) => {
  expect(near(word, ['id', 'dataDir', 'external', 'store', 'maxMessage'])).toBe(expected);
});

test('of several near words the nearest is meant', () => {
  expect(near('stroe', ['score', 'store'])).toBe('store');
});
