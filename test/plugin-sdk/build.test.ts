import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { buildManifest } from '@centreond/plugin-sdk/build';
import { describe, expect, test } from 'vitest';
import { pluginSource, ROOT, tempPackage } from './temp-package.ts';

const BIN = path.join(ROOT, 'plugin-sdk/bin/centreond-plugin.js');

function centreondPlugin(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [BIN, ...args], (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

describe('a build', () => {
  test('writes what the class declares, twice the same', async () => {
    const folder = tempPackage({
      'index.js': pluginSource('codes: { STEP: 50 }', `console.log('{"noise"'); act('LOOK');`),
    });
    const { file, manifest, warnings } = await buildManifest(folder);
    const first = readFileSync(file, 'utf8');
    expect(JSON.parse(first)).toEqual(manifest);
    expect(manifest).toMatchObject({ type: 'sample', codes: { STEP: 50 }, actions: [{ name: 'LOOK', method: 'run' }] });
    expect(warnings).toEqual([]);
    await buildManifest(folder);
    expect(readFileSync(file, 'utf8')).toBe(first);
  });

  test('ends, although the plugin keeps its process busy', async () => {
    const folder = tempPackage({ 'index.js': pluginSource('', `setInterval(() => {}, 1000); act('LOOK');`) });
    expect((await buildManifest(folder)).manifest.actions).toHaveLength(1);
  });

  test('on the command line names the manifest and what only the plugin checks', async () => {
    const input = `input: z.strictObject({ city: z.string().refine(Boolean, 'must be known') })`;
    const folder = tempPackage({ 'index.js': pluginSource('', `act('LOOK', { ${input} });`) });
    const { code, stdout } = await centreondPlugin('build', folder);
    expect(code).toBe(0);
    expect(stdout).toContain(`${path.join(folder, 'plugin.manifest.json')}: sample, actions: LOOK\n`);
    expect(stdout).toContain(`  LOOK input.city: a refinement ('must be known')\n`);
  });

  test('without a verb says how it is used', async () => {
    const { code, stderr } = await centreondPlugin();
    expect(code).toBe(2);
    expect(stderr).toContain('usage: centreond-plugin build');
  });
});

describe('what cannot be built is INVALID_PLUGIN, with what and where', () => {
  const cases: Record<string, [Record<string, string>, ...string[]]> = {
    'no package.json': [{ 'package.json': 'not JSON' }, 'its package.json cannot be read'],
    'no entry': [{ 'package.json': '{"name":"x"}' }, 'has neither exports["."] nor main'],
    'an entry that is not built': [{}, 'importing', 'index.js failed', 'Cannot find module'],
    'a module that is not installed': [{ 'index.js': `import 'not-here';` }, "Cannot find package 'not-here'"],
    'a module that throws': [{ 'index.js': `\nthrow new Error('out of order');` }, 'out of order', 'index.js:2'],
    'a module that ends the process': [
      { 'index.js': `console.error('farewell'); process.exit(3);` },
      'ended the process (exit code 3)',
      'it printed: farewell',
    ],
    'a default export that is no class': [{ 'index.js': 'export default {};' }, 'is not a class'],
    'a class that is not decorated': [
      { 'index.js': 'export default class Bare {}' },
      'Bare: its class has no @Plugin',
      'index.js',
    ],
    'a declaration that does not hold': [
      { 'index.js': pluginSource('', `act('LOOK', {}, 'gone');`) },
      "Sample: @Action('LOOK'): the class has no method gone",
    ],
    'a type of the core’s': [{ 'index.js': pluginSource(`type: 'core'`) }, "the type core is the core's own"],
    'a pattern that the router cannot read': [
      { 'index.js': pluginSource('', `act('LOOK', { input: z.strictObject({ a: z.string().regex(/^\\_x/) }) });`) },
      'the router cannot use the JSON Schema of LOOK input',
    ],
  };
  test.each(Object.entries(cases))('%s', async (_, [files, ...expected]) => {
    const folder = tempPackage(files);
    const error = await buildManifest(folder).then(
      () => new Error('it was built'),
      (error: Error) => error,
    );
    expect(error).toMatchObject({ code: 'INVALID_PLUGIN' });
    for (const part of expected) expect(error.message).toContain(part);
    expect(existsSync(path.join(folder, 'plugin.manifest.json'))).toBe(false);
  });
});

test('a build that fails names the package, also where its folder is named `.`', async () => {
  const folder = tempPackage({ 'index.js': 'export default {};' });
  const { code, stderr } = await new Promise<{ code: number; stderr: string }>((resolve) => {
    execFile(process.execPath, [BIN, 'build'], { cwd: folder }, (error, _, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stderr });
    });
  });
  expect(code).toBe(1);
  expect(stderr).toContain('INVALID_PLUGIN: The plugin temp-plugin cannot be used: the default export of ');
  writeFileSync(path.join(folder, 'package.json'), 'not JSON');
  await expect(buildManifest(path.relative(process.cwd(), folder))).rejects.toThrow(
    `The plugin ${folder} cannot be used: its package.json cannot be read`,
  );
});

test('two copies of a shared module within reach are a warning that names both', async () => {
  const folder = tempPackage({
    'index.js': pluginSource('', `act('LOOK');`),
    'package.json': JSON.stringify({
      name: 'two-copies',
      type: 'module',
      exports: './index.js',
      dependencies: { other: '*' },
      peerDependencies: { tsyringe: '*', '@centreond/plugin-sdk': '*', 'reflect-metadata': '*' },
    }),
  });
  rmSync(path.join(folder, 'node_modules'));
  const modules = path.join(folder, 'node_modules');
  mkdirSync(path.join(modules, '@centreond'), { recursive: true });
  for (const name of ['tsyringe', 'reflect-metadata', 'zod', '@centreond/plugin-sdk']) {
    symlinkSync(path.join(ROOT, 'node_modules', name), path.join(modules, name));
  }
  const own = path.join(modules, 'other/node_modules/tsyringe');
  mkdirSync(own, { recursive: true });
  writeFileSync(
    path.join(modules, 'other/package.json'),
    JSON.stringify({ name: 'other', dependencies: { tsyringe: '*' } }),
  );
  writeFileSync(path.join(own, 'package.json'), JSON.stringify({ name: 'tsyringe', version: '4.10.0' }));
  const { warnings } = await buildManifest(folder);
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toContain('2 copies of tsyringe');
  expect(warnings[0]).toContain(realpathSync(path.join(ROOT, 'node_modules/tsyringe')));
  expect(warnings[0]).toContain(realpathSync(own));
});
