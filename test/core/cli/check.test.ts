import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Ajv } from 'ajv';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { parse } from 'yaml';
import { type CheckOptions, check } from '../../../core/dist/cli/check.js';
import { loadConfig } from '../../../core/dist/config/config.js';
import { configSchema } from '../../../core/dist/config/editor-schema.js';

const KEY = 'A'.repeat(43);
const ROOT = join(import.meta.dirname, '../../..');
let folder: string;

beforeEach(() => {
  vi.stubEnv('FORCE_COLOR', undefined);
  vi.stubEnv('NO_COLOR', undefined);
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'centreond-check-')));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

function write(name: string, content: string | object): void {
  const file = join(folder, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
}

function installWeather(): void {
  const declared = {
    api: 1,
    type: 'weather',
    title: 'Weather of a city',
    actions: ['WEATHER', 'STORM'].map((name) => ({
      name,
      title: name,
      method: name,
      input: {},
      output: {},
      access: ['client'],
      effects: 'read',
      idempotent: true,
      inFlight: 'requeue',
      concurrency: 1,
      timeoutSeconds: 1,
      reply: 'row',
      unexpressed: [],
    })),
    emits: [],
    listens: [],
    codes: {},
    instances: { pool: 1 },
    isolation: 'process',
    kill: null,
    config: {
      type: 'object',
      properties: { unit: { $ref: '#/$defs/unit' } },
      additionalProperties: false,
      $defs: { unit: { enum: ['C', 'F'] } },
    },
    unexpressed: [],
  };
  const hash = createHash('sha256').update(JSON.stringify(declared)).digest('hex');
  write('weather/plugin.manifest.json', { ...declared, sdk: '0.1.0', hash });
  write('weather/package.json', { name: 'plugin-weather', version: '1.2.3', main: 'main.js' });
  write('weather/main.js', 'process.exit(99);');
}

async function run(options: Partial<CheckOptions> = {}): Promise<{ code: number; out: string; err: string }> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  // What the ports of this machine are used for is none of these tests' affair.
  const unbindable = async () => undefined;
  const standing = { cwd: folder, json: false, systemFolder: join(folder, 'etc'), unbindable };
  const code = await check({ ...standing, stdout, stderr, ...options });
  stdout.end();
  stderr.end();
  return { code, out: (await text(stdout)).replaceAll(folder, ''), err: (await text(stderr)).replaceAll(folder, '') };
}

test('a sound config: what there is, in a line each, and exit 0', async () => {
  installWeather();
  write(
    'centreond.yaml',
    `core:
  id: central
  name: Paris
  external: { listen: "tcp://*:5555" }
clients:
  trust: strict
  authorized:
    - { identity: alice, fingerprint: ${KEY}, roles: [client], subnodes: [x] }
plugins:
  - package: ./weather
    config: { unit: C }
`,
  );
  write('conf.d/more.yaml', 'plugins: [{ package: someday, enable: false }]\n');
  expect(await run()).toEqual({
    code: 0,
    err: '',
    out: `centreond.yaml:8:101  warning  CONFIG_NO_EFFECT  clients.authorized[0].subnodes has no effect: only a client with the role node announces nodes.

config  centreond.yaml, conf.d/more.yaml
router  central (Paris)
data    var
door    tcp://*:5555, trust strict, 1 authorized
plugin  weather, plugin-weather 1.2.3: WEATHER STORM
plugin  someday: not enabled

1 warning in 2 files and 1 sound plugin.
`,
  });
});

const MISTAKES = `core:
  id: "no id"
  datadir: ./var
  external: { listen: localhost:5555 }
  store: { retention: 7 }
  maxMessage: 16MB
clients:
  trust: penidng
  authorized:
    - identity: alice
      fingerprint: abc
      roles: [clinet]
    - identity: alice
      fingerprint: ${KEY}
plugins:
  - package: ./weather
    config: { unit: K, units: C }
  - package: "@acme/none"
    restart: { max: often }
  - enable: true
    package: ./nowhere
`;

