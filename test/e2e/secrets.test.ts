import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { connect } from '@centreond/client';
import { afterAll, expect, test } from 'vitest';
import { DaemonProcess, type Finished, type Identity, ROOT, until } from '../daemon-process.ts';

const planted = (what: string) => `planted-${what}-${randomBytes(12).toString('hex')}`;
const inEnvironment = planted('env');
const inFile = planted('file');
const inConfig = planted('config');

const bundled = (name: string) => path.join(ROOT, 'plugins', name);
const daemon = new DaemonProcess({ core: { log: { level: 'debug' } } });
afterAll(() => {
  delete process.env.PLANTED_PASSWORD;
  return daemon.dispose();
});

const sshNode = (id: string, password: string) => ({
  type: 'ssh',
  id,
  address: '127.0.0.1:1',
  user: 'nobody',
  password,
  hostKey: `SHA256:${'A'.repeat(43)}`,
});

/** The lines of a private key that nobody else's has. */
const linesOf = (pem: string) => pem.split('\n').slice(2, -3);

/** All files below a folder. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}

test('secrets of the config, the environment and the key files are in nothing that the daemon writes or says', async () => {
  process.env.PLANTED_PASSWORD = inEnvironment;
  const file = path.join(daemon.folder, 'password');
  writeFileSync(file, inFile, { mode: 0o600 });
  const nodes = [sshNode('web-1', 'env:PLANTED_PASSWORD'), sshNode('web-2', `file:${file}`)];
  daemon.settings.plugins = [{ package: bundled('action') }, { package: bundled('proxy'), config: { nodes } }];
  const alice = daemon.client('alice', ['admin']);
  await daemon.start();

  const said: Finished[] = [];
  const ask = async (...args: string[]) => said.push(await daemon.cli(...args));
  const client = await connect(daemon.door(alice));
  await until(
    'both were tried',
    () => /web-1.*ECONNREFUSED/.test(daemon.stderr) && /web-2.*ECONNREFUSED/.test(daemon.stderr),
  );
  const environment = await client.call('COMMAND', { command: 'env' });
  const read = { command: ['sh', '-c', 'cat /proc/$PPID/environ | tr "\\0" "\\n"'] };
  const ofPlugin = await client.call('COMMAND', read);
  await client.send('COMMAND', { command: 'true' }, { target: 'web-1' }).catch(() => {});
  // Refused before anything of it is on disk.
  await expect(client.call('ADDNODE', sshNode('web-3', inConfig))).rejects.toMatchObject({ code: 'INVALID_DATA' });
  for (const verb of [
    'nodes',
    'nodes web-1',
    'nodes --json',
    'plugins',
    'plugins proxy',
    'why proxy',
    'status --json',
    'requests',
    'keys list',
  ]) {
    await ask(...verb.split(' '));
  }
  // Written where a reference belongs: it is refused, and not repeated.
  daemon.settings.plugins = [{ package: bundled('proxy'), config: { nodes: [sshNode('web-1', inConfig)] } }];
  const wrong = daemon.writeConfig();
  await ask('check', '--config', wrong);
  process.kill(daemon.pid, 'SIGHUP');
  await until('the reload was refused', () => /write file:PATH or env:NAME/.test(daemon.stderr));
  await client.close();
  await daemon.end('SIGTERM');

  expect(said.at(-1)?.code).not.toBe(0);
  const routerKey = filesBelow(path.join(daemon.folder, 'var')).find((one) => one.endsWith('.pem')) ?? '';
  const keys = [readFileSync(routerKey, 'utf8'), (alice as Identity).key].flatMap(linesOf);
  expect(keys.length).toBeGreaterThan(20);
  const own = new Set([file, routerKey, alice.file, wrong]);
  const written = filesBelow(daemon.folder).filter((one) => !own.has(one));
  expect(written.some((one) => one.endsWith('history.sdb'))).toBe(true);
  const places = new Map(written.map((one) => [one, readFileSync(one, 'latin1')]));
  places.set('its log', daemon.stderr);
  places.set('what commands see', JSON.stringify([environment.data, ofPlugin.data]));
  for (const [i, { stdout, stderr }] of said.entries()) places.set(`answer ${i}`, stdout + stderr);
  for (const [place, text] of places) {
    const found = [inEnvironment, inFile, inConfig, ...keys].filter((secret) => text.includes(secret));
    expect({ place, found }).toEqual({ place, found: [] });
  }
});
