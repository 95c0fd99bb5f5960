import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { cli, DaemonProcess, type Finished, ROOT, until } from '../daemon-process.ts';
import { Client, hello, Key, routerKey, type Who, Wire, whoOf } from './second-implementation.ts';

// Each of them starts several processes, one after the other.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
const START_MS = 30_000;

const BIN = path.join(ROOT, 'core/bin/centreond.js');
const central = new DaemonProcess({ plugins: [] });
const folder = mkdtempSync(path.join(os.tmpdir(), 'centreond-join-'));
const pollers: Poller[] = [];
const open: { close(): Promise<void> }[] = [];
let root: Client;
let alice: Who;

beforeAll(async () => {
  const admin = whoOf(central.client('root', ['admin']));
  alice = whoOf(central.client('alice'));
  await central.start();
  root = await Client.connect(central, admin);
  open.push(root);
});
afterAll(async () => {
  for (const one of open) await one.close();
  for (const poller of pollers) await poller.end('SIGKILL');
  await central.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** A machine of its own, as far as a folder is one, and what was started there. */
class Poller {
  readonly folder: string;
  stderr = '';
  readonly #running = new Map<ChildProcess, Promise<number | null>>();

  constructor(name: string) {
    this.folder = path.join(folder, name);
    mkdirSync(this.folder, { recursive: true });
    pollers.push(this);
  }

  file(...parts: string[]): string {
    return path.join(this.folder, ...parts);
  }

  /** Pastes the line; resolves when the daemon is ready. */
  paste(line: string): Promise<{ id: string; pid: number }> {
    const { child, exited } = this.begin(line);
    return new Promise((resolve, reject) => {
      child.stdout.setEncoding('utf8').once('data', (text: string) => resolve(JSON.parse(text)));
      void exited.then((code) => reject(new Error(`it ended with ${code}: ${this.stderr}`)));
    });
  }

  /** Pastes the line, and does not wait. */
  begin(line: string) {
    const child = spawn(process.execPath, [BIN, ...wordsOf(line), '--json'], { cwd: this.folder });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
    this.#running.set(child, exited);
    return { child, exited };
  }

  /** Pastes a line that is of no use here. */
  fail(line: string): Promise<Finished> {
    return cli(this.folder, ...wordsOf(line));
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    for (const [child, exited] of this.#running) {
      child.kill(signal);
      await exited;
      this.#running.delete(child);
    }
  }
}

/** What a shell makes of the line, after `npx centreond`: no character of it means anything to a shell. */
function wordsOf(line: string): string[] {
  expect(line).toMatch(/^npx centreond start( --join [A-Za-z0-9_.-]+)?( --config [a-z0-9/.-]+)?( --replace)?$/);
  return line.split(' ').slice(2);
}

interface Line {
  line: string;
  code: string;
  [key: string]: unknown;
}
async function join(identity: string, ...more: string[]): Promise<Line> {
  const { stdout, stderr } = await central.cli('join', identity, '--json', ...more);
  expect(stderr).toBe('');
  return JSON.parse(stdout) as Line;
}
/** The token in a code. */
function tokenOf({ code }: Line): string {
  return (
    Buffer.from(code.split('.')[1] ?? '', 'base64url')
      .toString('latin1')
      .split(' ')[3]
      ?.slice(0, 32) ?? ''
  );
}
async function stateOf(id: string): Promise<unknown> {
  const { nodes } = (await root.request('CONSTATUS', {})).data as { nodes: { id: string; state: string }[] };
  return nodes.find((node) => node.id === id)?.state;
}
const up = (id: string) => until(`${id} is up`, async () => (await stateOf(id)) === 'up', START_MS);
async function keys(): Promise<Record<string, unknown>[]> {
  return (await root.request('KEYS', {})).data.keys as Record<string, unknown>[];
}
const keyOf = async (identity: string) => (await keys()).find((entry) => entry.identity === identity);

describe('one line', () => {
  const poller = new Poller('paris-1');
  let line: string;

  test('is all that `join` prints; what it does and for how long stands beside it', async () => {
    const { code, stdout, stderr } = await central.cli('join', 'paris-1', '--for', '30m');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^npx centreond start --join \S+\n$/);
    expect(stderr).toMatch(/paris-1, in an empty folder/);
    expect(stderr).toContain(central.fingerprint);
    expect(stderr).toMatch(/once, until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \((29|30) min\)/);
    // The door of this test is for this machine only.
    expect(stderr).toContain('--address');
    expect(await keyOf('paris-1')).toMatchObject({ state: 'invited', roles: ['node'], by: '@local' });
    line = stdout.trim();
  });

  test('makes a machine a node: its key, its config, its daemon, and it is up', async () => {
    expect(await poller.paste(line)).toMatchObject({ id: 'paris-1' });
    await up('paris-1');
    expect(statSync(poller.file('var/keys/router.pem')).mode & 0o777).toBe(0o600);
    expect(poller.stderr).toContain('paris-1 is a node of the router central');
    const shown = JSON.parse((await cli(poller.folder, 'keys', 'show', '--json')).stdout) as { fingerprint: string };
    expect(await keyOf('paris-1')).toMatchObject({ state: 'joined', by: '@local', fingerprint: shown.fingerprint });
    const { stdout } = await central.cli('keys', 'list');
    expect(stdout).toMatch(
      /^joined +\S{43} +paris-1 +node +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d\d:\d\d, by a token of @local$/m,
    );
    expect((await central.cli('nodes')).stdout).toMatch(/paris-1 .*\bup\b/);
    // What is asked of it here is answered there.
    expect((await root.request('PING', {}, undefined, 'paris-1')).data).toMatchObject({ id: 'paris-1' });
    const { nodes } = (await root.request('CONSTATUS', {})).data as { nodes: object[] };
    expect(nodes).toMatchObject([
      { id: 'paris-1', kind: 'pull', state: 'up', actions: expect.arrayContaining(['COMMAND']) },
    ]);
    expect((await cli(poller.folder, 'check')).stdout).toContain('No mistakes');
  });

  test('pasted where it runs already changes nothing, and pasted after that it starts again', async () => {
    const twice = await poller.fail(line);
    expect(twice).toMatchObject({ code: 1, stdout: '' });
    expect(twice.stderr).toContain('DATA_DIR_TAKEN');
    expect(await stateOf('paris-1')).toBe('up');
    const written = readFileSync(poller.file('centreond.yaml'), 'utf8');
    await poller.end();
    await until('it left', async () => (await stateOf('paris-1')) === 'unreachable', START_MS);
    await poller.paste(line);
    await up('paris-1');
    expect(readFileSync(poller.file('centreond.yaml'), 'utf8')).toBe(written);
    await poller.end();
  });

  test('goes on after a crash once the token was used and before anything was written', async () => {
    const config = poller.file('centreond.yaml');
    const before = readFileSync(config, 'utf8');
    // Enrolled, and nothing but the key written.
    const key = readFileSync(poller.file('var/keys/router.pem'));
    rmSync(poller.file('var'), { recursive: true });
    rmSync(config);
    mkdirSync(poller.file('var/keys'), { recursive: true, mode: 0o700 });
    writeFileSync(poller.file('var/keys/router.pem'), key, { mode: 0o600 });
    poller.begin(line);
    await until('its config is written', () => existsSync(config), START_MS);
    expect(readFileSync(config, 'utf8')).toBe(before);
    await poller.end('SIGKILL');
  });

  test('works for one key: pasted on another machine it is refused, and nothing is left to start there', async () => {
    const other = new Poller('another');
    const { code, stderr, stdout } = await other.fail(line);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^JOIN_REFUSED: .*as paris-1\. .*`centreond join paris-1`/);
    expect(existsSync(other.file('centreond.yaml'))).toBe(false);
    expect((await keys()).filter((entry) => entry.state === 'joined').length).toBe(1);
    expect(central.stderr).toContain('its join token is not open');
  });

  test('leaves its token in no history and no log', async () => {
    const made = await join('paris-9');
    const token = tokenOf(made);
    expect(token).toMatch(/^[A-Za-z0-9_-]{32}$/);
    await root.request('PING', {});
    for (const file of globSync('var/**/*', { cwd: central.folder })) {
      const full = path.join(central.folder, file);
      if (statSync(full).isFile()) expect(readFileSync(full, 'latin1').includes(token), file).toBe(false);
    }
    expect(central.stderr).not.toContain(token);
    const row = await root.rows({ id: 0 });
    expect(JSON.stringify(row)).not.toContain('JOIN');
    const withdrawn = await central.cli('keys', 'revoke', 'paris-9');
    expect(withdrawn.stdout).toContain('The join token of paris-9 is withdrawn');
    expect(await keyOf('paris-9')).toBeUndefined();
  });
});

