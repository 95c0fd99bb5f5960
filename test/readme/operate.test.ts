import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { processesWith } from '../daemon-process.ts';
import { environment, LocalRegistry, PACKAGES } from '../plugin-sdk/local-registry.ts';
import { ROOT, tempFolder } from '../plugin-sdk/temp-package.ts';
import { type Block, blocksOf } from './page.ts';
import { Terminal } from './terminal.ts';

const PAGES = ['core/docs/operate.md', 'core/README.md'];
const BLOCKS = PAGES.flatMap(blocksOf);
const PLUGINS = ['command', 'action', 'pull', 'cron'].map((name) => `plugins/${name}`);

const folder = tempFolder();
const registry = new LocalRegistry();
const terminals = new Map<string, Terminal>();
const at = (machine: string, ...parts: string[]) => path.join(folder, machine, ...parts);
let port = 0;

beforeAll(async () => {
  mkdirSync(path.join(folder, 'packs'));
  await registry.start(path.join(folder, 'packs'), [...PACKAGES, 'core', ...PLUGINS]);
  for (const machine of ['central', 'paris']) {
    mkdirSync(path.join(folder, machine));
    terminals.set(machine, new Terminal(path.join(folder, machine), environment(at(machine), registry.url)));
  }
  const server = net.createServer().listen(0);
  await new Promise((resolve) => server.once('listening', resolve));
  ({ port } = server.address() as AddressInfo);
  await new Promise((resolve) => server.close(resolve));
});
afterAll(() => {
  for (const terminal of terminals.values()) terminal.close();
  registry.stop();
  for (const pid of processesWith(folder)) process.kill(pid, 'SIGKILL');
});

/** Types a block as it stands. Both machines are this one, and the port is one that is free here. */
async function type({ machine, text }: Block): Promise<string> {
  const here = text.replaceAll('central.example', '127.0.0.1').replaceAll('5555', String(port));
  const said = await (terminals.get(machine) as Terminal).type(here);
  // What a person carries from one machine to the other.
  const line = at('central', 'central', 'line.txt');
  if (existsSync(line)) copyFileSync(line, at('paris', 'line.txt'));
  return said;
}

/** Types the next blocks, all of those below `heading`, and resolves with what each of them printed. */
async function typeBelow(heading: string): Promise<string[]> {
  const said: string[] = [];
  while (BLOCKS[0]?.heading === heading) said.push(await type(BLOCKS.shift() as Block));
  expect(said.length).toBeGreaterThan(0);
  return said;
}

test('no shell block of the pages is left out: each names its machine', () => {
  const all = PAGES.flatMap((page) => [...readFileSync(path.join(ROOT, page), 'utf8').matchAll(/^```sh$/gm)]);
  expect(BLOCKS.length).toBe(all.length);
  expect(new Set(BLOCKS.map(({ machine }) => machine))).toEqual(new Set(['central', 'paris']));
});

test('from nothing to a router with a node and a plugin', async () => {
  const [init, run] = await typeBelow('The first router');
  expect(init).toContain('centreond.yaml: the router central');
  expect(run).toMatch(/finished \(2\)\n.*stdout +it runs\n/s);
  const [, , called] = await typeBelow('The second node');
  expect(called).toMatch(/over there/);
  const [loaded, why] = await typeBelow('A plugin');
  expect(loaded).toContain('ADDCRON');
  expect(why).toMatch(/cron/);
});

test('a backup brings back what was there', async () => {
  const [backup, restored] = await typeBelow('Backup and restore');
  expect(backup).toMatch(/^central-\d{4}-\d\d-\d\d\.tar: central as of /);
  const [file = ''] = readdirSync(at('central', 'central')).filter((name) => /^central-.*\.tar$/.test(name));
  expect(statSync(at('central', 'central', file)).mode & 0o777).toBe(0o600);
  expect(restored).toMatch(/var: central as it was at /);
  expect(restored).toMatch(/joined .*paris/);
  const up = "until npx centreond nodes | grep -q 'paris .* up'; do sleep 1; done";
  const asked = 'npx centreond requests | grep paris';
  expect(await type({ heading: '', machine: 'central', text: `${up}\n${asked}\n` })).toContain('finished');
});

test('an upgrade goes on with what is there', async () => {
  await typeBelow('An upgrade');
  expect(existsSync(at('central', 'central', 'before-upgrade.tar'))).toBe(true);
});

test('a node gets another id, then another machine, and goes', async () => {
  const said = await typeBelow('Rename, replace, or remove a node');
  expect(said[0]).toContain('central lets paris in as lutetia from now on');
  expect(said.at(-1)).toContain('lutetia is no node of central any more');
});

test('the data folder moves, and the router is the same there', async () => {
  await typeBelow('Move the data folder');
  expect(readdirSync(at('central', 'central-data'))).toEqual(expect.arrayContaining(['history.sdb', 'keys', 'run']));
  expect(existsSync(at('central', 'central', 'var'))).toBe(false);
  const asked = await type({ heading: '', machine: 'central', text: 'npx centreond requests --action COMMAND\n' });
  expect(asked.match(/finished/g)?.length).toBe(2);
  const stop = 'kill "$(cat ../central-data/run/daemon.pid)" && wait\n';
  await type({ heading: '', machine: 'central', text: stop });
  await type({ heading: '', machine: 'paris', text: 'kill "$(cat var/run/daemon.pid)" && wait\n' });
  expect(BLOCKS).toEqual([]);
});
