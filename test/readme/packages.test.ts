import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { DaemonProcess, until } from '../daemon-process.ts';
import { environment, LocalRegistry } from '../plugin-sdk/local-registry.ts';
import { ROOT, tempFolder } from '../plugin-sdk/temp-package.ts';
import { fillTables, makeTables } from '../plugins/acl-tables.ts';

/** The folders of all packages of the workspace, as npm finds them. */
const FOLDERS = ['plugin-sdk/*', 'core', 'plugins/*'].flatMap((pattern) =>
  globSync(`${pattern}/package.json`, { cwd: ROOT }).map((file) => path.dirname(file)),
);

const folder = tempFolder();
const registry = new LocalRegistry();
beforeAll(async () => {
  mkdirSync(path.join(folder, 'packs'));
  await registry.start(path.join(folder, 'packs'), FOLDERS);
});
afterAll(() => registry.stop());

/** Installs packages in an empty folder, as a stranger does. */
async function installed(name: string, ...packages: string[]): Promise<string> {
  const at = path.join(folder, name);
  mkdirSync(at);
  writeFileSync(path.join(at, 'package.json'), '{"type":"module"}');
  await promisify(execFile)('npm', ['install', ...packages], { cwd: at, env: environment(folder, registry.url) });
  return at;
}

/** The one example of a package's README, run in `at`. Resolves with what it printed. */
async function example(packageFolder: string, at: string): Promise<string> {
  const text = readFileSync(path.join(ROOT, packageFolder, 'README.md'), 'utf8');
  const [, code = ''] = /^```ts\n(.*?)^```$/ms.exec(text) ?? [];
  writeFileSync(path.join(at, 'example.ts'), code);
  const { stdout } = await promisify(execFile)(process.execPath, ['example.ts'], { cwd: at });
  return stdout;
}

function packagesIn(at: string): string[] {
  const modules = path.join(at, 'node_modules');
  return readdirSync(modules).flatMap((name) =>
    name.startsWith('@') ? readdirSync(path.join(modules, name)).map((each) => `${name}/${each}`) : [name],
  );
}

