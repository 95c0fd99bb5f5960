import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { connect } from '@centreond/client';
import { buildManifest } from '@centreond/plugin-kit/build';
import { afterAll, expect, test } from 'vitest';
import { DaemonProcess, type Finished, type Identity, ROOT, until } from '../daemon-process.ts';
import { pluginSource, tempPackage } from '../plugin-sdk/temp-package.ts';

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
  daemon.settings.plugins = [{ package: bundled('action') }, { package: bundled('ssh'), config: { nodes } }];
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
  await expect(client.call('ADDSSHNODE', sshNode('web-3', inConfig))).rejects.toMatchObject({ code: 'INVALID_DATA' });
  for (const verb of [
    'nodes',
    'nodes web-1',
    'nodes --json',
    'plugins',
    'plugins ssh',
    'why ssh',
    'status --json',
    'requests',
    'keys list',
  ]) {
    await ask(...verb.split(' '));
  }
  // Written where a reference belongs: it is refused, and not repeated.
  daemon.settings.plugins = [{ package: bundled('ssh'), config: { nodes: [sshNode('web-1', inConfig)] } }];
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

const methods = `
  constructor(config, log, transport) { Object.assign(this, { config, log, transport }); }
  start() {
    this.log.info({ config: this.config }, 'it starts with ' + this.config.password);
    // What a plugin in the daemon's process writes itself, nobody can look through.
    if (process.env.CENTREOND_INSTANCE) console.error('raw: ' + this.config.pair[0].key);
    const { password } = this.config;
    const told = { id: 'far-1', state: 'unreachable', reason: 'the login with ' + password + ' is refused' };
    this.transport.carry([told], async () => { throw new Error(password); });
  }
  run() { throw new Error('no login with ' + this.config.password + ' and ' + this.config.pair[0].key); }
  ask() { throw new Error('no answer with ' + this.config.password); }
  crash() { setImmediate(() => { throw new Error('died with ' + this.config.password); }); return new Promise(() => {}); }
  given() {
    const { password, pair, folder } = this.config;
    const hash = (text) => createHash('sha256').update(text).digest('hex');
    return { hashes: [password, pair[0].key].map(hash), folder, env: Object.keys(process.env).filter((key) => key.includes('PLANTED')) };
  }`;
const body = `
  act('LOGIN');
  act('PROBE', { reply: 'ack' }, 'ask');
  act('CRASH', {}, 'crash');
  act('GIVEN', { output: z.looseObject({}) }, 'given');
  [CONFIG, LOGGER, TRANSPORT].forEach((token, i) => inject(token)(Sample, undefined, i));`;
const thirdParty = (isolation: string) =>
  tempPackage({
    'index.js': `import { createHash } from 'node:crypto';
import { CONFIG, LOGGER, TRANSPORT, inject } from '@centreond/plugin-sdk';
${pluginSource(
  `isolation: '${isolation}', config: z.strictObject({
    password: z.string().min(12).regex(/^planted/).meta({ format: 'centreond-secret' }),
    pair: z.array(z.strictObject({ key: z.string().meta({ format: 'centreond-secret' }) })),
    folder: z.string().meta({ format: 'centreond-path' }),
  })`,
  body,
  methods,
)}`,
  });