describe('a line is not taken, and nothing changes', () => {
  test('where it is cut', async () => {
    const poller = new Poller('cut');
    const { code, stderr } = await poller.fail((await join('lyon-1')).line.slice(0, -1));
    expect(code).toBe(1);
    expect(stderr).toMatch(/^JOIN_CODE: The join code is not whole, or was changed.*Copy the whole line/);
    expect(existsSync(poller.file('var'))).toBe(false);
  });

  test('in the folder of another daemon, whose config and key stay as they are', async () => {
    const { line } = await join('lyon-1');
    const taken = new Poller('taken');
    const config = '{"core":{"id":"mine"}}';
    writeFileSync(taken.file('centreond.yaml'), config);
    const { code, stderr } = await taken.fail(line);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^JOIN_FOLDER_TAKEN: centreond\.yaml is the config of mine, not of lyon-1; .*--config lyon-1\//,
    );
    expect(readFileSync(taken.file('centreond.yaml'), 'utf8')).toBe(config);
    // One that the new file would hide.
    const hidden = new Poller('hidden');
    mkdirSync(hidden.file('config/var'), { recursive: true });
    writeFileSync(hidden.file('config/centreond.yaml'), config);
    expect((await hidden.fail(line)).stderr).toMatch(
      /^JOIN_FOLDER_TAKEN: config\/centreond\.yaml is the config of a daemon/,
    );
    // A key whose config is gone.
    const kept = new Poller('paris-1');
    rmSync(kept.file('centreond.yaml'));
    expect((await kept.fail(line)).stderr).toMatch(/^JOIN_FOLDER_TAKEN: var holds the key and history of paris-1/);
    expect(await keyOf('lyon-1')).toMatchObject({ state: 'invited' });
    // As the sentence says.
    taken.begin(`${line} --config lyon-1/centreond.yaml`);
    await until('it joined', async () => (await keyOf('lyon-1'))?.state === 'joined', START_MS);
    await until('its config is written', () => existsSync(taken.file('lyon-1/centreond.yaml')), START_MS);
    await taken.end('SIGKILL');
  });

  test('but with --replace, which moves aside what is there once the router has let the node in', async () => {
    const taken = new Poller('replaced');
    const config = '{"core":{"id":"mine"},"plugins":[]}';
    writeFileSync(taken.file('centreond.yaml'), config);
    await taken.paste('npx centreond start');
    const key = readFileSync(taken.file('var/keys/router.pem'), 'utf8');
    const { line } = await join('lyon-2');
    expect((await taken.fail(`${line} --replace`)).stderr).toMatch(/^DATA_DIR_TAKEN: .*The daemon with pid \d+/);
    await taken.end('SIGTERM');
    const nobody = (await join('lyon-3', '--address', 'tcp://127.0.0.1:9')).line;
    expect((await taken.fail(`${nobody} --replace`)).stderr).toMatch(/^JOIN_UNREACHABLE/);
    expect(readFileSync(taken.file('centreond.yaml'), 'utf8')).toBe(config);
    expect(readFileSync(taken.file('var/keys/router.pem'), 'utf8')).toBe(key);
    expect((await taken.paste(`${line} --replace`)).id).toBe('lyon-2');
    expect(await keyOf('lyon-2')).toMatchObject({ state: 'joined' });
    const [aside, former] = [
      globSync('var/replaced-*', { cwd: taken.folder }),
      globSync('*.replaced-*', { cwd: taken.folder }),
    ];
    expect([aside.length, former.length]).toEqual([1, 1]);
    expect(readFileSync(taken.file(aside[0] as string, 'keys/router.pem'), 'utf8')).toBe(key);
    expect(readFileSync(taken.file(former[0] as string), 'utf8')).toBe(config);
    for (const each of [aside[0], former[0]]) expect(taken.stderr).toContain(`aside   ${each}`);
    await taken.end('SIGTERM');
    // It is the node of that line by now, which replaces nothing more.
    expect((await taken.paste(`${line} --replace`)).id).toBe('lyon-2');
    expect(globSync('var/replaced-*', { cwd: taken.folder })).toEqual(aside);
    await taken.end('SIGTERM');
    const hidden = new Poller('hidden-too');
    mkdirSync(hidden.file('config/var'), { recursive: true });
    writeFileSync(hidden.file('config/centreond.yaml'), config);
    expect((await hidden.paste(`${(await join('lyon-4')).line} --replace`)).id).toBe('lyon-4');
    expect(globSync('config/centreond.yaml*', { cwd: hidden.folder })).toEqual([
      expect.stringContaining('config/centreond.yaml.replaced-'),
    ]);
    await hidden.end('SIGTERM');
    const alone = await taken.fail('npx centreond start --replace');
    expect([alone.code, alone.stderr]).toEqual([2, expect.stringContaining('--replace is for --join CODE')]);
  });

  test('where no router answers, and it stays good', async () => {
    const { line } = await join('nice-1', '--address', 'tcp://127.0.0.1:9');
    const { code, stderr } = await new Poller('nice-1').fail(line);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^JOIN_UNREACHABLE: nice-1 has not joined: No session with tcp:\/\/127\.0\.0\.1:9 within/);
    expect(await keyOf('nice-1')).toMatchObject({ state: 'invited' });
  });
});

