import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { processesWith, until } from '../daemon-process.ts';
import { environment, LocalRegistry, PACKAGES } from '../plugin-sdk/local-registry.ts';
import { tempFolder } from '../plugin-sdk/temp-package.ts';

const folder = tempFolder();
const registry = new LocalRegistry();
beforeAll(async () => {
  mkdirSync(path.join(folder, 'packs'));
  mkdirSync(path.join(folder, 'site'));
  await registry.start(path.join(folder, 'packs'), [...PACKAGES, 'core', 'plugins/command', 'plugins/action']);
});
afterAll(() => {
  registry.stop();
  for (const pid of processesWith(folder)) process.kill(pid, 'SIGKILL');
});

test('npm install -g brings a daemon and plugins that work together', async () => {
  const env = environment(folder, registry.url);
  const prefix = path.join(folder, 'usr');
  const packages = ['@centreond/core', '@centreond/plugin-action'];
  await promisify(execFile)('npm', ['install', '-g', '--prefix', prefix, ...packages], { env });
  const core = path.join(prefix, 'lib/node_modules/@centreond/core');
  for (const file of ['README.md', 'LICENSE', 'config/centreond.service', 'config/centreond.schema.json']) {
    expect(existsSync(path.join(core, file)), file).toBe(true);
  }
  const site = path.join(folder, 'site');
  const config = { core: { id: 'site', dataDir: './var' }, plugins: [{ package: '@centreond/plugin-action' }] };
  writeFileSync(path.join(site, 'centreond.yaml'), JSON.stringify(config));
  const bin = path.join(prefix, 'bin/centreond');
  const run = (...args: string[]) => promisify(execFile)(bin, args, { cwd: site, env });
  expect((await run('check')).stdout).toMatch(/1 sound plugin/);
  const daemon = spawn(bin, ['start'], { cwd: site, env, stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  daemon.stdout.on('data', (text) => (out += text));
  await until('it is ready', () => out.includes('is ready'));
  expect((await run('call', 'COMMAND', 'command=echo hello')).stdout).toContain('hello');
  daemon.kill('SIGTERM');
  await new Promise((resolve) => daemon.once('close', resolve));
});
