import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { buildManifest, writeTypes } from '@centreond/plugin-kit/build';
import { describe, expect, test } from 'vitest';
import { run } from '../../plugin-sdk/kit/dist/build/cli.js';
import { printed } from '../printed.ts';
import { pluginSource, ROOT, tempPackage } from './temp-package.ts';

const BIN = path.join(ROOT, 'plugin-sdk/kit/bin/centreond-plugin.js');
const centreondPlugin = (...args: string[]) => printed(() => run(args));

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

describe('a constructor that cannot be injected is refused by the build', () => {
  const inject = (body: string) =>
    tempPackage({
      'index.js': `import 'reflect-metadata';
import { CONFIG, inject, LOGGER, Plugin } from '@centreond/plugin-sdk';
import { z } from 'zod';
const Config = z.strictObject({});
${body}
Plugin({ type: 'sample', title: 'A sample', config: Config })(Sample);
`,
    });
  const cases: Record<string, [string, string]> = {
    'a parameter without @inject': [
      'export default class Sample { constructor(log, more) {} }\ninject(LOGGER)(Sample, undefined, 0);',
      'Sample: parameter 2 of its constructor has no @inject',
    ],
    'a parameter of an interface type': [
      `export default class Sample { constructor(log) {} }\nReflect.defineMetadata('design:paramtypes', [Object], Sample);`,
      'Sample: parameter 1 of its constructor has no @inject',
    ],
    'a parameter of a class that is injected into it': [
      `class Inner { constructor(log) {} }
export default class Sample { constructor(inner) {} }
Reflect.defineMetadata('design:paramtypes', [Inner], Sample);`,
      'Sample: parameter 1 of the constructor of Inner has no @inject',
    ],
    'a config by another schema': [
      'export default class Sample { constructor(config) {} }\ninject(CONFIG, z.strictObject({}))(Sample, undefined, 0);',
      'Sample: its @inject(CONFIG, schema) names another schema than its @Plugin({ config })',
    ],
  };
  test.each(Object.entries(cases))('%s', async (_, [body, expected]) => {
    await expect(buildManifest(inject(body))).rejects.toThrow(expected);
  });

  test('while one with all tokens, and a class that needs none, is built', async () => {
    const folder = inject(`class Inner {}
export default class Sample { constructor(config, inner) {} }
inject(CONFIG, Config)(Sample, undefined, 0);
Reflect.defineMetadata('design:paramtypes', [Object, Inner], Sample);`);
    expect((await buildManifest(folder)).manifest.type).toBe('sample');
  });
});

test('a listener of a plugin whose instances start on demand is a warning', async () => {
  const source = (start: string, where = '') =>
    pluginSource(
      `instances: { key: 'city', start: '${start}' }`,
      `act('LOOK', { input: z.strictObject({ city: z.string() }) }); On('NEWS', {${where}})(Sample.prototype, 'hear', {});`,
      'run() { return {}; } hear() {}',
    );
  const { warnings } = await buildManifest(tempPackage({ 'index.js': source('on-demand') }));
  expect(warnings).toEqual([expect.stringContaining(`its @On('NEWS') (hear) is called in each instance that runs`)]);
  expect((await buildManifest(tempPackage({ 'index.js': source('eager') }))).warnings).toEqual([]);
  const inOne = await buildManifest(tempPackage({ 'index.js': source('on-demand', "in: 'one'") }));
  expect(inOne.warnings).toEqual([]);
  expect(inOne.manifest.listens).toEqual([{ event: 'NEWS', method: 'hear', in: 'one' }]);
});