describe('JOIN', () => {
  test('is for admins, of the router itself, for who is not known yet', async () => {
    const client = await Client.connect(central, alice);
    open.push(client);
    const asked = async (who: Client, data: object, target = '') =>
      (await who.request('JOIN', data, undefined, target)).data as { error?: string; message?: string };
    expect(await asked(client, { identity: 'nice-2' })).toMatchObject({ error: 'FORBIDDEN' });
    const refused = (message: string) => ({ error: 'INVALID_DATA', message: expect.stringContaining(message) });
    expect(await asked(root, { identity: 'nice-2' }, 'paris-1')).toMatchObject(refused('ask paris-1 itself'));
    expect(await asked(root, { identity: 'central' })).toMatchObject(refused('this router itself'));
    expect(await asked(root, { identity: 'alice' })).toMatchObject(refused(alice.key.thumbprint));
    expect(await asked(root, { identity: 'nice-2', seconds: 3601 })).toMatchObject(refused('seconds'));
    expect(await asked(root, { identity: '..' })).toMatchObject(refused('identity'));
    expect(await keyOf('nice-2')).toBeUndefined();
  });

  test('enrols a second implementation, which has the protocol alone to go by', async () => {
    const { data } = await root.request('JOIN', { identity: 'lille-1', seconds: 60 });
    const { token, fingerprint, addresses } = data as { token: string; fingerprint: string; addresses: string[] };
    expect([fingerprint, addresses]).toEqual([central.fingerprint, [central.endpoint]]);
    const lille = { identity: 'lille-1', key: Key.generate() };
    const router = await routerKey(central);
    const wire = new Wire(central.endpoint);
    open.push(wire);
    for (const [identity, key] of [
      ['lille-2', lille.key],
      ['root', lille.key],
      ['lille-1', alice.key],
    ] as const) {
      expect(await wire.ask(hello({ identity, key, router, token }).frame)).toContain('HANDSHAKE_REFUSED');
    }
    expect(await wire.ask(hello({ ...lille, router, token: `${token}x` }).frame)).toContain('HANDSHAKE_REFUSED');

    const node = await Client.connect(central, lille, { token });
    open.push(node);
    expect(node.welcome?.data).toMatchObject({ id: 'central', identity: 'lille-1', roles: ['node'] });
    const announced = { id: 'lille-1', version: '1', actions: [], nodes: [] };
    expect(await node.request('REGISTERNODE', announced)).toMatchObject({ code: 0 });
    expect(await stateOf('lille-1')).toBe('up');
    expect(await keyOf('lille-1')).toMatchObject({ state: 'joined', fingerprint: lille.key.thumbprint, by: 'root' });
    await node.close();
    // From now on its key is enough, and the token of no use, also after a restart.
    await central.end('SIGKILL');
    await central.start();
    expect((await Client.connect(central, lille)).welcome?.code).toBe(0);
    const again = new Wire(central.endpoint);
    open.push(again);
    expect(await again.ask(hello({ ...lille, router, token }).frame)).toContain('HANDSHAKE_REFUSED');
  });
});

test('a line names the address that the config advertises, unless it is told another', async () => {
  const external = { listen: 'tcp://127.0.0.1:*', advertise: 'tcp://central.example:5555' };
  const told = new DaemonProcess({ core: { external }, plugins: [] });
  try {
    await told.start();
    const addressIn = async (...more: string[]) => {
      const { stdout } = await told.cli('join', 'paris-1', '--json', ...more);
      return JSON.parse(stdout) as object;
    };
    expect(await addressIn()).toMatchObject({ address: external.advertise, reach: 'address', others: [] });
    expect(await addressIn('--address', 'tcp://b:1')).toMatchObject({ address: 'tcp://b:1' });
    expect((await told.cli('join', 'paris-1')).stderr).not.toContain('--address');
  } finally {
    await told.dispose();
  }
});

test('without an external door nobody can join, and that is said', async () => {
  const closed = new DaemonProcess({ core: { external: undefined }, plugins: [] });
  try {
    await closed.start();
    const { code, stdout, stderr } = await closed.cli('join', 'paris-1');
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('there is no external door');
  } finally {
    await closed.dispose();
  }
});
