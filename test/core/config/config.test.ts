import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Loaded, loadConfig, requestedEntry } from '../../../core/dist/config/config.js';
import { pathOf } from '../../../core/dist/config/issues.js';
import { parseSource } from '../../../core/dist/config/source.js';

const KEY = 'A'.repeat(43);
// Nine levels of ten aliases each: a billion items.
const BOMB = Array.from({ length: 9 }, (_, i) => `x${i}: &x${i} [${Array(10).fill(i ? `*x${i - 1}` : '1')}]\n`).join(
  '',
);
let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'centreond-config-')));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const file = join(folder, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

async function load(file?: string): Promise<Loaded> {
  return loadConfig({ file, cwd: folder, systemFolder: join(folder, 'etc') });
}

/** `line:column CODE` of each problem, those of other files with their name. */
function places({ problems, file }: Loaded): string[] {
  return problems.map((p) => {
    const name = p.file === file ? '' : `${p.file.slice(folder.length + 1)}:`;
    return `${name}${p.line}:${p.column} ${p.code}`;
  });
}

async function messageOf(text: string): Promise<string> {
  write('centreond.yaml', text);
  const { problems } = await load();
  expect(problems).toHaveLength(1);
  return problems[0]?.message ?? '';
}

describe('which file counts', () => {
  test("the working folder, then its config folder, then the machine's, each as yaml, yml, json", async () => {
    const order = [
      'centreond.yaml',
      'centreond.yml',
      'centreond.json',
      'config/centreond.yaml',
      'config/centreond.yml',
      'config/centreond.json',
      'etc/centreond.yaml',
      'etc/centreond.yml',
      'etc/centreond.json',
    ];
    for (const name of order.toReversed()) {
      const file = write(name, '{}');
      const { config, problems } = await load();
      expect(problems).toEqual([]);
      expect(config?.file).toBe(file);
    }
  });

  test('--config wins, and is relative to the working folder', async () => {
    write('centreond.yaml', 'core: { id: found }');
    write('other/mine.yaml', 'core: { id: named }');
    const { config } = await load('other/mine.yaml');
    expect(config?.core.id).toBe('named');
  });

  test('--config may be JS or TS', async () => {
    write('a.mjs', 'export default { core: { id: "js", maxMessage: "1MiB" } };');
    write('a.ts', 'const id: string = "ts";\nexport default { core: { id } };');
    // In a process of its own: the test runner has its own ways with TypeScript.
    const script = `
      const { loadConfig } = await import(${JSON.stringify(import.meta.resolve('../../../core/dist/config/config.js'))});
      for (const file of ['a.mjs', 'a.ts'])
        console.log(JSON.stringify((await loadConfig({ file, cwd: process.cwd() })).config?.core.id ?? null));`;
    const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd: folder });
    expect((await run).stdout).toBe('"js"\n"ts"\n');
  });

  test('a module is read again after it was written again', async () => {
    write('a.mjs', 'export default { core: { id: "old" } };');
    expect((await load('a.mjs')).config?.core.id).toBe('old');
    write('a.mjs', 'export default { core: { id: "new" } };');
    expect((await load('a.mjs')).config?.core.id).toBe('new');
  });

  test("a module's mistakes stand at its first line", async () => {
    write('a.mjs', 'export default { core: { ide: 1 }, plugins: [() => 1, new Date(0)] };');
    const loaded = await load('a.mjs');
    expect(places(loaded)).toEqual(['1:1 CONFIG_NOT_JSON', '1:1 CONFIG_NOT_JSON']);
    expect(loaded.problems[0]?.message).toContain('plugins[0] is of the type function');
    write('b.mjs', 'export default {');
    expect(places(await load('b.mjs'))).toEqual(['1:1 CONFIG_BROKEN_MODULE']);
    write('c.mjs', 'const self = {}; self.core = self; export default self;');
    expect(places(await load('c.mjs'))).toEqual(['1:1 CONFIG_NOT_JSON']);
  });

  test('where there is none, every place that was looked at is named', async () => {
    const { config, scope, problems, file } = await load();
    expect([config, scope, file]).toEqual([undefined, undefined, '']);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({ code: 'CONFIG_NOT_FOUND', severity: 'error' });
    for (const name of ['centreond.yaml', 'config/centreond.json', 'etc/centreond.yml'])
      expect(problems[0]?.message).toContain(join(folder, name));
  });

  test("what stands in a file's place and cannot be read is told, not passed over", async () => {
    mkdirSync(join(folder, 'centreond.yaml'));
    write('config/centreond.yaml', '{}');
    const { problems, config } = await load();
    expect(config).toBeUndefined();
    expect(problems[0]).toMatchObject({ code: 'CONFIG_UNREADABLE', file: join(folder, 'centreond.yaml') });
  });

  test('a named file that is not there, or of no known kind', async () => {
    for (const name of ['nope.yaml', 'centreond.toml'])
      expect((await load(name)).problems[0]?.code).toBe('CONFIG_NO_SUCH_FILE');
  });
});