test('a client brings the protocol and one library, and its example runs', async () => {
  const at = await installed('client', '@centreond/client');
  const names = packagesIn(at).filter((name) => !name.startsWith('.'));
  expect(names.sort()).toEqual(['@centreond/client', '@centreond/protocol', 'libsodium', 'libsodium-wrappers']);
  const daemon = new DaemonProcess({ plugins: [{ package: path.join(ROOT, 'plugins/action') }] });
  onTestFinished(() => daemon.dispose());
  const alice = daemon.client('alice');
  await daemon.start();
  writeFileSync(path.join(at, 'alice.pem'), alice.key);
  const readme = readFileSync(path.join(ROOT, 'plugin-sdk/client/README.md'), 'utf8');
  expect(readme).toContain("address: 'tcp://127.0.0.1:5555'");
  const [, code = ''] = /^```ts\n(.*?)^```$/ms.exec(readme) ?? [];
  writeFileSync(path.join(at, 'example.ts'), code.replace('tcp://127.0.0.1:5555', daemon.endpoint));
  const { stdout } = await promisify(execFile)(process.execPath, ['example.ts'], { cwd: at });
  expect(stdout).toMatch(/^true \{.*exitCode: 0/s);

  // Nobody is at the first of the two routers of the second example.
  const [, [, several = ''] = []] = readme.matchAll(/^```ts\n(.*?)^```$/gms);
  const here = several
    .replace('tcp://central-a:5555', NOBODY)
    .replace('tcp://central-b:5555', daemon.endpoint)
    .replaceAll(/(?<=fingerprint: ')[A-Za-z0-9_-]{43}/g, daemon.fingerprint);
  writeFileSync(path.join(at, 'several.ts'), here);
  const run = await promisify(execFile)(process.execPath, ['several.ts'], { cwd: at });
  expect(run).toEqual({ stdout: `${daemon.endpoint} true\n`, stderr: '' });
});

test('the examples of the protocol, of the runtime and of the libraries of plugins run', async () => {
  const libraries = ['@centreond/carrying', '@centreond/command', '@centreond/receiving', '@centreond/plugin-runtime'];
  const at = await installed('others', '@centreond/protocol', ...libraries, 'zod');
  expect(await example('plugin-sdk/protocol', at)).toBe('[COMMAND] [my-token] [] {"command":"uname -a"}\nCOMMAND\n');
  expect(await example('plugins/command', at)).toBe("[ 'ls', '-l', 'a file' ]\nls -l 'a file'\n");
  expect(await example('plugins/carrying', at)).toBe(
    'web-7 is carried by instance 1 of 2\nweb-8 is carried by instance 2 of 2\n',
  );
  expect(await example('plugins/receiving', at)).toBe(
    '[ { offset: 0, done: false } ]\n[ { offset: 5 } ]\n[ { done: true } ]\nhello\n',
  );
  expect(packagesIn(at)).not.toContain('ssh2');
  writeFileSync(
    path.join(at, 'plugin.manifest.json'),
    readFileSync(path.join(ROOT, 'plugins/action/plugin.manifest.json')),
  );
  expect(await example('plugin-sdk/runtime', at)).toMatch(/^# `action`: /);
});

test('each package has the sources of its maps', async () => {
  const at = await installed('maps', '@centreond/plugin-kit', '@centreond/plugin-runtime', '@centreond/core');
  const scope = path.join(at, 'node_modules/@centreond');
  const maps = globSync('*/{dist,bundle}/**/*.js.map', { cwd: scope });
  expect(maps.length).toBeGreaterThan(100);
  const missing = maps.flatMap((map) => {
    const { sources, sourcesContent = [] } = JSON.parse(readFileSync(path.join(scope, map), 'utf8')) as {
      sources: string[];
      sourcesContent?: string[];
    };
    return sources.filter(
      (source, i) => sourcesContent[i] === undefined && !existsSync(path.join(scope, path.dirname(map), source)),
    );
  });
  expect(missing).toEqual([]);
});

/** Where nothing listens. */
const NOBODY = 'tcp://127.0.0.1:9';
const FINGERPRINT = 'A'.repeat(43);
const HOST_KEY = `SHA256:${'A'.repeat(43)}`;

describe('all packages, installed together', () => {
  const bundled = FOLDERS.filter((at) => existsSync(path.join(ROOT, at, 'plugin.manifest.json')));
  const manifests = bundled.map(
    (at) =>
      JSON.parse(readFileSync(path.join(ROOT, at, 'plugin.manifest.json'), 'utf8')) as {
        type: string;
        actions: { name: string }[];
      },
  );
  let at = '';
  let daemon: ChildProcess | undefined;
  let output = '';
  const centreond = async (...args: string[]) => {
    const bin = path.join(at, 'node_modules/.bin/centreond');
    return promisify(execFile)(bin, args, { cwd: at, env: environment(folder, registry.url) });
  };
  /** The terminal row, or what was answered in the ACK; a failure is shown with what was printed. */
  const call = async (action: string, data: object) => {
    const asked = centreond('--json', 'call', action, JSON.stringify(data));
    const { stdout } = await asked.catch(({ stdout, stderr }) => expect.fail(`${action}: ${stdout}${stderr}`));
    return JSON.parse(stdout) as { code: number; data: Record<string, unknown> };
  };

  beforeAll(async () => {
    const names = FOLDERS.map(
      (each) => (JSON.parse(readFileSync(path.join(ROOT, each, 'package.json'), 'utf8')) as { name: string }).name,
    );
    at = await installed('all', ...names);
    mkdirSync(path.join(at, 'inbox'));
    const database = path.join(at, 'organisations.sdb');
    makeTables(database, 'keyed');
    const db = new Database(database);
    fillTables(db, {
      organizations: [[1, 1]],
      hosts: [[10, 1, null, null]],
      services: [[20, 1, null]],
      host_services: [[10, 20]],
      acl_resources: [[5, 1, 1]],
    });
    db.close();
    const nightly = { id: 'nightly', schedule: '0 2 * * *', action: 'COMMAND', data: { command: 'true' } };
    const configs: Record<string, object> = {
      acl: { config: { database } },
      action: {},
      cron: { config: { timeZone: 'UTC', definitions: [nightly] } },
      files: { config: { receive: ['./inbox'] } },
      http: { allowCallers: true, config: { listen: '127.0.0.1:0' } },
      proxy: { config: { nodes: [{ id: 'paris-1', type: 'push', address: NOBODY, fingerprint: FINGERPRINT }] } },
      pull: { allowCore: true, config: { router: { address: NOBODY, fingerprint: FINGERPRINT } } },
      ssh: {},
    };
    const plugins = manifests.map(({ type }) => ({ package: `@centreond/plugin-${type}`, ...configs[type] }));
    const core = { id: 'central', dataDir: './var', external: { listen: 'tcp://127.0.0.1:*' } };
    writeFileSync(path.join(at, 'centreond.yaml'), JSON.stringify({ core, plugins }));
  });
  afterAll(async () => {
    if (!daemon || daemon.exitCode !== null) return;
    daemon.kill('SIGTERM');
    await new Promise((resolve) => daemon?.once('close', resolve));
  });

  test('are the bundled plugins that the README lists', () => {
    expect(manifests.map(({ type }) => type).sort()).toEqual([
      'acl',
      'action',
      'cron',
      'files',
      'http',
      'proxy',
      'pull',
      'ssh',
    ]);
  });

  test('are checked: one config names every bundled plugin', async () => {
    expect((await centreond('check')).stdout).toContain('8 sound plugins');
  });

  test('start, and list their actions', async () => {
    daemon = spawn(path.join(at, 'node_modules/.bin/centreond'), ['start'], {
      cwd: at,
      env: environment(folder, registry.url),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [daemon.stdout, daemon.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    await until('it is ready', () => output.includes('is ready') || daemon?.exitCode !== null, 60_000);
    expect(output).toContain('is ready');
    expect(output).not.toContain('not loaded');
    const { stdout } = await centreond('plugins');
    for (const { name } of manifests.flatMap(({ actions }) => actions)) expect(stdout).toContain(name);
  });

  test('serve HTTP, with the dashboard', async () => {
    const listens = /listens on (http:\/\/127\.0\.0\.1:\d+)/;
    await until('it listens', () => listens.test(output));
    const [, url] = listens.exec(output) ?? [];
    expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ ok: true });
    expect(await (await fetch(`${url}/`)).text()).toContain('<script type="module"');
  });

  test('run their actions', async () => {
    expect((await call('COMMAND', { command: 'echo packed' })).data).toMatchObject({ stdout: 'packed\n' });
    expect((await call('GETCRON', {})).data).toMatchObject({ definitions: [{ id: 'nightly', source: 'config' }] });
    expect(await call('ACLRESYNC', { organizationId: 1 })).toMatchObject({ code: 2, data: { pairs: 1, added: 1 } });
    const file = { path: path.join(at, 'inbox/file'), kind: 'file', size: 3, mode: 0o644, version: '1' };
    const opened = await call('FILESOPEN', { transfer: randomUUID(), files: [file] });
    expect(opened.data).toMatchObject({ files: [{ offset: 0, done: false }] });
    const lyon = { id: 'lyon-1', type: 'push', address: 'tcp://127.0.0.1:7', fingerprint: `B${FINGERPRINT.slice(1)}` };
    expect(await call('ADDNODE', lyon)).toMatchObject({ code: 2 });
    const web = { id: 'web-7', address: '127.0.0.1:9', user: 'nobody', password: 'env:HOME', hostKey: HOST_KEY };
    expect(await call('ADDSSHNODE', web)).toMatchObject({ code: 2 });
    const { stdout } = await centreond('nodes');
    for (const id of ['paris-1', 'lyon-1', 'web-7']) expect(stdout).toContain(id);
    expect(await call('DELNODE', { id: 'lyon-1' })).toMatchObject({ code: 2 });
    expect(await call('DELSSHNODE', { id: 'web-7' })).toMatchObject({ code: 2 });
  });

  test('stop in time', async () => {
    const closed = new Promise((resolve) => daemon?.once('close', resolve));
    daemon?.kill('SIGTERM');
    expect(await closed).toBe(0);
  });
});