test('a plugin of a third party is given its secrets and paths, and they are in nothing that is written or said', async () => {
  const apart = thirdParty('process');
  const inCore = thirdParty('core');
  for (const folder of [apart, inCore]) await buildManifest(folder);
  const second = new DaemonProcess({ core: { log: { level: 'debug' } } });
  const alice = second.client('alice', ['admin']);
  process.env.PLANTED_PASSWORD = inEnvironment;
  try {
    const file = path.join(second.folder, 'key');
    writeFileSync(file, `${inFile}\nsecond line of ${inFile}\n`, { mode: 0o640 });
    const config = { password: 'env:PLANTED_PASSWORD', pair: [{ key: 'file:key' }], folder: './data' };
    second.settings.plugins = [
      { package: apart, as: 'apart', config },
      { package: inCore, as: 'inside', allowCore: true, config },
    ];
    await second.start();
    const client = await connect(second.door(alice));
    const said: unknown[] = [];
    const hashes = [inEnvironment, `${inFile}\nsecond line of ${inFile}`].map((text) =>
      createHash('sha256').update(text).digest('hex'),
    );
    for (const type of ['APART', 'INSIDE']) {
      const given = { hashes, folder: path.join(second.folder, 'data') };
      expect((await client.call(`${type}_GIVEN`, {})).data).toMatchObject(given);
      const failed = await client.call(`${type}_LOGIN`, {});
      expect(failed.data).toMatchObject({ error: 'ACTION_FAILED', message: expect.stringContaining('[secret]') });
      said.push(failed);
      await client.send(`${type}_PROBE`, {}).catch((error: Error) => said.push(error.message));
    }
    expect((await client.call('APART_GIVEN', {})).data).toMatchObject({ env: [] });
    said.push((await client.call('APART_CRASH', {})).data);
    await until(
      'it runs again',
      async () => (await client.call('APART_GIVEN', {}).catch(() => undefined))?.ok === true,
    );
    said.push((await client.send('WHY', { type: 'apart' })).data, (await client.send('CONSTATUS')).data);
    said.push((await client.send('INFORMATION')).data);
    expect(JSON.stringify(said)).toContain('died with [secret]');
    expect(JSON.stringify(said)).toContain('the login with [secret] is refused');
    await client.close();
    await second.end('SIGTERM');
    const own = new Set([file, alice.file]);
    const places = new Map(
      filesBelow(second.folder)
        .filter((one) => !own.has(one))
        .map((one) => [one, readFileSync(one, 'latin1')]),
    );
    places.set('its log', second.stderr);
    places.set('its answers', JSON.stringify(said));
    expect(second.stderr).toContain('it starts with [secret]');
    expect(second.stderr).toContain('raw: [secret]');
    for (const [place, text] of places) {
      const found = text.split('\n').filter((line) => [inEnvironment, inFile].some((secret) => line.includes(secret)));
      expect({ place, found }).toEqual({ place, found: [] });
    }
  } finally {
    await second.dispose();
  }
});

test('a secret that cannot be had is refused at its place, by check and at the start, and the rest is served', async () => {
  const apart = thirdParty('process');
  await buildManifest(apart);
  const third = new DaemonProcess();
  delete process.env.PLANTED_PASSWORD;
  try {
    const config = { password: 'env:PLANTED_PASSWORD', pair: [{ key: 'file:open' }], folder: './data' };
    writeFileSync(path.join(third.folder, 'open'), inFile);
    chmodSync(path.join(third.folder, 'open'), 0o644);
    third.settings.plugins = [{ package: apart, config }, { package: bundled('action') }];
    const text = readFileSync(third.writeConfig(), 'utf8').split('\n');
    const { stdout } = await third.cli('check', '--json');
    const { problems } = JSON.parse(stdout) as { problems: Record<string, string>[] };
    expect(problems).toMatchObject([
      { code: 'SECRET_UNUSABLE', severity: 'warning', message: expect.stringContaining('is not set') },
      { code: 'SECRET_UNUSABLE', severity: 'error', message: expect.stringContaining('is open to others (mode 0644)') },
    ]);
    expect(text[Number(problems[1]?.line) - 1]).toContain('file:open');
    await third.start();
    expect(third.stderr).toContain(
      'SECRET_UNUSABLE plugins[0].config.password refers to the secret env:PLANTED_PASSWORD',
    );
    expect(third.stderr).toContain('SECRET_UNUSABLE plugins[0].config.pair[0].key refers to the secret file:');
    expect(third.stderr + stdout).not.toContain(inFile);
    expect((await third.cli('call', 'COMMAND', 'command=true')).code).toBe(0);
  } finally {
    await third.dispose();
  }
});
