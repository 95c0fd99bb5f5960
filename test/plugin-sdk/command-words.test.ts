import { spawnSync } from 'node:child_process';
import { joinWords, splitWords } from '@centreond/command';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

/** What /bin/sh makes of each text: its words, or undefined where it refuses it. Of those that `parse` it is to refuse none. */
function shellWords(texts: readonly string[], parse: boolean): (string[] | undefined)[] {
  // A text that does not parse ends the shell, or the subshell of its own; the marker after the count keeps the answers apart.
  const one = `eval "set -- $t" && printf '%s\\0' "$#" "$@"`;
  const script = `exec 2>/dev/null; for t in "$@"; do ${parse ? one : `(${one}) || printf 'refused\\0'`}; done`;
  const { stdout } = spawnSync('/bin/sh', ['-c', script, 'sh', ...texts], { encoding: 'utf8', maxBuffer: 1 << 28 });
  const parts = stdout.split('\0');
  let at = 0;
  return texts.map(() => {
    const count = parts[at++];
    if (count === 'refused') return undefined;
    const words = parts.slice(at, at + Number(count));
    at += Number(count);
    return words;
  });
}

describe('a command that is text', () => {
  it.each([
    ['ls', ['ls']],
    ['  ls   -l\t/tmp\n', ['ls', '-l', '/tmp']],
    [`echo 'a b' "c d" e\\ f`, ['echo', 'a b', 'c d', 'e f']],
    [`a'b'"c"d`, ['abcd']],
    [`'' "" x`, ['', '', 'x']],
    [`"a\\"b\\\\c\\$d\\\`e\\nf"`, ['a"b\\c$d`e\\nf']],
    [`'a\\b"c'`, ['a\\b"c']],
    [`"it's"`, ["it's"]],
    ['a\\\nb "c\\\nd"', ['ab', 'cd']],
    ['echo $HOME ~ * ? [a] {b,c} `d` $(e)', ['echo', '$HOME', '~', '*', '?', '[a]', '{b,c}', '`d`', '$(e)']],
    ['a|b && c; d > e & # f', ['a|b', '&&', 'c;', 'd', '>', 'e', '&', '#', 'f']],
    ["printf 'é€😀' ü", ['printf', 'é€😀', 'ü']],
    ['a\u00a0b', ['a\u00a0b']],
    ['', []],
    [' \n\t', []],
  ])('%j becomes %j', (text, words) => {
    expect(splitWords(text)).toEqual(words);
  });

  it.each([
    [`echo 'a b`, 'the single quote at character 6 is not closed'],
    [`echo "a b`, 'the double quote at character 6 is not closed'],
    [`echo "a\\"`, 'the double quote at character 6 is not closed'],
    [`it's`, 'the single quote at character 3 is not closed'],
    ['echo a\\', 'the \\ at character 7 has nothing after it to quote'],
  ])('%j is refused: %s', (text, message) => {
    expect(() => splitWords(text)).toThrow(message);
  });

  it('is split as /bin/sh splits it, wherever a shell would expand nothing', () => {
    const chaos = fc.array(
      fc.constantFrom('a', 'é', '😀', '/', '-', '=', ' ', '\t', "'", '"', '\\', '\\"', "\\'", '\\\\', ' x '),
      { maxLength: 12 },
    );
    const quoted = fc.array(
      fc.constantFrom(
        'a',
        ' ',
        '\t',
        'é',
        '\\$',
        '\\\n',
        '\\ ',
        '\\*',
        `'$a'`,
        `'*'`,
        `'\\'`,
        `"\\$a"`,
        `"a;b"`,
        `'|'`,
        `"\\\`"`,
        `"\\a"`,
        `'\n'`,
      ),
      { maxLength: 12 },
    );
    const text = fc.oneof(chaos, quoted);
    fc.assert(
      fc.property(fc.array(text, { minLength: 100, maxLength: 100 }), (lists) => {
        // A \ at the very end is the one thing that we refuse and a shell keeps; `-` first would be an option of set.
        const texts = lists.map((list) => `x${list.join('')}`).filter((each) => !/\\$/.test(each));
        const ours = texts.map((each) => {
          try {
            return splitWords(each);
          } catch {
            return undefined;
          }
        });
        // Those that we split need no subshells, which take most of the time.
        for (const splits of [true, false]) {
          const [mine, theirs] = [ours, texts].map((each) => each.filter((_, i) => (ours[i] !== undefined) === splits));
          expect(mine).toEqual(shellWords(theirs as string[], splits));
        }
      }),
      { numRuns: 8 },
    );
  });

  it('comes back from the canonical text of its words, from us and from /bin/sh', () => {
    const word = fc.string({ unit: fc.constantFrom(...`ab'"\\ $\`*?~#;&|<>()[]{}!\n\té€😀-=`) });
    fc.assert(
      fc.property(
        fc.array(fc.array(word, { minLength: 1, maxLength: 5 }), { minLength: 50, maxLength: 50 }),
        (lists) => {
          const texts = lists.map((words) => joinWords(['x', ...words]));
          const expected = lists.map((words) => ['x', ...words]);
          expect(texts.map((each) => splitWords(each))).toEqual(expected);
          expect(shellWords(texts, true)).toEqual(expected);
        },
      ),
      { numRuns: 8 },
    );
  });
});