describe('what is read', () => {
  test('an empty file is a config of defaults', async () => {
    for (const text of ['', '\n', '# nothing\n', 'core:\nplugins:\n']) {
      write('centreond.yaml', text);
      const { config, problems } = await load();
      expect(problems).toEqual([]);
      expect(config?.core).toMatchObject({
        dataDir: join(folder, 'var'),
        socket: join(folder, 'var/run/router.ipc'),
        store: { driver: 'sqlite', synchronous: 'full', retention: 7 * 86_400_000, maxSize: 4 * 1024 ** 3 },
        session: { idle: 86_400_000 },
        maxMessage: 16 * 1024 ** 2,
        log: { level: 'info' },
        labels: {},
      });
      expect(config?.core.id).toMatch(/^[A-Za-z0-9._-]{1,64}$/);
      expect(config?.core.external).toBeUndefined();
      expect(config?.clients).toEqual({ trust: 'pending', authorized: [] });
      expect(config?.plugins).toEqual([]);
    }
  });

  const FULL = {
    core: {
      id: 'central',
      name: 'Paris',
      labels: { site: 'paris', role: 'web' },
      dataDir: '../data',
      external: { listen: 'tcp://[::1]:*' },
      store: { driver: 'sqlite', synchronous: 'extra', retention: '24h', maxSize: '64MiB' },
      session: { idle: '90s' },
      maxMessage: '1MiB',
      log: { level: 'debug' },
    },
    clients: {
      trust: 'strict',
      authorized: [
        { identity: 'alice', fingerprint: KEY, roles: ['client'], actions: ['COMMAND'], targets: ['paris-1'] },
        { identity: 'relay-1', fingerprint: `${KEY.slice(1)}E`, roles: ['node'], subnodes: ['lyon-2'] },
      ],
    },
    plugins: [
      {
        package: '@centreond/plugin-action',
        enable: false,
        restart: { max: 0, within: '1m' },
        allowCore: true,
        startTimeout: '500ms',
        limits: { memory: '128MiB', niceness: -5, processes: 3 },
        config: { timeoutSeconds: 60, none: null },
      },
      { package: './mine' },
    ],
  };

  test('YAML and JSON say the same, with durations in ms, sizes in bytes and absolute paths', async () => {
    write('centreond.json', JSON.stringify(FULL, undefined, '\t'));
    const { config, problems } = await load();
    expect(problems).toEqual([]);
    expect(config?.core).toMatchObject({
      id: 'central',
      name: 'Paris',
      dataDir: join(dirname(folder), 'data'),
      external: { listen: 'tcp://[::1]:*' },
      store: { synchronous: 'extra', retention: 86_400_000, maxSize: 64 * 1024 ** 2 },
      session: { idle: 90_000 },
      log: { level: 'debug' },
    });
    expect(config?.clients).toEqual(FULL.clients);
    expect(config?.plugins[0]).toMatchObject({
      package: '@centreond/plugin-action',
      enable: false,
      restart: { max: 0, within: 60_000 },
      allowCore: true,
      startTimeout: 500,
      limits: { memory: 128 * 1024 ** 2, niceness: -5, processes: 3 },
      config: { timeoutSeconds: 60, none: null },
    });
    expect(config?.plugins[1]).toMatchObject({ enable: true, restart: { max: 5, within: 60_000 }, config: {} });
  });

  test('anchors and merged mappings, with mistakes told where they are written', async () => {
    write(
      'centreond.yaml',
      `plugins:
  - &first
    package: one
    restart: &often { max: 9, within: 10 }
  - <<: *first
    package: two
  - package: three
    restart: { <<: *often, within: 1m }
`,
    );
    expect(places(await load())).toEqual(['4:39 CONFIG_BAD_DURATION', '4:39 CONFIG_BAD_DURATION']);
  });

  test('a mapping that is merged into itself is a mistake, also beside a mistake of syntax', async () => {
    for (const text of ['&a { <<: *a, core: 1 }', '&a { <<: [*a, *a], core: 1', 'core: &a { b: { <<: *a } }\n[']) {
      write('centreond.yaml', text);
      expect((await load()).problems[0]?.code).toBe('CONFIG_SYNTAX');
    }
  });

  test('an alias is found without a search of the whole document', () => {
    const items = (mark: string) => Array.from({ length: 1500 }, (_, i) => `${mark}${i}`).join(',');
    const timeOf = (text: string) => {
      const began = process.threadCpuUsage();
      expect(parseSource('x.yaml', text).problems).toEqual([]);
      return process.threadCpuUsage(began).user;
    };
    const anchors = Array.from({ length: 1500 }, (_, i) => `&x${i} ${i}`).join(',');
    const best = { found: Number.POSITIVE_INFINITY, plain: Number.POSITIVE_INFINITY };
    // What else the machine does only adds to a time: the least of each, taken in turn, are compared.
    for (let round = 0; round < 10 && (round < 3 || best.found / best.plain >= 12); round++) {
      best.found = Math.min(best.found, timeOf(`a: [${anchors}]\nb: [${items('*x')}]`));
      best.plain = Math.min(best.plain, timeOf(`a: [${items('')}]\nb: [${items('')}]`));
    }
    // It is about 5; by the library's own search, which goes through all anchors for each alias, it is above 30.
    expect(best.found / best.plain).toBeLessThan(12);
  });

  test('what is for a process of its own is refused at its place for a plugin that shares one', async () => {
    write(
      'centreond.yaml',
      `plugins:
  - package: one
    process: shared
    env: { A: b }
    limits:
      memory: 64MiB
      instances: 3
      stuck: 5s
  - package: two
    process: shared
    startTimeout: 5s
    limits: { instances: 3 }
  - package: three
    process: own
    env: { A: b }
`,
    );
    const loaded = await load();
    expect(places(loaded)).toEqual(['4:5 CONFIG_BAD_VALUE', '6:7 CONFIG_BAD_VALUE', '8:7 CONFIG_BAD_VALUE']);
    expect(loaded.problems[1]?.message).toBe(
      'plugins[0].limits.memory is for a process of its own, and this plugin shares one (process: shared); remove one of the two.',
    );
  });

  test("a place in a plugin's own settings is found by its pointer", async () => {
    write('centreond.yaml', 'plugins:\n  - package: one\n    config:\n      a/b: [1, { c: 2 }]\n');
    const [entry] = (await load()).config?.plugins ?? [];
    if (!entry) throw new Error('no entry');
    const found = ['', '/a~1b', '/a~1b/1/c', '/a~1b/1/d', '/z'].map((pointer) => {
      return entry.source.at([...entry.path, 'config', ...pathOf(pointer)]);
    });
    expect(found.map(({ line, column }) => `${line}:${column}`)).toEqual(['4:7', '4:12', '4:21', '4:16', '4:7']);
  });

  test("a request can name a plugin as a file's entry would", async () => {
    write('centreond.yaml', '');
    const { scope } = await load();
    if (!scope) throw new Error('no scope');
    expect(requestedEntry(scope, { package: './mine', config: { a: 1 } })).toMatchObject({
      package: './mine',
      config: { a: 1 },
      restart: { max: 5 },
    });
    expect(requestedEntry(scope, { package: 'no such name' })).toMatchObject([{ code: 'CONFIG_BAD_VALUE' }]);
  });
});

