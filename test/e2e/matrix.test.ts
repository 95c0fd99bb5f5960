import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { buildManifest } from '@centreond/plugin-kit/build';
import type { Manifest } from '@centreond/plugin-sdk/internal';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { coreManifest } from '../../core/dist/core-actions.js';
import { refusalFor } from '../../core/dist/router/authorize.js';
import { DaemonProcess, ROOT } from '../daemon-process.ts';
import { pluginSource, tempPackage } from '../plugin-sdk/temp-package.ts';
import { LETTERS, type Letter, MATRIX, ROLE_OF } from './matrix.ts';
import { auth, Client, newToken, type Who, Wire, whoOf } from './second-implementation.ts';

// Without a manifest it is a library that plugins share.
const bundled = readdirSync(path.join(ROOT, 'plugins'))
  .filter((name) => existsSync(path.join(ROOT, 'plugins', name, 'plugin.manifest.json')))
  .map(
    (name) => JSON.parse(readFileSync(path.join(ROOT, 'plugins', name, 'plugin.manifest.json'), 'utf8')) as Manifest,
  );
const actions = [coreManifest, ...bundled].flatMap(({ type, actions }) =>
  actions.map((manifest) => ({ type, manifest })),
);
const rows = Object.entries(MATRIX);
/** Every set of roles, the empty one too. */
const subsets = Array.from({ length: 2 ** LETTERS.length }, (_, bits) => LETTERS.filter((_, i) => bits & (1 << i)));
/** DATA that no action takes. */
const NONSENSE = { 'no such field': true };

test('every action of the core and of the bundled plugins has a row', () => {
  expect(actions.map(({ manifest }) => manifest.name).sort()).toEqual(Object.keys(MATRIX).sort());
});

describe('a peer with no matter which roles may call what one of them may, and nothing else', () => {
  test.each(actions.map((action) => [action.manifest.name, action] as const))('%s', (name, action) => {
    const { who = '', data } = MATRIX[name] ?? {};
    for (const letters of subsets) {
      const roles = new Set(letters.map((letter) => ROLE_OF[letter]));
      const refusal = refusalFor({ identity: 'x', grant: {}, roles }, action, 'central');
      const may = letters.some((letter) => who.includes(letter));
      // What depends on DATA is decided by the action itself, below.
      if (may || !data)
        expect({ letters, refusal: refusal?.code }).toEqual({ letters, refusal: may ? undefined : 'FORBIDDEN' });
    }
  });
});

