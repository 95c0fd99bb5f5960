import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { buildManifest } from '@centreond/plugin-kit/build';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';
import { pluginSource, tempPackage } from '../plugin-sdk/temp-package.ts';

const options = `config: z.strictObject({ units: z.string() }),
  events: { RAIN: z.strictObject({ place: z.string() }) }`;
const methods = `
  heard = [];
  constructor(config, transport, state, instance) { Object.assign(this, { config, transport, state, instance }); }
  async forecast({ place }) {
    await this.state.set('place', place);
    return { units: this.config.units, type: this.instance.type };
  }
  async kept() { return { place: (await this.state.get('place')) ?? '', heard: this.heard }; }
  async own({ place, target }) {
    const { row, data } = await this.transport.call('FORECAST', { place }, { target });
    return { action: row.type, data };
  }
  async rain({ place }) { await this.transport.emit('RAIN', { place }); return {}; }
  hear({ place }) { this.heard.push(place); }
  broken() { return 'not what it declares'; }`;
const body = `
const place = z.strictObject({ place: z.string() });
const any = z.looseObject({});
act('FORECAST', { input: place, output: any }, 'forecast');
act('OWN', { input: z.strictObject({ place: z.string(), target: z.string() }), output: any }, 'own');
act('KEPT', { output: any, reply: 'ack' }, 'kept');
act('TELL', { input: place }, 'rain');
act('BROKEN', {}, 'broken');
On('RAIN')(Sample.prototype, 'hear');
inject(CONFIG)(Sample, undefined, 0);
inject(TRANSPORT)(Sample, undefined, 1);
inject(STATE)(Sample, undefined, 2);
inject(INSTANCE)(Sample, undefined, 3);`;
const imported = (source: string) =>
  source
    .replace('{ Action,', '{ CONFIG, INSTANCE, STATE, TRANSPORT, inject, Action,')
    .replace("type: 'sample'", "type: 'weather'");

const listener = `
  heard = [];
  hear({ place }) { this.heard.push(place); }
  all() { return { heard: this.heard }; }`;

const weather = tempPackage({ 'index.js': imported(pluginSource(options, body, methods)) });
const umbrella = tempPackage({
  'index.js': pluginSource(
    '',
    `act('ALLRAIN', { output: z.looseObject({}), reply: 'ack' }, 'all'); On('RAIN')(Sample.prototype, 'hear');`,
    listener,
  ),
});
const keyed = path.join(ROOT, 'test/fixtures/keyed');
const eu = { package: weather, as: 'weather-eu', config: { units: 'C' } };
const us = { package: weather, as: 'weather-us', config: { units: 'F' } };
const plain = { package: weather, config: { units: 'K' } };

const daemon = new DaemonProcess();
const root = daemon.client('root', ['admin']);
const guest = daemon.client('guest', ['client'], { actions: ['WEATHER_EU_FORECAST'] });
let admin: Client;
let limited: Client;
beforeAll(async () => {
  await buildManifest(weather);
  await buildManifest(umbrella);
  daemon.settings.plugins = [
    eu,
    us,
    plain,
    { package: umbrella },
    { package: path.join(ROOT, 'plugins/action') },
    { package: path.join(ROOT, 'test/fixtures/resident'), as: 'lodger', allowCore: true },
    { package: keyed, as: 'visits-a', config: { ledger: path.join(daemon.folder, 'a') } },
    { package: keyed, as: 'visits-b', config: { ledger: path.join(daemon.folder, 'b') } },
  ];
  await daemon.start();
  admin = await connect(daemon.door(root));
  limited = await connect(daemon.door(guest));
});
afterAll(async () => {
  await limited?.close();
  await admin?.close();
  await daemon.dispose();
});

const data = async (action: string, input: object = {}) => (await admin.call(action, input)).data;
const asked = async (action: string) => (await admin.send(action, {})).data;

test('each instance of a package has its own type, config, actions and state', async () => {
  expect(await data('WEATHER_EU_FORECAST', { place: 'Oslo' })).toEqual({ units: 'C', type: 'weather-eu' });
  expect(await data('WEATHER_US_FORECAST', { place: 'Reno' })).toEqual({ units: 'F', type: 'weather-us' });
  expect(await data('FORECAST', { place: 'Lima' })).toEqual({ units: 'K', type: 'weather' });
  expect(await asked('WEATHER_EU_KEPT')).toMatchObject({ place: 'Oslo' });
  expect(await asked('WEATHER_US_KEPT')).toMatchObject({ place: 'Reno' });
  expect(await asked('KEPT')).toMatchObject({ place: 'Lima' });
});

test('a call of an own action reaches the own instance, also by the id of this router', async () => {
  for (const target of ['', 'central']) {
    expect(await data('WEATHER_EU_OWN', { place: 'Oslo', target })).toEqual({
      action: 'WEATHER_EU_FORECAST',
      data: { units: 'C', type: 'weather-eu' },
    });
    expect(await data('OWN', { place: 'Lima', target })).toMatchObject({ action: 'FORECAST', data: { units: 'K' } });
  }
});

test('other plugins hear an event from every instance, and an instance hears its own alone', async () => {
  await data('WEATHER_EU_TELL', { place: 'Oslo' });
  await data('WEATHER_US_TELL', { place: 'Reno' });
  await data('TELL', { place: 'Lima' });
  await until('all is heard', async () => ((await asked('ALLRAIN')).heard as string[]).length === 3);
  await until('its own', async () => ((await asked('KEPT')).heard as string[]).length > 0);
  expect((await asked('WEATHER_EU_KEPT')).heard).toEqual(['Oslo']);
  expect((await asked('WEATHER_US_KEPT')).heard).toEqual(['Reno']);
  expect((await asked('KEPT')).heard).toEqual(['Lima']);
});

