import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { loadConfig, type Scope } from '../../../core/dist/config/config.js';
import { type Discovered, findPlugins } from '../../../core/dist/config/discovery.js';
import { configSchema } from '../../../core/dist/config/editor-schema.js';
import { valueAt } from '../../../core/dist/config/issues.js';

let root: string;
let folder: string;

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'centreond-discovery-')));
  folder = join(root, 'etc');
  mkdirSync(folder);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(file: string, content: string | object): string {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}

const ACTION = {
  name: 'WEATHER',
  title: 'Ask for the weather',
  method: 'weather',
  input: { type: 'object' },
  output: { type: 'object' },
  access: ['client'],
  effects: 'read',
  idempotent: true,
  inFlight: 'requeue',
  concurrency: 50,
  timeoutSeconds: 30,
  reply: 'row',
  unexpressed: [],
};

function manifest(changes: object = {}): object {
  const declared = {
    api: 1,
    type: 'weather',
    title: 'Weather of a city',
    actions: [ACTION],
    emits: [],
    listens: [],
    codes: { LOOKING: 120 },
    instances: { pool: 1 },
    isolation: 'process',
    kill: null,
    config: null,
    unexpressed: [],
    ...changes,
  };
  return { ...declared, sdk: '0.1.0', hash: createHash('sha256').update(JSON.stringify(declared)).digest('hex') };
}

/** Writes a package folder with an entry that must never run, and its manifest unless told otherwise. */
function install(at: string, name: string, changes: object | null = {}, description: object = {}): string {
  write(join(at, 'package.json'), { name, version: '1.2.3', exports: './main.js', ...description });
  write(join(at, 'main.js'), 'throw new Error("discovery runs no plugin code");');
  if (changes) write(join(at, 'plugin.manifest.json'), manifest(changes));
  return at;
}

function action(name: string): object {
  return { ...ACTION, name };
}

async function scopeOf(config: string): Promise<Scope> {
  const file = write(join(folder, 'centreond.yaml'), config);
  const { scope, problems } = await loadConfig({ file, cwd: folder });
  expect(problems).toEqual([]);
  if (!scope) throw new Error('no scope');
  return scope;
}

async function find(config: string, options: { coreActions?: string[]; loaded?: Discovered[] } = {}) {
  const installation = join(root, 'usr/lib/node_modules/@centreond/core/dist');
  return findPlugins(await scopeOf(config), options.coreActions ?? [], options.loaded, installation);
}

test('a manifest that says nothing of it is of a plugin that each router runs', async () => {
  install(join(folder, 'weather'), 'weather');
  install(join(folder, 'clock'), 'clock', { type: 'clock', actions: [], placement: 'one' });
  const { plugins, problems } = await find('plugins: [{ package: ./weather }, { package: ./clock }]');
  expect(problems).toEqual([]);
  expect(plugins.map(({ manifest }) => manifest.placement)).toEqual([undefined, 'one']);
});

describe('where a package is looked for', () => {
  test('from the config file up, then in the data folder, then where the daemon is installed', async () => {
    const places = [
      join(folder, 'node_modules/@acme/weather'),
      join(root, 'node_modules/@acme/weather'),
      join(folder, 'var/plugins/node_modules/@acme/weather'),
      join(folder, 'var/plugins/@acme/weather'),
      join(root, 'usr/lib/node_modules/@acme/weather'),
    ];
    for (const place of places.toReversed()) {
      install(place, '@acme/weather');
      const { plugins, problems } = await find('plugins: [{ package: "@acme/weather" }]');
      expect(problems).toEqual([]);
      expect(plugins).toMatchObject([
        { folder: place, main: join(place, 'main.js'), package: '@acme/weather', version: '1.2.3' },
      ]);
      expect(plugins[0]?.manifest.actions.map(({ name }) => name)).toEqual(['WEATHER']);
    }
  });

  test('a path is relative to the file that holds it', async () => {
    install(join(root, 'mine'), 'mine');
    install(join(folder, 'other'), 'other', { type: 'other', actions: [] });
    write(join(folder, 'conf.d/a.yaml'), 'plugins: [{ package: ../../mine }]');
    const { plugins, problems } = await find('plugins: [{ package: ./other }]');
    expect(problems).toEqual([]);
    expect(plugins.map((plugin) => plugin.folder)).toEqual([join(folder, 'other'), join(root, 'mine')]);
  });

  test('links are followed', async () => {
    const real = install(join(root, 'work/weather'), 'weather');
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(real, join(folder, 'node_modules/weather'));
    expect((await find('plugins: [{ package: weather }]')).plugins[0]?.folder).toBe(real);
  });

  test('one that is nowhere names every folder searched, and the others are there', async () => {
    install(join(folder, 'node_modules/weather'), 'weather');
    const { plugins, problems } = await find('plugins:\n  - package: wether\n  - package: weather\n');
    expect(plugins).toHaveLength(1);
    expect(problems).toMatchObject([{ code: 'PLUGIN_NOT_FOUND', line: 2, column: 14, severity: 'error' }]);
    for (const place of ['etc/node_modules', 'node_modules', 'etc/var/plugins', 'usr/lib/node_modules'])
      expect(problems[0]?.message).toContain(`${join(root, place)},`);
  });

  test('a path to no folder, to no package, and to a broken one', async () => {
    mkdirSync(join(folder, 'empty'));
    write(join(folder, 'broken/package.json'), '{');
    const { problems } = await find('plugins: [{ package: ./none }, { package: ./empty }, { package: ./broken }]');
    expect(problems.map(({ code }) => code)).toEqual(Array(3).fill('PLUGIN_NO_PACKAGE'));
    expect(problems[0]?.message).toContain('it does not exist');
    expect(problems[1]?.message).toContain('it has no package.json');
  });

  test('one that is not enabled is not looked for', async () => {
    expect(await find('plugins: [{ package: none, enable: false }]')).toEqual({ found: [], plugins: [], problems: [] });
  });
});

