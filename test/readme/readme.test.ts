import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { processesWith } from '../daemon-process.ts';
import { environment, LocalRegistry, PACKAGES } from '../plugin-sdk/local-registry.ts';
import { ROOT, tempFolder } from '../plugin-sdk/temp-package.ts';
import { Terminal } from './terminal.ts';

/** The shell blocks of plugin-sdk/sdk/README.md, in order. */
const BLOCKS = [
  ...readFileSync(path.join(ROOT, 'plugin-sdk/sdk/README.md'), 'utf8').matchAll(/^```sh\n(.*?)^```$/gms),
].map(([, block = '']) => block);

const folder = tempFolder();
const registry = new LocalRegistry();
let terminal: Terminal;

beforeAll(async () => {
  mkdirSync(path.join(folder, 'packs'));
  mkdirSync(path.join(folder, 'empty'));
  await registry.start(path.join(folder, 'packs'), [...PACKAGES, 'core']);
  terminal = new Terminal(path.join(folder, 'empty'), environment(folder, registry.url));
});
afterAll(() => {
  terminal.close();
  registry.stop();
  for (const pid of processesWith(folder)) process.kill(pid, 'SIGKILL');
});

test('a stranger in an empty folder types what the README says, with nothing but the packed packages', async () => {
  const [create = '', run = '', call = '', pack = '', ship = '', types = '', ...more] = BLOCKS;
  expect(more).toEqual([]);

  expect(await terminal.type(create)).toMatch(/pass 3\n.*fail 0\n/s);
  await terminal.type(run);
  const called = await terminal.type(call);
  expect(called).toMatch(/accepted\n.*said \(100\)\n.*said \(100\)\n.*finished \(2\)\n {2}text {2}Hello, Ada!\n/s);
  expect(called).toMatch(
    /INVALID_DATA: WEATHER does not take this DATA: it must not have the key 'tiems'.*\nrefused, as it should be\n/,
  );
  expect(called).toMatch(/WEATHER: Greet somebody\n/);

  const source = path.join(folder, 'empty/weather/src/index.ts');
  writeFileSync(source, readFileSync(source, 'utf8').replace('}!`', '}, again!`'));
  const again = 'until npx centreond call WEATHER name=Ada | grep -q "Hello, Ada, again!"; do sleep 0.2; done';
  await terminal.type(again);
  // What does not build is said, and what was there goes on.
  writeFileSync(source, readFileSync(source, 'utf8').replace('z.string()', 'z.strnig()'));
  await expect.poll(() => terminal.transcript, { timeout: 60_000 }).toMatch(/the build failed .*\n.*TS\d+: .*strnig/);
  await terminal.type('npx centreond call WEATHER name=Ada | grep -q "Hello, Ada, again!"');
  writeFileSync(source, readFileSync(source, 'utf8').replace('z.strnig()', 'z.string()'));
  await terminal.type('kill %1; wait || true');

  await terminal.type(pack);
  expect(readFileSync(path.join(folder, 'empty/weather/weather.md'), 'utf8')).toMatch(/^# `weather`: Greets people\n/);
  await terminal.type(ship);
  await terminal.type(`cd ..\n${types}npx tsc -p .`);
  const names = readFileSync(path.join(folder, 'empty/weather/src/centreond.d.ts'), 'utf8');
  for (const name of ['WEATHER', 'GETLOG']) expect(names).toContain(name);
  await expect.poll(() => processesWith(path.join(folder, 'empty')), { timeout: 10_000 }).toEqual([]);
});
