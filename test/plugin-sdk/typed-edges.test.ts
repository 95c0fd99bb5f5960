import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from './temp-package.ts';

const EXPECTATION = /^\s*\/\/ @ts-expect-error: (.+)$/;
const TSC = path.join(ROOT, 'node_modules/typescript/bin/tsc');

/** What the compiler says of the table once nothing is expected any more, by line. */
async function messages(): Promise<Map<number, string>> {
  const folder = mkdtempSync(path.join(ROOT, 'test/plugin-sdk/typed-edges-'));
  try {
    cpSync(path.join(ROOT, 'test/plugin-sdk/typed-edges'), folder, { recursive: true });
    const file = path.join(folder, 'mistakes.ts');
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll('@ts-expect-error', 'expected'));
    const output = await new Promise<string>((resolve) => {
      execFile(process.execPath, [TSC, '-p', folder, '--pretty', 'false'], (_, stdout) => resolve(stdout));
    });
    const found = new Map<number, string>();
    for (const part of output.split(/^(?=\S)/m)) {
      const [, line] = /mistakes\.ts\((\d+),/.exec(part) ?? expect.fail(part);
      found.set(Number(line), `${found.get(Number(line)) ?? ''}${part}`);
    }
    return found;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('each mistake is named by the compiler, with a sentence of its own, and nothing else is', async () => {
  const found = await messages();
  const source = readFileSync(path.join(ROOT, 'test/plugin-sdk/typed-edges/mistakes.ts'), 'utf8').split('\n');
  const expected = source.flatMap((text, i) => {
    const sentence = EXPECTATION.exec(text)?.[1];
    return sentence === undefined ? [] : [{ line: i + 2, sentence }];
  });
  expect(expected.length).toBeGreaterThan(25);
  for (const { line, sentence } of expected) expect.soft(found.get(line), `line ${line}`).toContain(sentence);
  expect([...found.keys()].sort((a, b) => a - b)).toEqual(expected.map(({ line }) => line));
});