describe('what package.json names as entry', () => {
  test.each([
    [{ exports: './main.js' }, 'main.js'],
    [{ exports: { '.': './main.js', './extra': './x.js' } }, 'main.js'],
    [{ exports: { '.': { types: './main.d.ts', require: './main.cjs', import: './main.js' } } }, 'main.js'],
    [{ exports: { types: './x.d.ts', node: { import: './main.js' }, default: './web.js' } }, 'main.js'],
    [{ exports: undefined, main: 'main.js' }, 'main.js'],
  ])('%j', async (description, main) => {
    const at = install(join(folder, 'weather'), 'weather', {}, description);
    const { plugins, problems } = await find('plugins: [{ package: ./weather }]');
    expect(problems).toEqual([]);
    expect(plugins[0]?.main).toBe(join(at, main));
  });

  test('an entry that is not built', async () => {
    install(join(folder, 'weather'), 'weather', {}, { exports: './dist/index.js' });
    const { problems } = await find('plugins: [{ package: ./weather }]');
    expect(problems).toMatchObject([{ code: 'PLUGIN_NO_MAIN' }]);
  });
});

describe('manifests', () => {
  test('none: the build is named', async () => {
    install(join(folder, 'weather'), 'weather', null);
    const { problems } = await find('plugins: [{ package: ./weather }]');
    expect(problems).toMatchObject([{ code: 'PLUGIN_NO_MANIFEST' }]);
    expect(problems[0]?.message).toContain('centreond-plugin build');
  });

  test('of another API, whatever else is in it', async () => {
    install(join(folder, 'weather'), 'weather', null);
    write(join(folder, 'weather/plugin.manifest.json'), { api: 2, sdk: '7.0.0', kind: 'of the future' });
    const { problems } = await find('plugins: [{ package: ./weather }]');
    expect(problems).toMatchObject([{ code: 'PLUGIN_API_VERSION' }]);
    expect(problems[0]?.message).toContain('built for plugin API 2 (SDK 7.0.0) and this daemon has 1');
  });

  test.each([
    ['{', 'JSON'],
    ['[]', 'it states no API version'],
    [manifest({ type: 'Weather' }), 'type is no plugin type'],
    [manifest({ type: 'local' }), 'type is a reserved type'],
    [manifest({ actions: [action('weather')] }), 'actions[0].name is no action name'],
    [manifest({ actions: [{ ...ACTION, idempotent: false }] }), 'without being idempotent'],
    [manifest({ actions: [{ ...ACTION, access: [] }] }), 'actions[0].access'],
    [manifest({ actions: [ACTION, ACTION] }), 'it declares the action WEATHER twice'],
    [manifest({ codes: { OK: 2 } }), 'codes.OK'],
    [manifest({ placement: 'each' }), 'placement'],
    [manifest({ placement: 'one', isolation: 'core' }), 'is to run on one router at a time'],
    [{ ...manifest(), isolation: 'core' }, 'it was changed after the build'],
  ])('that cannot be used: %#', async (content, reason) => {
    install(join(folder, 'weather'), 'weather', null);
    const file = write(join(folder, 'weather/plugin.manifest.json'), content);
    const { plugins, problems } = await find('plugins: [{ package: ./weather }]');
    expect(plugins).toEqual([]);
    expect(problems).toMatchObject([{ code: 'PLUGIN_BAD_MANIFEST' }]);
    expect(problems[0]?.message).toContain(reason);
    expect(problems[0]?.message).toContain(file);
  });

  test("a plugin for the daemon's own process needs the operator's word", async () => {
    install(join(folder, 'pull'), 'pull', { type: 'pull', isolation: 'core' });
    const { problems } = await find('plugins: [{ package: ./pull }]');
    expect(problems).toMatchObject([{ code: 'PLUGIN_NEEDS_CORE' }]);
    expect(problems[0]?.message).toContain('allowCore: true');
    expect((await find('plugins: [{ package: ./pull, allowCore: true }]')).problems).toEqual([]);
  });

  test("a plugin for the daemon's own process shares no other", async () => {
    install(join(folder, 'pull'), 'pull', { type: 'pull', isolation: 'core' });
    const { plugins, problems } = await find('plugins:\n  - package: ./pull\n    allowCore: true\n    process: shared');
    expect(plugins).toEqual([]);
    expect(problems).toMatchObject([{ code: 'PLUGIN_CANNOT_SHARE', line: 4 }]);
    expect(problems[0]?.message).toContain("it runs in the daemon's own process");
  });

  test('a plugin that shares a process reads no secret from its environment, which all of them would have', async () => {
    const password = { type: 'string', format: 'centreond-secret-reference' };
    install(join(folder, 'web'), 'web', { type: 'web', config: { type: 'object', properties: { password } } });
    const entry = (reference: string) =>
      `plugins:\n  - package: ./web\n    process: shared\n    config: { password: "${reference}" }`;
    const { problems } = await find(entry('env:HOME'));
    expect(problems).toMatchObject([{ code: 'PLUGIN_CANNOT_SHARE', line: 3 }]);
    expect(problems[0]?.message).toContain('env:HOME');
    expect((await find(entry('env:HOME').replace('process: shared', 'process: own'))).problems).toEqual([]);
  });
});

