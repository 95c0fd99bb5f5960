import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { commandLine } from '../../../core/dist/cli/main.js';
import { manPage } from '../../../core/dist/cli/man.js';

const page = manPage(commandLine());

function isInstalled(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
}

test('the manual page has every verb, option and argument of the command line, and all exit codes', () => {
  const plain = page.replaceAll(/\\f[BIR]/g, '').replaceAll('\\-', '-');
  const lines = plain.split('\n');
  const verbs = commandLine().commands.flatMap((verb) =>
    verb.commands.length > 0
      ? verb.commands.map((one) => ({ one, name: `${verb.name()} ${one.name()}` }))
      : [{ one: verb, name: verb.name() }],
  );
  expect(verbs.length).toBeGreaterThan(20);
  for (const { one, name } of verbs) {
    const at = lines.findIndex((line) => line === name || line.startsWith(`${name} `));
    expect(at, name).toBeGreaterThan(0);
    for (const { long } of one.options) expect(plain, `${name} ${long}`).toContain(`\n${long}`);
  }
  for (const { long } of commandLine().options) expect(plain).toContain(`${long}`);
  for (const code of [0, 1, 2, 3, 4]) expect(plain).toContain(`.TP\n${code}\n`);
  for (const section of ['NAME', 'SYNOPSIS', 'OPTIONS', 'VERBS', 'EXIT STATUS', 'FILES', 'ENVIRONMENT']) {
    expect(lines).toContain(`.SH ${section}`);
  }
});

test.skipIf(!isInstalled('groff'))('groff has no warning for it (groff must be installed)', () => {
  const { status, stdout, stderr } = spawnSync('groff', ['-ww', '-man', '-Tutf8'], { input: page, encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).toContain('--context');
});

test.skipIf(!isInstalled('man'))('man shows it (man-db must be installed)', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'man-'));
  try {
    const file = path.join(folder, 'centreond.1');
    writeFileSync(file, page);
    const env = { ...process.env, LC_ALL: 'C.UTF-8', MANWIDTH: '80', MAN_KEEP_FORMATTING: '' };
    const { status, stdout, stderr } = spawnSync('man', ['--warnings', '-l', file], { env, encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^NAME\n +centreond - the centreond daemon and its operator/m);
    expect(stdout).toMatch(/^ +call action \[data \.\.\.\]$/m);
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the name of the page can be found by apropos: a line of name and purpose', () => {
  expect(page).toMatch(/^\.SH NAME\ncentreond \\- \S/m);
});
