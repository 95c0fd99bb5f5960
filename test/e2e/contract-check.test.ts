import path from 'node:path';
import { assertPluginContract, type ContractOptions, checkPluginContract } from '@centreond/plugin-kit';
import { buildManifest } from '@centreond/plugin-kit/build';
import type { PluginClass } from '@centreond/plugin-sdk';
import { describe, expect, test } from 'vitest';
import { processesWith } from '../daemon-process.ts';
import { pluginSource, ROOT, tempPackage } from '../plugin-sdk/temp-package.ts';

const fixture = (name: string) => path.join(ROOT, 'test/fixtures', name);
const QUICK: ContractOptions = { graceMs: 400, runMs: 200, settleMs: 60, endings: [] };
/** For what ends in time: a busy machine may take a while, and nobody waits for longer than that. */
const PATIENT: ContractOptions = { ...QUICK, graceMs: 4000 };

async function found(plugin: string, options: ContractOptions = QUICK): Promise<string[]> {
  const findings = await checkPluginContract(plugin, options);
  return findings.map(({ code, message }) => `${code}: ${message}`);
}

describe('each bad plugin is caught for what it does', () => {
  test('one that leaks processes', async () => {
    const findings = await found(fixture('bad-leaks-processes'));
    expect(findings).toContainEqual(
      expect.stringMatching(/^PROCESS_LEFT: LEAK: it left the process 'sleep 600' behind/),
    );
    expect(findings.every((each) => each.startsWith('PROCESS_LEFT'))).toBe(true);
    expect(processesWith('sleep\u0000600')).toEqual([]);
  });

  test('one that ignores abort', async () => {
    const findings = await found(fixture('bad-ignores-abort'), { ...QUICK, examples: { PAUSE: [{ ms: 3000 }] } });
    expect(findings).toEqual([
      expect.stringMatching(/^ABORT_IGNORED: PAUSE: .* within 0.4 s of the abort, with {"ms":3000}/),
    ]);
  });

  test('one with a stale manifest', async () => {
    const findings = await found(fixture('bad-stale-manifest'), PATIENT);
    expect(findings[0]).toMatch(
      /^MANIFEST_STALE: its class declares something else than .*plugin.manifest.json \(actions\)/,
    );
    expect(findings.every((each) => each.startsWith('MANIFEST_STALE'))).toBe(true);
  });

  test('one that writes rows after its end', async () => {
    const findings = await found(fixture('bad-rows-after-end'), PATIENT);
    expect(findings).toEqual([expect.stringMatching(/^ROW_AFTER_END: TALK: it wrote a row of code 50 after the end/)]);
  });

  test('one whose schemas accept unknown keys', async () => {
    const findings = await found(fixture('bad-unknown-keys'), PATIENT);
    expect(findings).toEqual([
      expect.stringContaining('UNKNOWN_KEYS: config takes keys that are not in its schema'),
      expect.stringContaining('UNKNOWN_KEYS: VISIT: input.places[] takes keys that are not in its schema'),
    ]);
  });
});

describe('more that a check finds', () => {
  const imports = `import { spawn } from 'node:child_process'; import fs from 'node:fs'; import os from 'node:os'; import path from 'node:path';\n`;
  async function ofSource(
    options: string,
    body: string,
    methods: string,
    more: ContractOptions = {},
  ): Promise<string[]> {
    const folder = tempPackage({ 'index.js': imports + pluginSource(options, body, methods) });
    await buildManifest(folder);
    return found(folder, { ...QUICK, ...more });
  }

  test('temporary files, an output that does not fit, a crash, an input that cannot be guessed', async () => {
    const methods = `
      file() { fs.mkdtempSync(path.join(os.tmpdir(), 'work-')); return {}; }
      wrong() { return { extra: 1 }; }
      crash() { process.exit(3); }
      picky() { return {}; }
      coerced({ n }) { return {}; }
      loose() { return {}; }`;
    const body = `act('FILE', {}, 'file'); act('WRONG', {}, 'wrong'); act('CRASH', {}, 'crash');
      act('PICKY', { input: z.strictObject({ code: z.string().refine((code) => code === 'open sesame') }) }, 'picky');
      act('COERCED', { input: z.strictObject({ n: z.coerce.number() }) }, 'coerced');
      const lenient = z.strictObject({ n: z.number() });
      const standard = { ...lenient['~standard'], validate: (value) => ({ value }) };
      act('LOOSE', { input: { '~standard': standard } }, 'loose');`;
    const findings = await ofSource('', body, methods);
    expect(findings).toContainEqual(expect.stringMatching(/^FILE_LEFT: FILE: it left the file work-/));
    expect(findings).toContainEqual(expect.stringMatching(/^INVALID_OUTPUT: WRONG: /));
    expect(findings).toContainEqual(expect.stringMatching(/^CRASHED: CRASH: .*exit code 3.* It was given {}/));
    expect(findings).toContainEqual(
      expect.stringMatching(
        /^NO_EXAMPLE: PICKY: no valid input is known: it refuses {"code":"a"}: PICKY does not take/,
      ),
    );
    expect(findings).toContainEqual(expect.stringMatching(/^WRONG_INPUT_TAKEN: LOOSE: .*input.n \(it is missing\)/));
    expect(findings.filter((each) => each.includes('COERCED'))).toEqual([]);
  });

  test('an example that is refused, also where another is taken', async () => {
    const body = `act('PICKY', { input: z.strictObject({ code: z.string().max(11).refine((code) => code === 'open sesame') }) });`;
    const examples = { PICKY: [{ code: 'a' }, { code: 'open sesame' }, { code: 'much too long' }] };
    expect(await ofSource('', body, 'run() { return {}; }', { ...PATIENT, examples })).toEqual([
      expect.stringMatching(/^EXAMPLE_REFUSED: PICKY: it refuses the example {"code":"a"}: .*Invalid input/),
      expect.stringMatching(
        /^EXAMPLE_REFUSED: PICKY: it refuses the example {"code":"much too long"}: .*11 characters/,
      ),
    ]);
  });

  test('a start that fails, with what it said', async () => {
    expect(await found(fixture('probe'), { ...PATIENT, config: { failStart: true } })).toEqual([
      expect.stringMatching(/^START_FAILED: .*it was told not to start/),
    ]);
  });
});

test('a class is checked in this process', async () => {
  const load = async (name: string) => (await import(path.join(fixture(name), 'dist/index.js'))).default as PluginClass;
  const [Talkative, Open] = [await load('bad-rows-after-end'), await load('bad-unknown-keys')];
  const codes = async (plugin: PluginClass) => (await checkPluginContract(plugin, PATIENT)).map(({ code }) => code);
  expect(await codes(Talkative)).toEqual(['ROW_AFTER_END']);
  expect(await codes(Open)).toEqual(['UNKNOWN_KEYS', 'UNKNOWN_KEYS']);
  await expect(assertPluginContract(Open, PATIENT)).rejects.toMatchObject({
    code: 'CONTRACT_BROKEN',
    message: expect.stringMatching(/^OpenPlugin does not keep the contract:\n {2}UNKNOWN_KEYS: /),
  });
});