describe('claims', () => {
  beforeEach(() => {
    install(join(folder, 'a'), 'plugin-a', { type: 'a', actions: [action('WEATHER'), action('STORM')] });
    install(join(folder, 'b'), 'plugin-b', { type: 'b', actions: [action('TIDE'), action('WEATHER')] });
    install(join(folder, 'c'), 'plugin-c', { type: 'a', actions: [action('SNOW')] });
  });

  test('an action twice: the first has it, and both sides are named', async () => {
    const { plugins, problems } = await find('plugins:\n  - package: ./a\n  - package: ./b\n');
    expect(plugins.map((plugin) => plugin.package)).toEqual(['plugin-a']);
    expect(problems).toMatchObject([{ code: 'ACTION_CLAIMED_TWICE', line: 3, column: 14 }]);
    expect(problems[0]?.message).toBe(
      `plugin-b claims the action WEATHER, which plugin-a (${join(folder, 'centreond.yaml')}:2) has. ` +
        'plugin-b is not loaded; give it a type of its own (as: TYPE), which its actions then start with, or set enable: false on one of the two.',
    );
  });

  test('a package twice under types of their own, with one definition for editors', async () => {
    install(join(folder, 'node_modules/weather'), 'weather', { config: { type: 'object' } });
    const scope = await scopeOf(
      'plugins:\n  - { package: weather, as: weather-eu }\n  - { package: weather, as: weather-us }\n',
    );
    const { plugins, problems } = findPlugins(scope, []);
    expect(problems).toEqual([]);
    const named = plugins.map(({ manifest: { type, declaredType, actions } }) => [
      type,
      declaredType,
      actions[0]?.name,
    ]);
    expect(named).toEqual([
      ['weather-eu', 'weather', 'WEATHER_EU_WEATHER'],
      ['weather-us', 'weather', 'WEATHER_US_WEATHER'],
    ]);
    expect(valueAt(configSchema(plugins), ['properties', 'plugins', 'items', 'allOf'])).toHaveLength(1);
  });

  test('a type twice, over two files', async () => {
    write(join(folder, 'conf.d/c.yaml'), 'plugins: [{ package: ../c }]');
    const { plugins, problems } = await find('plugins: [{ package: ./a }]');
    expect(plugins).toHaveLength(1);
    expect(problems).toMatchObject([{ code: 'TYPE_CLAIMED_TWICE', file: join(folder, 'conf.d/c.yaml') }]);
    expect(problems[0]?.message).toContain(`${join(folder, 'centreond.yaml')}:1`);
  });

  test('what one left out claims is free for the next', async () => {
    install(join(folder, 'd'), 'plugin-d', { type: 'd', actions: [action('TIDE')] });
    const { plugins } = await find('plugins: [{ package: ./a }, { package: ./b }, { package: ./d }]');
    expect(plugins.map((plugin) => plugin.package)).toEqual(['plugin-a', 'plugin-d']);
  });

  test("the core's own actions are not to be had", async () => {
    const { plugins, problems } = await find('plugins: [{ package: ./a }]', { coreActions: ['PING', 'STORM'] });
    expect(plugins).toEqual([]);
    expect(problems).toMatchObject([{ code: 'ACTION_CLAIMED_TWICE' }]);
    expect(problems[0]?.message).toContain('plugin-a claims the action STORM, which the core has');
  });

  test('nor are those of plugins that run already', async () => {
    const { plugins: loaded } = await find('plugins: [{ package: ./a }]');
    const { problems } = await find('plugins: [{ package: ./b }, { package: ./c }]', { loaded });
    expect(problems.map(({ code }) => code)).toEqual(['ACTION_CLAIMED_TWICE', 'TYPE_CLAIMED_TWICE']);
  });
});

