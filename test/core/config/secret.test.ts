import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readSecret } from '../../../core/dist/config/secret.js';
import { Redaction } from '../../../core/dist/host/redaction.js';

const folder = mkdtempSync(join(tmpdir(), 'centreond-secret-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string | Buffer, mode = 0o600): string {
  const at = join(folder, name);
  writeFileSync(at, content);
  chmodSync(at, mode);
  return `file:${at}`;
}

test('a file is read without the line break at its end, and a variable as it is', () => {
  expect(readSecret(file('unix', 'a secret\n'), {})).toEqual({ value: 'a secret' });
  expect(readSecret(file('windows', 'one\ntwo\r\n'), {})).toEqual({ value: 'one\ntwo' });
  expect(readSecret(file('group', 'x', 0o640), {})).toEqual({ value: 'x' });
  symlinkSync(join(folder, 'unix'), join(folder, 'link'));
  expect(readSecret(`file:${join(folder, 'link')}`, {})).toEqual({ value: 'a secret' });
  expect(readSecret('env:NAME', { NAME: 'of:env\n' })).toEqual({ value: 'of:env\n' });
});

test('what cannot be used is refused with what to do, and its content is not repeated', () => {
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  const cases: [string, string][] = [
    [`file:${join(folder, 'none')}`, 'does not exist; write it'],
    [`file:${folder}`, 'is not a file'],
    [`file:${join(folder, 'pipe')}`, 'is not a file'],
    [file('empty', ''), 'is empty'],
    [file('line', '\n'), 'is empty'],
    [file('world', 'hidden', 0o604), 'is open to others (mode 0604)'],
    [file('writable', 'hidden', 0o620), 'is open to others (mode 0620)'],
    [file('large', 'hidden'.repeat(20_000)), 'has 120000 bytes; the limit is 65536'],
    [file('bytes', Buffer.from([0xff, 0xfe])), 'cannot be read'],
    ['env:NAME', 'is not set'],
    ['env:EMPTY', 'is empty'],
    ['hidden', 'is neither file:PATH nor env:NAME'],
  ];
  for (const [reference, reason] of cases) {
    const read = readSecret(reference, { EMPTY: '' });
    expect.soft(read).toMatchObject({ reason: expect.stringContaining(reason) });
    expect.soft(JSON.stringify(read)).not.toContain('hidden');
  }
});

test('a redaction takes out a secret as it is, as JSON and a URL hold it, and line by line', () => {
  const secret = 'pass"word/1\nthe second line';
  const redaction = new Redaction([secret, 'pass', 'abc']);
  const texts = [
    secret,
    JSON.stringify({ err: secret }),
    JSON.stringify({ err: JSON.stringify({ secret }) }),
    `https://x/?a=${encodeURIComponent(secret)}`,
    ...secret.split('\n'),
  ];
  for (const text of texts) expect(redaction.text(text)).not.toMatch(/word|second/);
  expect(JSON.parse(redaction.text(JSON.stringify({ err: secret })))).toEqual({ err: '[secret]' });
  // Too short to be looked for.
  expect(redaction.text('abc')).toBe('abc');
});