test('a dozen mistakes in YAML: each at its place, in one pass, and exit 1', async () => {
  installWeather();
  write('centreond.yaml', MISTAKES);
  write('conf.d/a.json', '{\n  "plugins": [\n    { "package": "../weather", }\n  ]\n}\n');
  const { code, out } = await run();
  expect(code).toBe(1);
  expect(out).toBe(
    `centreond.yaml:2:7    error    CONFIG_BAD_IDENTITY  core.id cannot be "no id". An identity is 1 to 64 of A-Z a-z 0-9 . _ - and not ., .. or all
centreond.yaml:3:3    error    CONFIG_UNKNOWN_KEY  core has no key datadir; did you mean dataDir?
centreond.yaml:4:23   error    CONFIG_BAD_ADDRESS  core.external.listen cannot be "localhost:5555". An address to listen on is tcp://ADDRESS:PORT, such as tcp://127.0.0.1:5555 or tcp://*:5555.
centreond.yaml:5:23   error    CONFIG_BAD_DURATION  core.store.retention has no unit: 7. A duration is a whole number and ms, s, m, h or d, such as 30s.
centreond.yaml:6:15   error    CONFIG_BAD_SIZE  core.maxMessage cannot be "16MB". A size is a whole number and B, KiB, MiB or GiB, such as 16MiB.
centreond.yaml:8:10   error    CONFIG_BAD_VALUE  clients.trust must be one of pending, strict, not "penidng"; did you mean pending?
centreond.yaml:11:20  error    CONFIG_BAD_FINGERPRINT  clients.authorized[0].fingerprint cannot be "abc". A fingerprint is the 43 characters that \`centreond keys show\` prints on the client's machine.
centreond.yaml:12:15  error    CONFIG_BAD_VALUE  clients.authorized[0].roles[0] must be one of client, node, router, admin, not "clinet"; did you mean client?
centreond.yaml:13:7   error    CONFIG_MISSING_KEY  clients.authorized[1].roles is missing. It takes a list.
centreond.yaml:13:17  error    CONFIG_DUPLICATE  The identity alice is already given at /centreond.yaml:10:17. One identity has one key and one entry; merge the two.
centreond.yaml:17:21  error    CONFIG_BAD_VALUE  plugins[0].config.unit must be one of C, F.
centreond.yaml:17:24  error    CONFIG_UNKNOWN_KEY  plugins[0].config has no key units; did you mean unit?
centreond.yaml:19:21  error    CONFIG_WRONG_TYPE  plugins[1].restart.max must be a number, not "often".
centreond.yaml:21:14  error    PLUGIN_NO_PACKAGE  /nowhere is no package folder: it does not exist.

conf.d/a.json:3:32  error    CONFIG_SYNTAX  This is not JSON: Expected double-quoted property name.

config  centreond.yaml, conf.d/a.json

15 errors in 2 files and 0 sound plugins.
`,
  );
});

test('the same mistakes in JSON: the same words, at the places where they stand there', async () => {
  installWeather();
  write('centreond.yaml', MISTAKES);
  const yaml = JSON.parse((await run({ json: true })).out);
  rmSync(join(folder, 'centreond.yaml'));
  const json = JSON.stringify(parse(MISTAKES), undefined, 2);
  write('centreond.json', json);
  const { code, out } = await run({ json: true });
  expect(code).toBe(1);
  const report = JSON.parse(out);
  const told = (problem: { code: string; message: string }) =>
    `${problem.code} ${problem.message.replace(/centreond\.(yaml|json):\d+:\d+/, 'there')}`;
  expect(report.problems.map(told).sort()).toEqual(yaml.problems.map(told).sort());
  // Each place is where the value, or an unknown key, begins.
  const lines = json.split('\n');
  const shown = report.problems.map((p: { line: number; column: number }) => lines[p.line - 1]?.slice(p.column - 1));
  expect(shown).toEqual([
    '"no id",',
    '"datadir": "./var",',
    '"localhost:5555"',
    '7',
    '"16MB"',
    '"penidng",',
    '"abc",',
    '"clinet"',
    '{',
    '"alice",',
    '"K",',
    '"units": "C"',
    '"often"',
    '"./nowhere"',
  ]);
});

test('--json prints one object', async () => {
  installWeather();
  write('centreond.yaml', 'core: { id: central }\nplugins: [{ package: ./weather }, { package: x, enable: false }]\n');
  const { code, out } = await run({ json: true, coreActions: ['PING'] });
  expect(code).toBe(0);
  expect(JSON.parse(out)).toEqual({
    ok: true,
    file: '/centreond.yaml',
    files: ['/centreond.yaml'],
    problems: [],
    router: { id: 'central', dataDir: '/var', listen: null, trust: 'pending', authorized: 0 },
    plugins: [
      {
        ok: true,
        type: 'weather',
        package: 'plugin-weather',
        version: '1.2.3',
        folder: '/weather',
        actions: ['WEATHER', 'STORM'],
      },
    ],
    disabled: ['x'],
  });
});