describe('copies of what must be shared', () => {
  const SHARED = { '@centreond/plugin-sdk': '1', tsyringe: '4', 'reflect-metadata': '0' };

  function modules(at: string, names: string[]): void {
    for (const name of names)
      write(join(at, 'node_modules', name, 'package.json'), {
        name,
        ...(name.endsWith('-sdk') && { peerDependencies: { tsyringe: '4', 'reflect-metadata': '0' } }),
      });
  }

  test('one of each is fine', async () => {
    modules(folder, Object.keys(SHARED));
    install(join(folder, 'weather'), 'weather', {}, { peerDependencies: SHARED, dependencies: { absent: '1' } });
    expect((await find('plugins: [{ package: ./weather }]')).problems).toEqual([]);
  });

  test('two that one plugin reaches are no fault, as in a global installation: its process loads those of the SDK', async () => {
    modules(folder, Object.keys(SHARED));
    const at = install(join(folder, 'weather'), 'weather', {}, { peerDependencies: SHARED });
    modules(at, ['tsyringe']);
    expect((await find('plugins: [{ package: ./weather }]')).problems).toEqual([]);
  });

  test("two that a plugin in the daemon's process reaches are both named, also by way of other packages and in circles", async () => {
    modules(folder, Object.keys(SHARED));
    const at = install(
      join(folder, 'weather'),
      'weather',
      { isolation: 'core' },
      { peerDependencies: SHARED, dependencies: { one: '1' } },
    );
    write(join(folder, 'node_modules/one/package.json'), { name: 'one', dependencies: { two: '1' } });
    write(join(folder, 'node_modules/two/package.json'), {
      name: 'two',
      dependencies: { one: '1', '@centreond/plugin-sdk': '2' },
    });
    modules(join(folder, 'node_modules/two'), ['@centreond/plugin-sdk']);
    const { problems } = await find(`plugins: [{ package: ${at}, allowCore: true }]`);
    expect(problems.map(({ code }) => code)).toEqual(['PLUGIN_TWO_COPIES']);
    for (const copy of [
      'node_modules/two/node_modules/@centreond/plugin-sdk',
      join(folder, 'node_modules/@centreond/plugin-sdk'),
    ])
      expect(problems[0]?.message).toContain(copy);
  });

  test('copies of two plugins that share no process are their own affair', async () => {
    for (const name of ['a', 'b']) {
      const at = install(join(folder, name), name, { type: name, actions: [] }, { peerDependencies: SHARED });
      modules(at, Object.keys(SHARED));
    }
    expect((await find('plugins: [{ package: ./a }, { package: ./b }]')).problems).toEqual([]);
  });

  test("a plugin in the daemon's process has to share the daemon's", async () => {
    modules(join(root, 'usr/lib'), Object.keys(SHARED));
    const at = install(join(folder, 'pull'), 'pull', { type: 'pull', isolation: 'core' }, { peerDependencies: SHARED });
    modules(at, Object.keys(SHARED));
    const { problems } = await find('plugins: [{ package: ./pull, allowCore: true }]');
    expect(problems.map(({ code }) => code)).toEqual(Array(3).fill('PLUGIN_TWO_COPIES'));
  });

  test('one that is asked for and missing', async () => {
    install(join(folder, 'weather'), 'weather', {}, { peerDependencies: { tsyringe: '4' } });
    const { problems } = await find('plugins: [{ package: ./weather }]');
    expect(problems).toMatchObject([{ code: 'PLUGIN_LACKS_MODULE' }]);
  });
});