describe('the declaration file of the installed plugins', () => {
  const events = `events: { SEEN: z.strictObject({ at: z.string().describe('where */ it was') }) }`;
  const source = pluginSource(
    events,
    `const Tree = z.strictObject({ name: z.string(), get children() { return z.array(Tree).optional(); } });
act('LOOK', {
  input: z.strictObject({ city: z.string(), days: z.int().default(1), 'a-b': z.union([z.literal('x'), z.null()]).optional() }),
  output: z.strictObject({ celsius: z.number(), tree: Tree, pair: z.tuple([z.string(), z.number()]) }),
});
act('ANY', { input: z.looseObject({ id: z.string() }), output: z.record(z.string(), z.number()), reply: 'ack' });`,
  );
  const TSCONFIG = JSON.stringify({
    compilerOptions: {
      module: 'nodenext',
      target: 'es2023',
      strict: true,
      noEmit: true,
      types: ['node'],
      skipDefaultLibCheck: true,
    },
    include: ['*.ts'],
  });
  const USE = `import type { Client } from '@centreond/client';
import type { Transport } from '@centreond/plugin-sdk';
import '@centreond/plugin-kit';
export async function use(client: Client, transport: Transport) {
  const looked = await client.call('LOOK', { city: 'Paris', 'a-b': null });
  if (looked.ok) return looked.data.celsius + looked.data.pair[1] + looked.data.tree.name.length;
  await client.send('PING');
  await transport.emit('SEEN', { at: 'here' });
  const { data } = await transport.send('ANY', { id: 'x', more: 1 });
  // @ts-expect-error: a field is missing
  await client.call('LOOK', { days: 2 });
  // @ts-expect-error: another event
  await transport.emit('LOST', {});
  OTHER
  await client.call('LOOKS', { city: 'Paris' });
  return data.sum;
}
`;

  function compile(folder: string): Promise<string> {
    const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc');
    return new Promise((resolve) => {
      execFile(process.execPath, [tsc, '-p', folder, '--pretty', 'false'], (_, stdout) => resolve(stdout));
    });
  }

  test('types call, send and emit, twice the same', async () => {
    const use = USE.replace('OTHER', '// @ts-expect-error: another action');
    const folder = tempPackage({ 'index.js': source, 'tsconfig.json': TSCONFIG, 'use.ts': use });
    await buildManifest(folder);
    const { code, stdout, stderr } = await centreondPlugin('types', folder);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const file = path.join(folder, 'centreond.d.ts');
    expect(stdout).toContain(`${file}: core, `);
    const first = readFileSync(file, 'utf8');
    await centreondPlugin('types', folder);
    expect(readFileSync(file, 'utf8')).toBe(first);
    expect(await compile(folder)).toBe('');
  });

  test('has the names that a config gives to actions, and refuses those that it cannot give', async () => {
    const folder = tempPackage({ 'index.js': source, 'tsconfig.json': TSCONFIG });
    const { manifest } = await buildManifest(folder);
    const [{ name = '' } = {}] = manifest.actions;
    const { code, stdout } = await centreondPlugin('types', '--as', `weather-eu=${manifest.type}`, folder);
    expect(code).toBe(0);
    expect(stdout).toContain('weather-eu');
    const text = readFileSync(path.join(folder, 'centreond.d.ts'), 'utf8');
    expect(text).toContain(`'${name}': {`);
    expect(text).toContain(`'WEATHER_EU_${name}': {`);
    const { type } = manifest;
    for (const [as, of, reason] of [
      ['eu', 'wether', 'no installed plugin has the type wether'],
      ['Eu', type, 'a type is [a-z][a-z0-9-]{0,63}'],
      [type, type, `an installed plugin has the type ${type} already`],
      ['a'.repeat(64), type, 'and 64 is the most'],
    ] as const) {
      await expect(writeTypes([folder], undefined, [{ as, type: of }])).rejects.toThrow(reason);
    }
  });

  test('leaves other names open without the core, and says so', async () => {
    const files = { 'index.js': source, 'tsconfig.json': TSCONFIG, 'use.ts': USE.replace('OTHER', '') };
    const folder = tempPackage(files);
    await buildManifest(folder);
    rmSync(path.join(folder, 'node_modules'));
    const modules = path.join(folder, 'node_modules');
    mkdirSync(path.join(modules, '@centreond'), { recursive: true });
    symlinkSync(path.join(ROOT, 'node_modules/@types'), path.join(modules, '@types'));
    for (const name of ['client', 'plugin-sdk', 'plugin-kit', 'protocol'])
      symlinkSync(path.join(ROOT, 'node_modules/@centreond', name), path.join(modules, '@centreond', name));
    const { code, stderr } = await centreondPlugin('types', '--out', path.join(folder, 'all.d.ts'), folder);
    expect(code).toBe(0);
    expect(stderr).toContain('warning: @centreond/core is not installed in');
    expect(await compile(folder)).toBe('');
  });

  test('is refused for a manifest that is broken, with its place', async () => {
    const folder = tempPackage({ 'plugin.manifest.json': '{"type":"x","actions":[{"name":"a }"}]}' });
    const { code, stderr } = await centreondPlugin('types', folder);
    expect(code).toBe(1);
    expect(stderr).toContain(`${folder} cannot be used: plugin.manifest.json: it names an action or event "a }"`);
  });
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