test("the core's own actions cannot be claimed", async () => {
  installWeather();
  write('centreond.yaml', 'plugins: [{ package: ./weather }]\n');
  const { code, out } = await run({ coreActions: ['STORM'] });
  expect(code).toBe(1);
  expect(out).toContain('centreond.yaml:1:22  error    ACTION_CLAIMED_TWICE');
});

test('there is colour on a terminal and nowhere else', async () => {
  write('centreond.yaml', 'core: { idd: 1 }\n');
  expect((await run()).out).not.toContain('\x1b[');
  const terminal = Object.assign(new PassThrough(), { isTTY: true, getColorDepth: () => 8 });
  await check({ cwd: folder, json: false, stdout: terminal });
  terminal.end();
  expect(await text(terminal)).toContain('\x1b[31merror  \x1b[39m');
});

test('no config at all is a failure, a wrong --config is wrong usage', async () => {
  expect((await run()).code).toBe(1);
  const { code, out } = await run({ config: 'none.yaml' });
  expect(code).toBe(2);
  expect(out).toContain('There is no file /none.yaml.');
});

describe('the schema for editors', () => {
  test('has the settings of the plugins that the config lists, and takes what the loader takes', async () => {
    installWeather();
    write('centreond.yaml', 'plugins:\n  - package: ./weather\n  - package: ./nowhere\n');
    const { code, out, err } = await run({ schema: true });
    expect(code).toBe(1);
    expect(err).toContain('PLUGIN_NO_PACKAGE');
    const accepts = new Ajv({ strict: false }).compile(JSON.parse(out));
    const plugin = (config: object) => ({ plugins: [{ package: './weather', config }] });
    expect(accepts(plugin({ unit: 'C' }))).toBe(true);
    expect(accepts(plugin({ unit: 'K' }))).toBe(false);
    expect(accepts(plugin({ units: 'C' }))).toBe(false);
    expect(accepts({ plugins: [{ package: 'other', config: { any: 1 } }] })).toBe(true);
    for (const [core, sound] of [
      [{ id: 'a', maxMessage: '1MiB', session: { idle: '5m' } }, true],
      [{ maxMessage: 16 }, false],
      [{ maxMessage: '16MB' }, false],
      [{ id: '..' }, false],
      [{ idd: 'a' }, false],
    ] as const)
      expect(accepts({ core })).toBe(sound);
  });

  const file = join(ROOT, 'config/centreond.yaml');
  const kept = () => JSON.parse(readFileSync(join(ROOT, 'config/centreond.schema.json'), 'utf8'));
  const HINT = 'write it anew: centreond check --schema --config config/centreond.yaml > config/centreond.schema.json';

  test('stands beside the config to start with, which refers to it', () => {
    const { properties } = kept();
    const { items, ...plugins } = properties.plugins;
    const { allOf: _, ...entry } = items;
    const { title, $schema, type, additionalProperties } = kept();
    const own = {
      title,
      $schema,
      type,
      additionalProperties,
      properties: { ...properties, plugins: { ...plugins, items: entry } },
    };
    expect(own, HINT).toEqual(configSchema([]));
    expect(readFileSync(file, 'utf8')).toMatch(/^# yaml-language-server: \$schema=\.\/centreond\.schema\.json\n/);
  });

  // Manifests are written by the build, not kept.
  test.runIf(existsSync(join(ROOT, 'plugins/action/plugin.manifest.json')))('has the bundled plugins', async () => {
    const { code, out, err } = await run({ schema: true, config: file });
    expect([code, err]).toEqual([0, '']);
    expect(JSON.parse(out), HINT).toEqual(kept());
  });
});

test('the config to start with is sound, in its own folder and with its door', async () => {
  const { config, problems } = await loadConfig({ cwd: ROOT, systemFolder: folder });
  expect(problems).toEqual([]);
  expect(config).toMatchObject({
    file: join(ROOT, 'config/centreond.yaml'),
    core: { id: 'central', dataDir: join(ROOT, 'config/var'), external: { listen: 'tcp://127.0.0.1:5555' } },
    clients: { trust: 'pending' },
    plugins: [{ package: '@centreond/plugin-action' }],
  });
});
