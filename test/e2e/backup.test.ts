import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import Database from 'better-sqlite3';
import { create, extract } from 'tar';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess, type Identity, ROOT, until } from '../daemon-process.ts';

const fixture = (name: string) => path.join(ROOT, 'test/fixtures', name);
const plugins = [
  { package: fixture('probe') },
  { package: fixture('herald') },
  { package: path.join(ROOT, 'plugins/action') },
];

/** The names of what is left over of a backup or a restore below a folder. */
const leftovers = (folder: string) => globSync('**/{*.tar.*,.restoring-*}', { cwd: folder });

function factsIn(database: string): { epoch: string; lastId: number } {
  const db = new Database(database, { readonly: true });
  const epoch = db.prepare<[], string>("SELECT value FROM centreond_meta WHERE key = 'epoch'").pluck().get() ?? '';
  const lastId = db.prepare<[], number>('SELECT max(id) FROM centreond_history').pluck().get() ?? 0;
  db.close();
  return { epoch, lastId };
}

describe('a machine that is lost', () => {
  const central = new DaemonProcess({ plugins });
  const lyon = new DaemonProcess({ core: { id: 'lyon', external: undefined } });
  const alice = central.client('alice', ['client']);
  const file = path.join(central.folder, 'central.tar');
  const data = path.join(central.folder, 'var');
  let bob: Identity;
  let mallory: Identity;
  let carol: Identity;
  let fingerprint: string;
  let client: Client;
  let before: { epoch: string; lastId: number };
  let step: Promise<{ ok: boolean; data: unknown }>;
  const seen: number[] = [];
  let lastSeen = 0;

  const admin = () => connect({ address: central.socket });
  const stateOfLyon = async () => {
    await using local = await admin();
    const { nodes } = (await local.send('CONSTATUS')).data as unknown as { nodes: { id: string; state: string }[] };
    return nodes.find(({ id }) => id === 'lyon')?.state;
  };
  const shownTo = (token: string) => client.query({ token });

  beforeAll(async () => {
    [bob, mallory, carol] = ['bob', 'mallory', 'carol'].map((name) => central.client(name)) as [
      Identity,
      Identity,
      Identity,
    ];
    central.clients.splice(1);
    lyon.writeConfig();
    const { fingerprint: key } = JSON.parse((await lyon.cli('keys', 'show', '--json')).stdout);
    central.clients.push({ identity: 'lyon', fingerprint: key, roles: ['node'] });
    await central.start();
    ({ fingerprint } = central);
    const router = { address: central.endpoint, fingerprint };
    const pull = { package: path.join(ROOT, 'plugins/pull'), allowCore: true, config: { router } };
    lyon.settings.plugins = [{ package: fixture('probe') }, pull];
    client = await connect(central.door(alice));
    for (const [who, verb] of [
      [bob, 'accept'],
      [mallory, 'accept'],
      [mallory, 'revoke'],
      [carol, 'accept'],
    ] as const) {
      const more = verb === 'accept' ? ['--identity', who.identity, '--role', 'client'] : [];
      expect((await central.cli('keys', verb, who.fingerprint, ...more)).stderr).toBe('');
    }
    expect((await client.call('KEEP', { key: 'colour', value: 'red' })).ok).toBe(true);
    expect((await client.call('ECHO_ONCE', { n: 1 }, { token: 'before' })).ok).toBe(true);
    // For a node that is away: kept on disk until it is there.
    await client.send('ECHO_ONCE', { n: 2, $: { hold: true } }, { token: 'held', target: 'lyon' });
    step = client.call(
      'COMMAND',
      { command: ['sh', '-c', 'for i in $(seq 400); do echo row; sleep 0.05; done'] },
      { token: 'steps', timeoutMs: 60_000, onRow: ({ id }) => void seen.push(id) },
    );
    step.catch(() => {});
    await until('it writes rows', () => seen.length > 10);
  });
  afterAll(async () => {
    await client?.close();
    await lyon.dispose();
    await central.dispose();
  });

  test('a backup of a daemon at work is one private file, which says what it is and holds', async () => {
    const { code, stdout, stderr } = await central.cli('backup', 'central.tar');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^central\.tar: central as of \S+Z, \d+ files, \d+ bytes\.\nIt holds the private key .*\n/);
    expect(stdout).toContain('Not in it: centreond.yaml, and the files that it names.\n');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(leftovers(central.folder)).toEqual([]);

    const opened = path.join(central.folder, 'opened');
    mkdirSync(opened);
    await extract({ file, cwd: opened });
    const manifest = JSON.parse(readFileSync(path.join(opened, 'manifest.json'), 'utf8'));
    expect(manifest).toMatchObject({ format: 1, id: 'central', fingerprint, schema: 1 });
    expect(manifest.files.map((one: { path: string }) => one.path).sort()).toEqual([
      'history.sdb',
      'keys/router.pem',
      'keys/trust.json',
    ]);
    before = factsIn(path.join(opened, 'data/history.sdb'));
    rmSync(opened, { recursive: true });

    const again = await central.cli('backup', 'central.tar');
    expect(again).toMatchObject({ code: 1, stdout: '' });
    expect(again.stderr).toMatch(/^FILE_EXISTS: .*central\.tar is there already and stays as it is/);
  });

  test('what happens after the backup is not in it; then the machine is gone', async () => {
    await until('rows are shown that the backup does not have', () => (seen.at(-1) ?? 0) > before.lastId);
    expect((await client.call('KEEP', { key: 'colour', value: 'blue' })).ok).toBe(true);
    await lyon.start();
    await until('lyon is up', async () => (await stateOfLyon()) === 'up');
    await until('what was held ran there', async () => (await shownTo('held')).some(({ code }) => code === 2));
    // Lyon's log: the router has it, and its backup does not.
    expect((await client.call('ECHO_ONCE', { n: 3 }, { token: 'there', target: 'lyon' })).ok).toBe(true);
    expect((await central.cli('keys', 'revoke', carol.fingerprint)).code).toBe(0);
    expect((await central.cli('restore', 'central.tar', '--force')).stderr).toMatch(
      /^DATA_DIR_TAKEN: The daemon with pid \d+ already works on /,
    );
    await central.end('SIGKILL');
    lastSeen = seen.at(-1) ?? 0;
    renameSync(data, path.join(central.folder, 'lost'));
  });

  test('the restored router is the same: its key, requests, rows, plugin state, and who may connect', async () => {
    const { code, stdout, stderr } = await central.cli('restore', 'central.tar');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^var: central as it was at \S+Z, by centreond \d+\.\d+\.\d+\.\n {2}key {7}/);
    expect(stdout).toContain(fingerprint);
    for (const name of readdirSync(data, { recursive: true }) as string[]) {
      const entry = statSync(path.join(data, name));
      expect(`${name} ${(entry.mode & 0o777).toString(8)}`).toBe(`${name} ${entry.isDirectory() ? '700' : '600'}`);
    }
    expect(leftovers(data)).toEqual([]);

    await central.start();
    expect(central.fingerprint).toBe(fingerprint);
    expect((await client.send('ECHO_ONCE', { n: 1 }, { token: 'before' })).data).toMatchObject({ duplicate: true });
    expect((await shownTo('before')).map((row) => row.code)).toEqual([0, 2]);
    expect(await client.call('KEPT', { key: 'colour' })).toMatchObject({ ok: true, data: { value: 'red' } });
    await (await connect(central.door(bob))).close();
    await expect(connect({ ...central.door(mallory), timeoutMs: 2000 })).rejects.toThrow('refused');
  });

  test('who followed a request is told how it ended, though it had seen rows that the backup does not have', async () => {
    expect(await step).toMatchObject({ ok: false, data: { error: 'OUTCOME_UNKNOWN' } });
    expect((await shownTo('steps')).at(-1)?.id).toBeGreaterThan(lastSeen);
  });

  test('its log has another epoch, and the logs of its nodes come again, each row once', async () => {
    await until('lyon is up', async () => (await stateOfLyon()) === 'up');
    const codes = async (token: string) => {
      await using local = await admin();
      return (await local.query({ token })).map(({ node, code: one }) => `${node} ${one}`);
    };
    await until('the row of lyon is here again', async () => (await codes('there')).length > 0);
    expect((await codes('there')).filter((row) => row === 'lyon 2')).toEqual(['lyon 2']);
    // It went to lyon before: lyon has it, and it does not run again.
    await until('what was held has ended', async () => (await codes('held')).some((row) => row === 'lyon 2'));
    expect((await codes('held')).filter((row) => row === 'lyon 2')).toEqual(['lyon 2']);
    expect(factsIn(central.database).epoch).not.toBe(before.epoch);
    expect((await client.call('ECHO_ONCE', { n: 4 }, { token: 'now', target: 'lyon' })).ok).toBe(true);
  });

  test('without a daemon it works too, and a restore with --force keeps what was there, and what was revoked since', async () => {
    await client.close();
    expect((await central.cli('keys', 'revoke', bob.fingerprint)).code).toBe(0);
    expect(await central.end('SIGTERM')).toBe(0);
    expect(await central.cli('backup', 'later.tar', '--json')).toMatchObject({ code: 0 });
    const refused = await central.cli('restore', 'central.tar');
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^RESTORE_NOT_EMPTY: .*var holds history\.sdb, keys already and stays as it is\./);
    const { stdout, stderr } = await central.cli('restore', 'central.tar', '--force', '--json');
    expect(stderr).toBe('');
    const { replaced, revoked } = JSON.parse(stdout);
    expect(revoked).toEqual([bob.fingerprint]);
    expect(readdirSync(replaced)).toEqual(expect.arrayContaining(['history.sdb', 'keys']));
    await central.start();
    await expect(connect({ ...central.door(bob), timeoutMs: 2000 })).rejects.toThrow('refused');
    await central.end();
    // A backup does not take with it what an earlier restore moved aside.
    const last = JSON.parse((await central.cli('backup', 'last.tar', '--json')).stdout);
    expect(last.files).toBe(3);
  });
});