describe('every mistake, at its place', () => {
  test.each([
    ['a: [1,\n', ['2:1 CONFIG_SYNTAX']],
    ['core:\n\tid: x\n', ['2:1 CONFIG_SYNTAX']],
    ['core: {}\n---\ncore: {}\n', ['2:1 CONFIG_SYNTAX']],
    ['core: !vault x\n', ['1:7 CONFIG_SYNTAX']],
    ['core: { id: *nobody }\n', ['1:13 CONFIG_SYNTAX']],
    ['core: &x { session: *x }\n', ['1:21 CONFIG_SYNTAX']],
    ['core: { maxMessage: .inf }\n', ['1:21 CONFIG_NOT_JSON']],
    [
      'core: { name: !!binary aGk= }\ncore2: !!set { a }\n? [a]\n: 1\n',
      ['1:24 CONFIG_NOT_JSON', '2:14 CONFIG_NOT_JSON', '3:3 CONFIG_NOT_JSON'],
    ],
    ['core: { __proto__: {} }\n', ['1:9 CONFIG_NOT_JSON']],
    ['core: { id: a, name: b, id: c }\n', ['1:25 CONFIG_DUPLICATE_KEY']],
    [
      'core: { id: a, idd: b, id: c d }\n',
      ['1:16 CONFIG_UNKNOWN_KEY', '1:24 CONFIG_DUPLICATE_KEY', '1:28 CONFIG_BAD_IDENTITY'],
    ],
    [`core: { id: a, id: b }\n${BOMB}`, ['1:1 CONFIG_SYNTAX', '1:16 CONFIG_DUPLICATE_KEY']],
    ['just text\n', ['1:1 CONFIG_WRONG_TYPE']],
    ['- a list\n', ['1:1 CONFIG_WRONG_TYPE']],
    [
      'core: 5\nclients: []\nplugins: {}\n',
      ['1:7 CONFIG_WRONG_TYPE', '2:10 CONFIG_WRONG_TYPE', '3:10 CONFIG_WRONG_TYPE'],
    ],
    ['core: { external: {} }\n', ['1:19 CONFIG_MISSING_KEY']],
    ['plugins:\n  - enable: true\n', ['2:5 CONFIG_MISSING_KEY']],
    [
      'plugins:\n  - package: x\n    limits: { memory: 1, niceness: 20, processes: 0 }\n',
      ['3:23 CONFIG_BAD_SIZE', '3:36 CONFIG_BAD_VALUE', '3:51 CONFIG_BAD_VALUE'],
    ],
    [
      'plugins:\n  - package: x\n    env: { PORT: 8080, CENTREOND_ZMTP: libzmq, "a=b": c, FINE: "" }\n',
      ['3:18 CONFIG_WRONG_TYPE', '3:40 CONFIG_BAD_VALUE', '3:55 CONFIG_BAD_VALUE'],
    ],
    [
      `core: { labels: { Site: a, rack: 12, "9x": b, zone: ${'x'.repeat(129)}, fine.one-1_: "" } }\n`,
      ['1:25 CONFIG_BAD_VALUE', '1:34 CONFIG_WRONG_TYPE', '1:44 CONFIG_BAD_VALUE', '1:53 CONFIG_BAD_VALUE'],
    ],
    [
      `core: { labels: { ${Array.from({ length: 33 }, (_, i) => `l${i}: x`).join(', ')} } }\n`,
      ['1:17 CONFIG_BAD_VALUE'],
    ],
    ['core: { session: { idle: 0s } }\n', ['1:26 CONFIG_BAD_DURATION']],
    ['core: { session: { idle: 25d } }\n', ['1:26 CONFIG_BAD_DURATION']],
    ['core: { store: { retention: 23h } }\n', ['1:29 CONFIG_BAD_DURATION']],
    ['core: { dataDir: ~/var }\n', ['1:18 CONFIG_BAD_VALUE']],
    ['core: { store: { driver: postgres } }\n', ['1:18 CONFIG_MISSING_KEY']],
    ['core: { store: { url: "file:./url" } }\n', ['1:18 CONFIG_BAD_VALUE']],
    ['core: { store: { driver: sqlite, url: "env:URL" } }\n', ['1:34 CONFIG_BAD_VALUE']],
    ['core: { store: { driver: postgres, url: "mysql://a:b@c/d" } }\n', ['1:41 CONFIG_BAD_VALUE']],
    ['core: { store: { driver: postgres, url: 5432 } }\n', ['1:41 CONFIG_BAD_VALUE']],
    ['core: { cluster: { name: prod, nats: "nats://a:4222" } }\n', ['1:9 CONFIG_BAD_VALUE']],
    ['core: { store: { driver: postgres, url: "env:U" }, cluster: { name: prod } }\n', ['1:61 CONFIG_MISSING_KEY']],
    [
      'core: { store: { driver: postgres, url: "env:U" }, cluster: { name: prod, nats: "nats://u:p@a" } }\n',
      ['1:81 CONFIG_BAD_VALUE'],
    ],
    [
      'core: { store: { driver: postgres, url: "env:U" }, cluster: { name: prod, nats: "nats://a", credentials: "u:p" } }\n',
      ['1:106 CONFIG_BAD_VALUE'],
    ],
    ['core: { external: { listen: "tcp://*:5555", advertise: "tcp://*:5555" } }\n', ['1:56 CONFIG_BAD_VALUE']],
  ])('%j', async (text, expected) => {
    write('centreond.yaml', text);
    const loaded = await load();
    expect(places(loaded)).toEqual(expected);
    expect(loaded.config).toBeUndefined();
  });

  test.each([
    ['{"core": {"id": "a",}}', ['1:21 CONFIG_SYNTAX']],
    ['{\n  // why\n  "core": {}\n}', ['2:3 CONFIG_SYNTAX']],
    ['{\n  "core": {"id": hello, "name": "hunter2"}}', ['2:18 CONFIG_SYNTAX']],
    ["{\n  'core': {}}", ['2:3 CONFIG_SYNTAX']],
    ['core:\n  id: a\n', ['1:1 CONFIG_SYNTAX']],
    ['{"core": {"id": "a", "id": "b"}}', ['1:22 CONFIG_DUPLICATE_KEY']],
    ['{\n\t"core": {\n\t\t"ide": "a"\n\t}\n}', ['3:3 CONFIG_UNKNOWN_KEY']],
    ['\uFEFF{"core": 1}', ['1:10 CONFIG_WRONG_TYPE']],
  ])('%j', async (text, expected) => {
    write('centreond.json', text);
    const loaded = await load();
    expect(places(loaded)).toEqual(expected);
    expect(loaded.problems[0]?.message).not.toContain('hunter2');
  });

  test('an identity or a key that is given twice names both places', async () => {
    const file = write(
      'centreond.yaml',
      `core: { id: central }
clients:
  authorized:
    - { identity: alice, fingerprint: ${KEY}, roles: [client] }
    - { identity: alice, fingerprint: "${KEY.slice(1)}E", roles: [client] }
    - { identity: bob, fingerprint: ${KEY}, roles: [clientt] }
    - { identity: central, fingerprint: "${KEY.slice(1)}I", roles: [admin] }
`,
    );
    const loaded = await load();
    expect(places(loaded)).toEqual([
      '5:19 CONFIG_DUPLICATE',
      '6:37 CONFIG_DUPLICATE',
      '6:90 CONFIG_BAD_VALUE',
      '7:19 CONFIG_BAD_VALUE',
    ]);
    expect(loaded.problems[0]?.message).toContain(`identity alice is already given at ${file}:4:19`);
    expect(loaded.problems[1]?.message).toContain(`already given at ${file}:4:39`);
    expect(loaded.problems[3]?.message).toContain('the id of this router');
  });

  test.each(['x', `${KEY.slice(1)}B`, `${KEY}=`, `${KEY.slice(1)}+`])('the fingerprint %s is none', async (text) => {
    const at = `clients: { authorized: [{ identity: a, roles: [client], fingerprint: "${text}" }] }`;
    expect(await messageOf(at)).toContain('A fingerprint is the 43 characters');
  });

  test.each(['.', '..', 'a b', '', 'x'.repeat(65), 'é'])('the identity %j is none', async (text) => {
    expect(await messageOf(`core: { id: ${JSON.stringify(text)} }`)).toContain('core.id cannot be');
  });

  test.each([
    'tcp://localhost:5555',
    'tcp://127.0.0.1',
    'tcp://127.0.0.1:65536',
    '127.0.0.1:5555',
    'ipc:///tmp/x',
    'tcp://:5555',
  ])('nothing listens on %s', async (text) => {
    expect(await messageOf(`core: { external: { listen: "${text}" } }`)).toContain('An address to listen on is');
  });

  test.each(['tcp://*:5555', 'tcp://0.0.0.0:*', 'tcp://127.0.0.1:0', 'tcp://eth0:65535', 'tcp://[::]:1'])(
    '%s can be listened on',
    async (text) => {
      write('centreond.yaml', `core: { external: { listen: "${text}" } }`);
      expect((await load()).config?.core.external?.listen).toBe(text);
    },
  );

  test('a socket path that the system does not take', async () => {
    const room = 107 - '/run/router.ipc'.length;
    const longest = `/${'d'.repeat(room - 1)}`;
    write('centreond.yaml', `core:\n  dataDir: ${longest}`);
    expect((await load()).config?.core.socket).toHaveLength(107);
    write('centreond.yaml', `core:\n  dataDir: ${longest}d`);
    const loaded = await load();
    expect(places(loaded)).toEqual(['2:12 SOCKET_PATH_TOO_LONG']);
    expect(loaded.problems[0]?.message).toContain('108 bytes and the system takes 107');
  });

  test('a data folder that is none', async () => {
    write('var', '');
    write('centreond.yaml', 'core:\n  id: a\n');
    expect(places(await load())).toEqual(['2:3 DATA_DIR_UNUSABLE']);
  });

  test('a setting without effect is a warning, and the config stands', async () => {
    write(
      'centreond.yaml',
      `clients:\n  authorized:\n    - { identity: a, fingerprint: ${KEY}, roles: [client], subnodes: [b] }\n`,
    );
    const loaded = await load();
    expect(loaded.problems.map(({ severity }) => severity)).toEqual(['warning']);
    expect(loaded.config).toBeDefined();
  });

  test('the sound entries are known although the file has mistakes', async () => {
    write('centreond.yaml', 'core: { idd: 1 }\nplugins:\n  - package: one\n  - package: two\n    x: 1\n');
    const { scope } = await load();
    expect(scope?.plugins.map((entry) => [entry.package, entry.at.line])).toEqual([['one', 3]]);
  });
});

