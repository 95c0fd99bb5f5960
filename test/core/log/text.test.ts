import { describe, expect, test } from 'vitest';
import { logText } from '../../../core/dist/log/text.js';

const unpainted = (_: string, text: string) => text;
const at = new Date(2026, 1, 3, 4, 5, 6).toISOString();
const shown = (entry: object, omitted?: string[]) =>
  logText(`${JSON.stringify({ level: 30, time: at, ...entry })}\n`, unpainted, omitted);

describe('an entry of the log on a terminal', () => {
  test('is one line: local time, message, fields', () => {
    expect(shown({ msg: 'listening', port: 5555, why: { a: 1 } })).toBe('04:05:06 listening  port=5555 why={"a":1}');
  });

  test('has its level unless that is info', () => {
    expect(shown({ level: 40, msg: 'low' })).toBe('04:05:06 WARN low');
    expect(shown({ level: 50, msg: 'lost' })).toBe('04:05:06 ERROR lost');
    expect(shown({ level: 20, msg: 'seen' })).toBe('04:05:06 DEBUG seen');
  });

  test('names its plugin once, and its instance if there are several', () => {
    expect(shown({ plugin: 'weather', instance: '1', msg: 'rain' })).toBe('04:05:06 weather: rain');
    expect(shown({ plugin: 'weather', instance: 'bern', msg: 'rain' })).toBe('04:05:06 weather/bern: rain');
    expect(shown({ plugin: 'weather', pid: 42, msg: 'plugin weather is ready' })).toBe(
      '04:05:06 plugin weather is ready  pid=42',
    );
  });

  test('omits a field whose value the message has, and those that are to be omitted', () => {
    expect(shown({ msg: 'LOOK threw: no', action: 'LOOK', token: 't1', tail: ['a'] }, ['tail'])).toBe(
      '04:05:06 LOOK threw: no  token=t1',
    );
  });

  test('has the stack of its error below, as it was thrown', () => {
    const err = { type: 'Error', message: 'no', stack: 'Error: no\n    at run (index.ts:3:1)' };
    expect(shown({ level: 50, msg: 'threw', err })).toBe(
      '04:05:06 ERROR threw\n    Error: no\n        at run (index.ts:3:1)',
    );
  });

  test('has the last lines of a plugin below, each as a line of the log', () => {
    const tail = ['{"level":"error","msg":"gone","err":{"message":"no","stack":"Error: no\\n    at x"}}', 'plain'];
    expect(shown({ level: 50, msg: 'ended', tail })).toBe(
      '04:05:06 ERROR ended\n    | ERROR gone\n    |     Error: no\n    |         at x\n    | plain',
    );
  });

  test('cannot steer the terminal', () => {
    const text = shown({ msg: 'a\u001b[2Jb\tc', plugin: '\u001b[x', note: '\u0007', err: { stack: '\u001b[31m' } });
    for (const control of ['\u001b', '\u0007']) expect(text).not.toContain(control);
    expect(text).toContain('a�[2Jb\tc');
  });
});

test('what is no entry is shown as text', () => {
  expect(logText('{"level":"info","msg":"cut of\n', unpainted)).toBe('{"level":"info","msg":"cut of');
  expect(logText('at run (index.ts:3:1)', unpainted)).toBe('at run (index.ts:3:1)');
});

test('only the time, the level and the fields are coloured', () => {
  const painted = logText(
    `${JSON.stringify({ level: 50, time: at, msg: 'lost', port: 1 })}\n`,
    (c, t) => `<${c}:${t}>`,
  );
  expect(painted).toBe('<dim:04:05:06> <red:ERROR> lost  <dim:port=1>');
});