describe("a plugin's own settings", () => {
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    properties: {
      unit: { type: 'string', enum: ['C', 'F'], default: 'C' },
      every: { type: 'integer', minimum: 1 },
      password: { type: 'string', format: 'centreond-secret-reference' },
      router: {
        type: 'object',
        properties: { address: { type: 'string', minLength: 1 }, port: { type: 'integer' } },
        required: ['address'],
        additionalProperties: false,
      },
      limit: { anyOf: [{ type: 'string' }, { type: 'null' }] },
      hours: { type: 'array', items: { type: 'integer', maximum: 23 } },
      mode: { anyOf: [{ const: 'auto' }, { type: 'boolean' }] },
      auth: {
        anyOf: [
          {
            type: 'object',
            properties: { kind: { const: 'key' }, file: { type: 'string' } },
            required: ['kind', 'file'],
          },
          { type: 'object', properties: { kind: { const: 'none' } }, required: ['kind'], additionalProperties: false },
        ],
      },
      'a/b~c': { type: 'array', items: { type: 'string' }, minItems: 1 },
    },
    additionalProperties: false,
  };

  async function mistakes(config: string): Promise<string[]> {
    install(join(folder, 'weather'), 'weather', { config: schema });
    const { found, plugins, problems } = await find(`plugins:\n  - package: ./weather\n    config:\n${config}`);
    const [plugin] = found;
    if (!plugin) throw new Error('not discovered');
    const { source, path, config: checked } = plugin.entry;
    expect(checked).toEqual(valueAt(source.value, [...path, 'config']));
    expect(plugins).toEqual(problems.length === 0 ? found : []);
    return problems.map((p) => `${p.line}:${p.column} ${p.code} ${p.message}`);
  }

  test('fit', async () => {
    expect(await mistakes('      { unit: F, every: 5, password: "env:PASS", auth: { kind: none } }')).toEqual([]);
  });

  test('every mistake at its place, with a suggestion and without the values', async () => {
    expect(
      await mistakes(`      unit: Celsius
      evry: 5
      password: hunter2
      router: { adress: x }
      a/b~c: []
      every: [hunter2]
`),
    ).toEqual([
      '5:7 CONFIG_UNKNOWN_KEY plugins[0].config has no key evry; did you mean every?',
      '4:13 CONFIG_BAD_VALUE plugins[0].config.unit must be one of C, F.',
      '9:14 CONFIG_WRONG_TYPE plugins[0].config.every must be a whole number, not a list.',
      '6:17 CONFIG_BAD_VALUE plugins[0].config.password is a secret: write file:PATH or env:NAME, never the value.',
      '7:15 CONFIG_MISSING_KEY plugins[0].config.router.address is missing. It takes text.',
      '7:17 CONFIG_UNKNOWN_KEY plugins[0].config.router has no key adress; did you mean address?',
      '8:14 CONFIG_BAD_VALUE plugins[0].config.a/b~c must not be empty.',
    ]);
  });

  test('a value that must be a certain mapping is told which', async () => {
    const schema = { type: 'object', properties: { auth: { const: { kind: 'none' } } } };
    install(join(folder, 'weather'), 'weather', { config: schema });
    const { problems } = await find('plugins: [{ package: ./weather, config: { auth: 1 } }]');
    expect(problems.map(({ message }) => message)).toEqual([
      'plugins[0].config.auth must be {"kind":"none"}, not a number.',
    ]);
  });

  test('a value that must be a certain one is told with what its schema says of it', async () => {
    const type = { const: 'push', description: 'a daemon; a machine behind SSH belongs elsewhere' };
    install(join(folder, 'weather'), 'weather', { config: { type: 'object', properties: { type } } });
    const { problems } = await find('plugins: [{ package: ./weather, config: { type: ssh } }]');
    expect(problems.map(({ message }) => message)).toEqual([
      'plugins[0].config.type must be push: a daemon; a machine behind SSH belongs elsewhere.',
    ]);
  });

  test('of several forms, the one that fits best is told about', async () => {
    expect(await mistakes('      auth: { kind: key }')).toEqual([
      '4:13 CONFIG_MISSING_KEY plugins[0].config.auth.file is missing. It takes text.',
    ]);
    expect(await mistakes('      auth: { kind: none, file: x }')).toEqual([
      '4:27 CONFIG_UNKNOWN_KEY plugins[0].config.auth has no key file; it takes kind.',
    ]);
    expect(await mistakes('      auth: { kind: nome }')).toEqual([
      '4:21 CONFIG_BAD_VALUE plugins[0].config.auth.kind must be one of key, none; did you mean none?',
    ]);
    expect(await mistakes('      auth: { file: x }')).toEqual([
      '4:13 CONFIG_MISSING_KEY plugins[0].config.auth.kind is missing. It takes one of key, none.',
    ]);
    expect(await mistakes('      auth: 5')).toEqual([
      '4:13 CONFIG_WRONG_TYPE plugins[0].config.auth must be a mapping, not a number.',
    ]);
    expect(await mistakes('      limit: 5')).toEqual([
      '4:14 CONFIG_WRONG_TYPE plugins[0].config.limit must be text or nothing, not a number.',
    ]);
    expect(await mistakes('      hours: [1, 24]')).toEqual([
      '4:18 CONFIG_BAD_VALUE plugins[0].config.hours[1] must be <= 23.',
    ]);
    expect(await mistakes('      mode: 5')).toEqual([
      '4:13 CONFIG_BAD_VALUE plugins[0].config.mode fits none of the forms that it may have.',
    ]);
  });

  test('of forms that a constant tells apart, only the one that is named', async () => {
    const Node = z.discriminatedUnion('type', [
      z.strictObject({ type: z.literal('push'), address: z.string(), fingerprint: z.string(), score: z.int() }),
      z.strictObject({
        type: z.enum(['ssh', 'sftp']),
        address: z.string().regex(/:/, 'must be host:port'),
        auth: z.discriminatedUnion('kind', [
          z.strictObject({ kind: z.literal('key'), file: z.string() }),
          z.strictObject({ kind: z.literal('agent') }),
        ]),
      }),
    ]);
    // By reference, as zod writes what it meets twice.
    const config = z.toJSONSchema(z.strictObject({ nodes: z.array(Node), first: Node.optional() }), { reused: 'ref' });
    install(join(folder, 'weather'), 'weather', { config: { ...config } });
    const { problems } = await find(`plugins:
  - package: ./weather
    config:
      nodes:
        - { type: ssh, address: 5, user: root, auth: { kind: key, path: /key } }
        - { type: push, address: "lyon:1", fingerprint: x }
        - { type: shh, address: "lyon:1" }
        - { address: "lyon:1" }
        - { type: sftp, address: "lyon:1", auth: { kind: agent } }
`);
    const told = problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
    expect(told.map((p) => `${p.line}:${p.column} ${p.message}`)).toEqual([
      '5:33 plugins[0].config.nodes[0].address must be text, not a number.',
      '5:36 plugins[0].config.nodes[0] has no key user; it takes type, address, auth.',
      '5:54 plugins[0].config.nodes[0].auth.file is missing. It takes text.',
      '5:67 plugins[0].config.nodes[0].auth has no key path; it takes kind, file.',
      '6:11 plugins[0].config.nodes[1].score is missing. It takes a whole number.',
      '7:19 plugins[0].config.nodes[2].type must be one of push, ssh, sftp; did you mean ssh?',
      '8:11 plugins[0].config.nodes[3].type is missing. It takes one of push, ssh, sftp.',
    ]);
  });

  test('none where the plugin takes none', async () => {
    install(join(folder, 'weather'), 'weather');
    const { problems } = await find('plugins: [{ package: ./weather, config: { unit: C } }]');
    expect(problems.map((p) => `${p.line}:${p.column} ${p.message}`)).toEqual([
      '1:43 plugins[0].config has no key unit; it takes none.',
    ]);
  });

  test("a schema that does not compile is the manifest's fault", async () => {
    install(join(folder, 'weather'), 'weather', { config: { $ref: '#/$defs/nothing' } });
    const { problems } = await find('plugins: [{ package: ./weather }]');
    expect(problems).toMatchObject([{ code: 'PLUGIN_BAD_MANIFEST' }]);
  });
});