describe('suggestions', () => {
  test.each([
    ['core: { datadir: x }', 'core has no key datadir; did you mean dataDir?'],
    ['core: { data_dir: x }', 'did you mean dataDir?'],
    ['core: { max-message: x }', 'did you mean maxMessage?'],
    ['core: { sesion: {} }', 'did you mean session?'],
    ['clinets: {}', 'The file has no key clinets; did you mean clients?'],
    ['core: { listen: x }', 'did you mean core.external.listen?'],
    ['trust: strict', 'did you mean clients.trust?'],
    ['dataDir: x', 'did you mean core.dataDir?'],
    [
      'core: { zebra: x }',
      'it takes id, name, labels, dataDir, external, store, cluster, limits, session, maxMessage, log.',
    ],
    ['clients: { trust: stritc }', 'must be one of pending, strict, not "stritc"; did you mean strict?'],
    ['clients: { trust: whatever }', 'must be one of pending, strict, not "whatever".'],
    ['core: { maxMessage: 16 }', 'core.maxMessage has no unit: 16. A size is a whole number and B, KiB, MiB or GiB'],
    ['core: { session: { idle: 30 } }', 'core.session.idle has no unit: 30. A duration is'],
    ['core: { maxMessage: 16MB }', 'cannot be "16MB"'],
    ['plugins: [{ packge: x, package: y }]', 'plugins[0] has no key packge; did you mean package?'],
    ['plugins: [{ package: a, config: 5 }]', 'plugins[0].config must be a mapping, not 5.'],
  ])('%s', async (text, expected) => {
    expect(await messageOf(text)).toContain(expected);
  });
});