describe('at the doors of a daemon', () => {
  let daemon: DaemonProcess;
  const who = new Map<Letter, Who>();
  const live = new Map<Letter, Client>();
  const open: { close(): Promise<void> }[] = [];

  beforeAll(async () => {
    const relay = `tell(input) { return this.transport.send(input.action, input.data).then(() => ({ code: 'accepted' }), ({ code }) => ({ code })); }`;
    const body = `act('TELL', { input: z.strictObject({ action: z.string(), data: z.record(z.string(), z.unknown()) }), output: z.strictObject({ code: z.string() }) }, 'tell');
      inject(TRANSPORT)(Sample, undefined, 0); injectable()(Sample);`;
    const source = pluginSource('', body, `constructor(transport) { this.transport = transport; } ${relay}`);
    const teller = tempPackage({
      'index.js': `import { TRANSPORT } from '@centreond/plugin-sdk'; import { inject, injectable } from 'tsyringe';\n${source}`,
    });
    await buildManifest(teller);
    daemon = new DaemonProcess({
      plugins: [
        { package: teller },
        ...['action', 'cron', 'files', 'proxy', 'ssh'].map((name) => ({ package: path.join(ROOT, 'plugins', name) })),
      ],
    });
    for (const letter of LETTERS) {
      if (letter !== 'P') who.set(letter, whoOf(daemon.client(`peer-${letter.toLowerCase()}`, [ROLE_OF[letter]])));
    }
    await daemon.start();
    for (const [letter, one] of who) {
      const client = await Client.connect(daemon, one);
      live.set(letter, client);
      open.push(client);
    }
  });
  afterAll(async () => {
    for (const one of open) await one.close();
    await daemon?.dispose();
  });

  const dataOf = (name: string, identity: string) => MATRIX[name]?.data?.(identity) ?? NONSENSE;
  /** Whether the refusal, if it is one, comes from who asks; all that may call are refused for their DATA at the latest. */
  const verdict = (code: unknown) => (code === 'FORBIDDEN' ? 'refused' : 'heard');
  const offered = rows.filter(([name]) => !name.startsWith('ACL')); // its plugin needs a database

  test.each(LETTERS.filter((letter) => letter !== 'P'))(
    'the external one, a live session with the role %s',
    async (letter) => {
      const client = live.get(letter) as Client;
      const verdicts: Record<string, string> = {};
      for (const [name] of offered) {
        const token = newToken();
        const text = `[${name}] [${token}] [] ${JSON.stringify(dataOf(name, client.who.identity))}`;
        verdicts[name] = verdict(await client.verdict(text, token));
      }
      const expected = offered.map(([name, row]) => [name, row.who.includes(letter) ? 'heard' : 'refused']);
      expect(verdicts).toEqual(Object.fromEntries(expected));
    },
  );

  test('the internal one, whose peers are admins', async () => {
    const { stdout } = await daemon.cli('call', 'KEYS', '--json');
    expect(stdout).toContain('peer-c');
    for (const name of ['GETSTATE', 'SIGN', 'ANNOUNCE']) {
      const { code, stderr } = await daemon.cli('call', name, 'x=1');
      expect({ name, code }).not.toEqual({ name, code: 0 });
      expect(stderr).toContain('FORBIDDEN');
    }
  });

  test("an instance's link", async () => {
    const admin = live.get('A') as Client;
    const verdicts: Record<string, string> = {};
    for (const [name] of offered) {
      const [end] = (await admin.run('TELL', { action: name, data: dataOf(name, 'peer-n') })).slice(-1);
      verdicts[name] = verdict((end?.data as { code?: string } | undefined)?.code);
    }
    const expected = offered.map(([name, row]) => [name, row.who.includes('P') ? 'heard' : 'refused']);
    expect(verdicts).toEqual(Object.fromEntries(expected));
  });

  test('without a session nothing is heard, whatever it asks for', async () => {
    const wire = new Wire(daemon.endpoint);
    open.push(wire);
    for (const [name] of rows) {
      await wire.send(`[${name}] [${newToken()}] [] ${JSON.stringify(dataOf(name, 'peer-a'))}`);
    }
    expect((await wire.settled()).filter((text) => !/^\[NOSESSION\] \[\]$/.test(text))).toEqual([]);
  });

  test('before its AUTH a session does nothing', async () => {
    const requests = rows.map(([name]) => `[${name}] [${newToken()}] [] ${JSON.stringify(dataOf(name, 'peer-a'))}`);
    const inFront = await Client.begin(daemon, who.get('A') as Who);
    const oneByOne = await Client.begin(daemon, who.get('A') as Who);
    open.push(inFront, oneByOne);
    await inFront.send(...requests, auth(inFront.handshake, inFront.who.key));
    for (const request of requests) await oneByOne.send(request);
    for (const pending of [inFront, oneByOne]) {
      pending.listen();
      await pending.wire.send('[GETPUBKEY]'); // answered when all before it was looked at
      await pending.take(({ verb }) => verb === 'PUBKEY', '[PUBKEY]');
      expect(pending.heard.filter(({ clear }) => !clear)).toEqual([]);
    }
  });

  test('a session that was replaced does nothing any more', async () => {
    const admin = who.get('A') as Who;
    const before = await Client.connect(daemon, admin);
    const after = await Client.connect(daemon, admin);
    open.push(before, after);
    live.set('A', after);
    const { length } = before.heard.filter(({ verb }) => verb !== 'BYE');
    for (const [name] of rows) {
      const token = newToken();
      await before.send(`[${name}] [${token}] [] ${JSON.stringify(dataOf(name, 'peer-a'))}`);
    }
    await before.isOver();
    expect(before.heard.filter(({ verb, clear }) => verb !== 'BYE' && !clear)).toHaveLength(length);
    expect((await after.ping()).code).toBe(0);
  });

  test('a session whose key was revoked does nothing any more', async () => {
    const node = live.get('N') as Client;
    const admin = live.get('A') as Client;
    await admin.run('REVOKEKEY', { key: node.who.key.thumbprint });
    await node.send(`[PING] [${newToken()}] []`);
    await node.isOver();
    expect(node.heard.filter(({ verb }) => verb === 'PONG')).toEqual([]);
  });
});
