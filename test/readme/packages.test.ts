import { execFile } from 'node:child_process';
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { DaemonProcess } from '../daemon-process.ts';
import { environment, LocalRegistry, PACKAGES } from '../plugin-sdk/local-registry.ts';
import { ROOT, tempFolder } from '../plugin-sdk/temp-package.ts';

const folder = tempFolder();
const registry = new LocalRegistry();
beforeAll(async () => {
  mkdirSync(path.join(folder, 'packs'));
  const libraries = ['carrying', 'command', 'receiving'].map((name) => `plugins/${name}`);
  await registry.start(path.join(folder, 'packs'), [...PACKAGES, 'core', ...libraries, 'plugins/action']);
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