describe('fragments', () => {
  test('of conf.d hold plugins, taken in the order of their names, with paths relative to themselves', async () => {
    write('centreond.yaml', 'plugins:\n  - package: zero\n');
    write('conf.d/20.yaml', 'plugins:\n  - package: two\n');
    write('conf.d/10.json', '{"plugins": [{"package": "../one"}]}');
    write('conf.d/30.yml', '');
    write('conf.d/.40.yaml.swp', '{{{');
    write('conf.d/README', '{{{');
    const { config, problems, files } = await load();
    expect(problems).toEqual([]);
    expect(config?.plugins.map((entry) => entry.package)).toEqual(['zero', '../one', 'two']);
    expect(config?.plugins[1]?.at).toEqual({ file: join(folder, 'conf.d/10.json'), line: 1, column: 14 });
    expect(files.map((file) => file.slice(folder.length + 1))).toEqual([
      'centreond.yaml',
      'conf.d/10.json',
      'conf.d/20.yaml',
      'conf.d/30.yml',
    ]);
  });

  test('the same package twice names both files, and so does the same path written in two ways', async () => {
    const file = write('centreond.yaml', 'plugins:\n  - package: one\n  - package: ./mine\n');
    write('conf.d/a.yaml', 'plugins:\n  - enable: false\n    package: one\n');
    write('conf.d/b.yaml', 'plugins:\n  - package: ../mine\n');
    const loaded = await load();
    expect(places(loaded)).toEqual(['conf.d/a.yaml:3:14 CONFIG_DUPLICATE', 'conf.d/b.yaml:2:14 CONFIG_DUPLICATE']);
    expect(loaded.problems[0]?.message).toContain(`${file}:2:14`);
    expect(loaded.problems[1]?.message).toContain(`${file}:3:14`);
  });

  test('anything else in one is a mistake, and mistakes of all files are told together', async () => {
    write('centreond.yaml', 'core: { idd: 1 }');
    write('conf.d/a.yaml', 'core: { id: x }\nplugins: [{}]\n');
    write('conf.d/b.yaml', 'plugins: [');
    expect(places(await load())).toEqual([
      '1:9 CONFIG_UNKNOWN_KEY',
      'conf.d/a.yaml:1:1 CONFIG_UNKNOWN_KEY',
      'conf.d/a.yaml:2:11 CONFIG_MISSING_KEY',
      'conf.d/b.yaml:1:11 CONFIG_SYNTAX',
    ]);
  });
});