describe('a backup that cannot be used changes nothing', () => {
  const daemon = new DaemonProcess({ plugins: [] });
  const file = path.join(daemon.folder, 'good.tar');
  const unpacked = path.join(daemon.folder, 'unpacked');
  beforeAll(async () => {
    await daemon.start();
    await daemon.end();
    expect((await daemon.cli('backup', 'good.tar')).code).toBe(0);
    mkdirSync(unpacked);
    await extract({ file, cwd: unpacked });
    rmSync(path.join(daemon.folder, 'var'), { recursive: true });
  });
  afterAll(() => daemon.dispose());

  const manifest = () => JSON.parse(readFileSync(path.join(unpacked, 'manifest.json'), 'utf8'));
  /** The good backup, with another manifest or other files. */
  async function changed(name: string, more: object, touch: () => void = () => {}): Promise<string> {
    const before = readFileSync(path.join(unpacked, 'manifest.json'));
    writeFileSync(path.join(unpacked, 'manifest.json'), JSON.stringify({ ...manifest(), ...more }));
    touch();
    const made = path.join(daemon.folder, name);
    await create({ file: made, cwd: unpacked }, ['manifest.json', 'data']);
    writeFileSync(path.join(unpacked, 'manifest.json'), before);
    return made;
  }
  async function refusal(of: string, core?: object): Promise<string> {
    daemon.settings.core = core ?? {};
    daemon.writeConfig();
    const { code, stdout, stderr } = await daemon.cli('restore', of);
    expect(stdout).toBe('');
    expect(code).not.toBe(0);
    const left = readdirSync(path.join(daemon.folder, 'var')).filter((name) => !['run', 'lock'].includes(name));
    for (const name of left) expect(readdirSync(path.join(daemon.folder, 'var', name))).toEqual([]);
    expect(leftovers(daemon.folder)).toEqual([]);
    return stderr;
  }

  test('one of a newer centreond', async () => {
    const sentence = /^BACKUP_NEWER: The backup .* was made by centreond 9\.0\.0, .* install that version first\.\n$/;
    expect(await refusal(await changed('newer.tar', { schema: 99, version: '9.0.0' }))).toMatch(sentence);
    expect(await refusal(await changed('form.tar', { format: 2, version: '9.0.0' }))).toMatch(sentence);
  });

  test('one of another router', async () => {
    expect(await refusal(file, { id: 'other' })).toMatch(/^BACKUP_OF_ANOTHER: .* set core\.id to central/);
  });

  test('one whose key is not the one that it says', async () => {
    const other = await changed('key.tar', { fingerprint: 'x'.repeat(43) });
    expect(await refusal(other)).toMatch(/^BACKUP_BROKEN: .* its key is not the one that it says it has/);
  });

  test('one that is damaged, cut, incomplete, or no backup at all', async () => {
    const cut = path.join(daemon.folder, 'cut.tar');
    copyFileSync(file, cut);
    truncateSync(cut, 20_000);
    expect(await refusal(cut)).toMatch(/^BACKUP_BROKEN: /);
    const flipped = readFileSync(file);
    const at = flipped.length - 20_000;
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    writeFileSync(path.join(daemon.folder, 'flipped.tar'), flipped);
    expect(await refusal('flipped.tar')).toMatch(/^BACKUP_BROKEN: .* is damaged in it/);
    const { files } = manifest();
    expect(await refusal(await changed('more.tar', { files: files.slice(1) }))).toMatch(/does not name/);
    const missing = { path: 'keys/none', bytes: 0, sha256: '' };
    expect(await refusal(await changed('less.tar', { files: [...files, missing] }))).toMatch(
      /keys\/none is missing in it/,
    );
    writeFileSync(path.join(daemon.folder, 'text.tar'), 'nothing of the kind');
    expect(await refusal('text.tar')).toMatch(/^BACKUP_BROKEN: /);
    expect(await refusal('none.tar')).toMatch(/there is no such file/);
  });

  test('nothing of it gets out of the data folder', async () => {
    const [first] = manifest().files;
    const sly = { files: [{ ...first, path: '../../out' }] };
    expect(await refusal(await changed('sly.tar', sly))).toMatch(/^BACKUP_BROKEN: .*manifest\.json is not one/);
    expect(existsSync(path.join(daemon.folder, 'out'))).toBe(false);
  });

  test('where no daemon has run there is nothing to back up, and into the data folder itself none goes', async () => {
    daemon.settings.core = {};
    daemon.writeConfig();
    expect((await daemon.cli('backup', 'empty.tar')).stderr).toMatch(/^NOTHING_TO_BACK_UP: /);
    expect((await daemon.cli('restore', 'good.tar')).code).toBe(0);
    expect((await daemon.cli('backup', 'var/inside.tar')).stderr).toMatch(
      /^BACKUP_FAILED: .* it is in the data folder/,
    );
    expect((await daemon.cli('backup', 'no/folder.tar')).stderr).toMatch(/^BACKUP_FAILED: .*ENOENT/);
  });
});
