import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cli, until } from '../daemon-process.ts';
import { pluginSource, ROOT, tempPackage } from '../plugin-sdk/temp-package.ts';

const source = (answer: string) =>
  pluginSource(
    '',
    `act('LOOK', { output: z.strictObject({ text: z.string() }) });`,
    `run() { return { text: '${answer}' }; }`,
  );

describe('centreond-plugin dev, in a package without a config', () => {
  let folder: string;
  let child: ChildProcess;
  let stdout = '';
  let stderr = '';
  let config = '';
  beforeAll(async () => {
    folder = tempPackage({ 'index.js': source('one') });
    const bin = path.join(ROOT, 'plugin-sdk/kit/bin/centreond-plugin.js');
    child = spawn(process.execPath, [bin, 'dev'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    await until(`it is ready: ${stdout}${stderr}`, () => stdout.includes('is ready.'), 60_000);
    config = /--config (\S+)/.exec(stdout)?.[1] ?? '';
  }, 70_000);
  afterAll(async () => {
    if (child.exitCode === null) {
      child.kill('SIGTERM');
      await new Promise((resolve) => child.once('close', resolve));
    }
  });

  /** Saves as editors do that never leave half a file behind. */
  function save(text: string): void {
    writeFileSync(path.join(folder, 'new.tmp~'), text);
    renameSync(path.join(folder, 'new.tmp~'), path.join(folder, 'index.js'));
  }

  async function said(): Promise<string> {
    const before = stdout.length;
    await until(`a line: ${stderr}`, () => stdout.length > before, 60_000);
    return stdout.slice(before);
  }

  const look = () => cli(folder, '--config', config, '--json', 'call', 'LOOK');

  test('serves the plugin from a temporary config that it names', async () => {
    expect(existsSync(config)).toBe(true);
    expect((await look()).stdout).toContain('"text":"one"');
  });

  test('sees each atomic save, and says in one line what it did', async () => {
    for (const answer of ['two', 'three']) {
      const line = said();
      save(source(answer));
      expect(await line).toMatch(/^index\.js changed: built and reloaded, sample 1\.0\.0 serves now \(\d+ ms\)\n$/);
      expect((await look()).stdout).toContain(`"text":"${answer}"`);
    }
  }, 120_000);

  test('shows a build that failed as a line with its stack below, and the version before serves', async () => {
    const line = said();
    save('\nthrow new Error("out of order");');
    expect(await line).toMatch(
      /^index\.js changed: the build failed: The plugin temp-plugin cannot be used: .*out of order\n {4,}at .*index\.js:2/,
    );
    expect((await look()).stdout).toContain('"text":"three"');
  }, 90_000);

  test('leaves nothing behind', async () => {
    child.kill('SIGTERM');
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect(code).toBe(0);
    expect(existsSync(path.dirname(config))).toBe(false);
  });
});