test('grants, rows, errors and the verbs of the command line have the names of the config', async () => {
  expect((await limited.call('WEATHER_EU_FORECAST', { place: 'Oslo' })).ok).toBe(true);
  await expect(limited.call('WEATHER_US_FORECAST', { place: 'Reno' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await expect(admin.call('WEATHER_EU_FORECAST', {})).rejects.toThrow(/WEATHER_EU_FORECAST/);
  expect(await data('WEATHER_EU_BROKEN')).toMatchObject({
    error: 'INVALID_OUTPUT',
    message: expect.stringContaining('WEATHER_EU_BROKEN'),
  });
  await until('it is logged', () => /"plugin":"weather-eu"[^\n]*WEATHER_EU_BROKEN/.test(daemon.stderr));
  const told = await daemon.cli('plugins', 'weather-eu');
  expect(told.stdout).toContain('weather-eu: A sample');
  expect(told.stdout).toContain('WEATHER_EU_FORECAST');
  expect((await admin.send('WHY', { type: 'weather-us' })).data).toMatchObject({ type: 'weather-us', state: 'ready' });
  expect(await data('KILL', { type: 'weather-eu' })).toEqual({ type: 'weather-eu', ended: ['1'] });
  expect(await data('WEATHER_EU_FORECAST', { place: 'Oslo' })).toMatchObject({ type: 'weather-eu' });
});

test('a plugin in the core and keyed instances on demand run under a type of the config too', async () => {
  expect(await admin.call('LODGER_RESIDE', {})).toMatchObject({ ok: true, data: { pid: daemon.pid, visits: 1 } });
  const [a, b] = await Promise.all(
    ['VISITS_A_VISIT', 'VISITS_B_VISIT'].map((action) => data(action, { city: 'Oslo' }) as Promise<{ pid: number }>),
  );
  expect(a?.pid).not.toBe(b?.pid);
});

test('SIGHUP knows an entry by its type: others go on in their processes', async () => {
  const pids = async () => {
    const { plugins } = await asked('INFORMATION');
    const list = plugins as unknown as { type: string; instances: { pid: number }[] }[];
    return Object.fromEntries(list.map(({ type, instances }) => [type, instances[0]?.pid]));
  };
  const before = await pids();
  daemon.settings.plugins = [{ ...eu, config: { units: 'R' } }, plain, { package: umbrella }];
  daemon.writeConfig();
  process.kill(daemon.pid, 'SIGHUP');
  await until('it is applied', async () => !('weather-us' in (await pids())) && !('visits-a' in (await pids())));
  await until('it is reloaded', async () => (await pids())['weather-eu'] !== before['weather-eu']);
  expect(await data('WEATHER_EU_FORECAST', { place: 'Oslo' })).toEqual({ units: 'R', type: 'weather-eu' });
  expect((await pids()).weather).toBe(before.weather);
  await expect(admin.call('WEATHER_US_FORECAST', { place: 'Reno' })).rejects.toMatchObject({ code: 'UNKNOWN_ACTION' });
  const loaded = await daemon.cli('load', weather, '{"units":"F"}', '--as', 'weather-us');
  expect(loaded.stdout).toContain('weather-us is loaded: WEATHER_US_FORECAST');
  expect(await asked('WEATHER_US_KEPT')).toMatchObject({ place: 'Reno' });
  const again = { package: weather, as: 'weather-us', config: { units: 'F' } };
  expect(await data('LOADPLUGIN', again)).toMatchObject({ error: 'TYPE_CLAIMED_TWICE' });
});

test('check refuses what collides at the place of the mistake', async () => {
  daemon.settings.plugins = [
    eu,
    { ...us, as: 'weather-eu' },
    { ...us, as: 'core' },
    { ...us, as: 'Weather' },
    { ...us, as: 'action' },
    { package: path.join(ROOT, 'plugins/action') },
    { ...us, as: `a${'b'.repeat(63)}` },
    plain,
    plain,
  ];
  const text = readFileSync(daemon.writeConfig(), 'utf8').split('\n');
  const { stdout, code } = await daemon.cli('check', '--json');
  expect(code).toBe(1);
  const { problems } = JSON.parse(stdout) as {
    problems: { code: string; message: string; line: number; column: number }[];
  };
  const said = problems.map(({ code: name, message, line, column }) => ({
    name,
    message,
    at: text[line - 1]?.slice(column - 1),
  }));
  const expectations = [
    ['CONFIG_DUPLICATE', 'The type weather-eu is already given', '"weather-eu"'],
    ['CONFIG_BAD_VALUE', 'plugins[2].as must be a type of its own', '"core"'],
    ['CONFIG_BAD_VALUE', 'plugins[3].as must be a type of its own', '"Weather"'],
    ['TYPE_CLAIMED_TWICE', 'has the type action', path.join(ROOT, 'plugins/action')],
    ['ACTION_NAME_TOO_LONG', 'characters; the limit is 64', '"ab'],
    ['CONFIG_DUPLICATE', 'as: TYPE', JSON.stringify(weather)],
  ] as const;
  for (const [name, message, at] of expectations) {
    expect.soft(said).toContainEqual({
      name,
      message: expect.stringContaining(message),
      at: expect.stringContaining(at),
    });
  }
});
