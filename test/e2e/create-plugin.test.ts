import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { cli, type Finished } from '../daemon-process.ts';
import { environment, PACKAGES } from '../plugin-sdk/local-registry.ts';
import { ROOT, tempFolder } from '../plugin-sdk/temp-package.ts';

const SDK = JSON.parse(readFileSync(path.join(ROOT, 'plugin-sdk/sdk/package.json'), 'utf8'));

function run(folder: string, program: string, ...args: string[]): Promise<Finished> {
  const env = { ...environment(folder), PATH: `${folder}/node_modules/.bin:${environment(folder).PATH}` };
  return new Promise((resolve) => {
    execFile(program, args, { cwd: folder, env }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

/** Gives `folder` the packed packages, unpacked as npm would, and of everything else what is installed here. */
async function install(folder: string): Promise<void> {
  const modules = path.join(folder, 'node_modules');
  mkdirSync(path.join(modules, '.bin'), { recursive: true });
  for (const name of ['zod', 'tsyringe', 'reflect-metadata', 'typescript', '@types', 'ajv', 'zeromq', 'undici-types']) {
    symlinkSync(path.join(ROOT, 'node_modules', name), path.join(modules, name));
  }
  for (const name of PACKAGES) {
    const at = path.join(ROOT, name);
    const { name: scoped } = JSON.parse(readFileSync(path.join(at, 'package.json'), 'utf8')) as { name: string };
    const pack = ['pack', at, '--pack-destination', folder, '--ignore-scripts', '--silent'];
    const { stdout } = await run(folder, 'npm', ...pack);
    const to = path.join(modules, scoped);
    mkdirSync(to, { recursive: true });
    const unpack = ['-xzf', path.join(folder, stdout.trim()), '-C', to, '--strip-components=1'];
    expect((await run(folder, 'tar', ...unpack)).stderr).toBe('');
  }
  symlinkSync('../@centreond/plugin-kit/bin/centreond-plugin.js', path.join(modules, '.bin/centreond-plugin'));
  symlinkSync('../typescript/bin/tsc', path.join(modules, '.bin/tsc'));
}

describe('a package that create-plugin made, outside the repository', () => {
  const parent = tempFolder();
  const folder = path.join(parent, 'weather-report');
  let made: Finished;
  beforeAll(async () => {
    made = await cli(parent, 'create-plugin', '@acme/plugin-weather-report', '--dir', 'weather-report');
    await install(folder);
  });

  test('is said with what comes next', () => {
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout).toBe(
      'weather-report: the plugin weather-report with the action WEATHER-REPORT. Next:\n  cd weather-report\n  npm install\n  npm test\n  npm run dev\n',
    );
  });

  test('names the versions that the SDK was made with', () => {
    const json = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
    expect(json).toMatchObject({
      name: '@acme/plugin-weather-report',
      dependencies: { zod: `^${SDK.devDependencies.zod}` },
      peerDependencies: { ...SDK.peerDependencies, '@centreond/plugin-sdk': `^${SDK.version}` },
      devDependencies: { typescript: `^${SDK.devDependencies.typescript}`, '@centreond/plugin-kit': `^${SDK.version}` },
    });
    expect(JSON.stringify(json)).not.toMatch(/"\*"|sample/i);
  });

  test('builds, is typed, and passes its test', async () => {
    const built = await run(folder, 'npm', 'run', '--silent', 'build');
    expect(built).toMatchObject({ code: 0, stderr: '' });
    expect(built.stdout).toContain('plugin.manifest.json: weather-report, actions: WEATHER-REPORT\n');
    const typed = await run(folder, 'tsc', '-p', 'test');
    expect(typed).toMatchObject({ code: 0, stdout: '' });
    const tested = await run(folder, 'node', '--test', 'test/*.test.ts');
    expect(tested.stdout).toMatch(/pass 3\n.*fail 0\n/s);
  });

  test('packs what an operator needs, and nothing else', async () => {
    const { stdout } = await run(folder, 'npm', 'pack', '--dry-run', '--json', '--ignore-scripts');
    const [{ files } = { files: [] }] = JSON.parse(stdout) as { files: { path: string }[] }[];
    expect(files.map((file) => file.path).sort()).toEqual([
      'README.md',
      'dist/index.d.ts',
      'dist/index.js',
      'dist/index.js.map',
      'package.json',
      'plugin.manifest.json',
    ]);
  });

  test('is what the operator’s check takes, by the config that came with it', async () => {
    const { code, stdout } = await cli(folder, 'plugins', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ plugins: [{ type: 'core' }, { type: 'weather-report' }], problems: [] });
  });

  test('has types that refuse what does not fit', async () => {
    const source = path.join(folder, 'src/index.ts');
    const text = readFileSync(source, 'utf8');
    writeFileSync(path.join(folder, 'src/wrong.ts'), text.replace('text: `${', 'text: 1, other: `${'));
    const { code, stdout } = await run(folder, 'tsc', '--noEmit');
    expect(code).not.toBe(0);
    expect(stdout).toMatch(/src\/wrong\.ts.*error TS/);
  });
});

describe('create-plugin refuses', () => {
  const parent = tempFolder();

  test('a folder that holds something', async () => {
    const folder = path.join(parent, 'full');
    mkdirSync(folder);
    writeFileSync(path.join(folder, 'mine.txt'), 'mine');
    const { code, stderr } = await cli(parent, 'create-plugin', 'full');
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('FOLDER_NOT_EMPTY') });
    expect(readdirSync(folder)).toEqual(['mine.txt']);
  });

  test('names that are no type, or the core’s own', async () => {
    const names = ['Weather', '../weather', 'kill', 'core', 'plugin-local', 'ack', 'weather report', ''];
    const answers = await Promise.all(names.map((name) => cli(parent, 'create-plugin', name)));
    for (const { code, stderr } of answers)
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('cannot be a plugin') });
    expect(readdirSync(parent)).toEqual(['full']);
  });
});
