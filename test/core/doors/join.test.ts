import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { joinKeyOf, type KeyPair } from '@centreond/protocol/channel';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Trust } from '../../../core/dist/doors/trust.js';
import {
  aliceKeys,
  begin,
  connect,
  forgeHelo,
  inside,
  newKeys,
  routerKeys,
  until,
  type Who,
  type Wire,
} from './attacker.ts';
import { closeAll, type OpenDoor, openDoor, stallSignatures } from './door.ts';

const REFUSED =
  /^\[ACK] \[] \{"code":1,"data":\{"error":"HANDSHAKE_REFUSED","message":"The handshake was refused\. .*"\}\}$/;

let paris: KeyPair;
let mallory: KeyPair;
beforeAll(() => {
  paris = newKeys();
  mallory = newKeys();
});
afterEach(closeAll);

/** Opens a token; who joins with it. */
function invite(at: OpenDoor, identity = 'paris-1', seconds = 3600): string {
  return at.trust.invite({ identity, seconds, by: 'root' }).token;
}
function joiner(at: OpenDoor, token: string, keys = paris, identity = 'paris-1'): Who & { joinKey: Buffer } {
  return { keys, identity, now: at.clock.now(), joinKey: joinKeyOf(token) };
}
async function refused(at: OpenDoor, wire: Wire, frame: string | Buffer): Promise<string> {
  const before = at.log.length;
  expect(await wire.ask(frame)).toMatch(REFUSED);
  const lines = at.log.slice(before).filter((line) => 'cause' in line.fields);
  return lines.map(({ fields }) => [fields.cause, fields.reason].join(' ')).join();
}
const states = (trust: Trust) =>
  trust.list().map((entry) => `${entry.state} ${'identity' in entry ? entry.identity : ''}`);

describe('a HELO with a join token', () => {
  test('is refused in the common words, and before any private-key operation, for what shows without one', async () => {
    let used = 0;
    const keys = {
      ...routerKeys,
      get privateKey() {
        used++;
        return routerKeys.privateKey;
      },
    };
    const at = await openDoor({}, { routerKeys: keys });
    const wire = at.wire();
    const who = joiner(at, invite(at));
    const wrong = { ...who, joinKey: joinKeyOf('A'.repeat(32)) };
    const sound = await forgeHelo({}, who);
    const past = { ts: who.now - 120_001 };
    // Each of them has further faults, of what is checked after the one that is found.
    const cases: [string, string][] = [
      ['form', `${sound}A`],
      ['form', `${sound}.AAAA`],
      ['form', sound.slice(0, -1)],
      ['another router key', await forgeHelo({ ...past, sid: mallory.thumbprint }, wrong)],
      ['not the one it names', await forgeHelo({ ...past, cid: mallory.thumbprint }, wrong)],
      ['join token', await forgeHelo(past, { ...wrong, signer: mallory })],
      ['clock', await forgeHelo(past, { ...who, signer: mallory })],
      ['signature', await forgeHelo({}, { ...who, signer: mallory, identity: 'lyon-2' })],
      // The HMAC is of the body: neither of another one, nor taken over from another HELO.
      ['join token', `${sound.split('.').slice(0, 2).join('.')}.${(await forgeHelo({}, who)).split('.')[2]}`],
    ];
    for (const [cause, frame] of cases) expect(await refused(at, wire, frame), cause).toContain(cause);
    expect(used).toBe(0);
    expect(at.trust.list()).toMatchObject([{ state: 'config' }, { state: 'invited', identity: 'paris-1' }]);
    expect(await wire.ask(sound)).toMatch(/^\[KEY] [\w-]+\.[\w-]+\.[\w-]{43}$/);
    expect(used).toBeGreaterThan(0);
    // A replay is one with a token, too.
    expect(await refused(at, at.wire(), sound)).toContain('replay');
  });

  test('is for the identity of its token alone, and none that is known', async () => {
    const at = await openDoor({ trust: 'pending' });
    const token = invite(at);
    const wire = at.wire();
    expect(await refused(at, wire, await forgeHelo({}, joiner(at, token, paris, 'lyon-2')))).toContain('not for');
    expect(await refused(at, wire, await forgeHelo({}, joiner(at, token, paris, 'alice')))).toContain('not for');
    expect(await refused(at, wire, await forgeHelo({}, joiner(at, token, aliceKeys)))).toContain('already alice');
    // The configuration came to know it since.
    const authorized = [{ identity: 'paris-1', fingerprint: mallory.thumbprint, roles: ['node' as const] }];
    at.trust.configure({ trust: 'pending', authorized });
    expect(await refused(at, wire, await forgeHelo({}, joiner(at, token)))).toContain('already has the key');
    at.trust.configure({ trust: 'pending', authorized: [] });
    at.trust.revoke(paris.thumbprint);
    expect(await refused(at, wire, await forgeHelo({}, joiner(at, token)))).toContain('was revoked');
    expect(await wire.ask(await forgeHelo({}, joiner(at, token, mallory)))).toMatch(/^\[KEY] /);
  });

  test('begins no more handshakes of its key than any other', async () => {
    const at = await openDoor();
    const who = joiner(at, invite(at));
    const wire = at.wire();
    for (let i = 0; i < 6; i++) expect(await wire.ask(await forgeHelo({}, who))).toMatch(/^\[KEY] /);
    expect(await refused(at, wire, await forgeHelo({}, who))).toContain('too many');
  });

  test('is found among a hundred, which are all that may be open', async () => {
    const at = await openDoor();
    invite(at, 'node-0', 60);
    const tokens = Array.from({ length: 100 }, (_, i) => `the-token-of-node-${i}`);
    const kept = JSON.parse(readFileSync(at.file, 'utf8')) as { invited: object[] };
    const invited = tokens.map((token, i) => {
      return { ...kept.invited[0], identity: `node-${i}`, key: joinKeyOf(token).toString('base64url') };
    });
    writeFileSync(at.file, JSON.stringify({ ...kept, invited }));
    at.trust.reload();
    expect(() => invite(at, 'node-100')).toThrow('100 join tokens are open');
    for (const [i, keys] of [
      [57, paris],
      [99, mallory],
    ] as const) {
      const who = joiner(at, tokens[i] as string, keys, `node-${i}`);
      expect((await connect(at.wire(), who)).welcome).toContain(`"identity":"node-${i}"`);
    }
    // A used one makes room, one that is too old does, and one identity has one.
    for (const i of [100, 102]) invite(at, `node-${i}`);
    expect(() => invite(at, 'node-103')).toThrow('open');
    expect(() => invite(at, 'node-102')).not.toThrow();
    at.clock.advance(60_000);
    expect(at.trust.list().filter(({ state }) => state === 'invited').length).toBe(2);
    invite(at, 'node-103');
    expect(JSON.parse(readFileSync(at.file, 'utf8')).invited.length).toBe(3);
  });
});

describe('a join token', () => {
  test('makes its key a node, for good, and opens the session at once', async () => {
    const at = await openDoor({ trust: 'strict' });
    const token = invite(at);
    const started = at.clock.now();
    at.clock.advance(1000);
    const session = await connect(at.wire(), joiner(at, token), ['hello']);
    expect(session.welcome).toContain('"identity":"paris-1","roles":["node"]');
    await until(() => at.got.length === 1);
    expect(at.got).toEqual([{ identity: 'paris-1', message: 'hello' }]);
    const entry = { state: 'joined', identity: 'paris-1', fingerprint: paris.thumbprint, roles: ['node'] };
    expect(at.trust.list().at(-1)).toEqual({ ...entry, at: started + 1000, by: 'root' });
    expect(at.pinned).toEqual([['paris-1', paris.jwk.n]]);
    expect(at.log.find(({ message }) => message === 'a node joined')?.fields).toMatchObject({ identity: 'paris-1' });
    // Its key is enough from now on, in the next process too.
    expect((await connect(at.wire(), { keys: paris, identity: 'paris-1', now: at.clock.now() })).welcome).toContain(
      'node',
    );
    const clients = { trust: 'strict' as const, authorized: [] };
    expect(new Trust({ file: at.file, clients, clock: at.clock }).lookup(paris.thumbprint)?.identity).toBe('paris-1');
  });

  test('is kept nowhere: what is kept does not let in, is for this uid alone, and is gone once it is used', async () => {
    const at = await openDoor();
    const token = invite(at);
    const kept = readFileSync(at.file, 'utf8');
    expect(kept).not.toContain(token);
    expect(kept).toContain(joinKeyOf(token).toString('base64url'));
    expect(statSync(at.file).mode & 0o777).toBe(0o600);
    await connect(at.wire(), joiner(at, token));
    expect(readFileSync(at.file, 'utf8')).not.toContain(joinKeyOf(token).toString('base64url'));
    expect(JSON.stringify(at.log)).not.toContain(token);
  });

  test('works once: neither another key nor the same one joins with it again', async () => {
    const at = await openDoor();
    const token = invite(at);
    await connect(at.wire(), joiner(at, token));
    expect(await refused(at, at.wire(), await forgeHelo({}, joiner(at, token, mallory)))).toContain('not open');
    expect(await refused(at, at.wire(), await forgeHelo({}, joiner(at, token)))).toContain('not open');
    expect(at.trust.lookup(mallory.thumbprint)).toBeUndefined();
  });

  test('is used up by a verified AUTH and by nothing before it', async () => {
    const at = await openDoor();
    const token = invite(at);
    const wire = at.wire();
    const session = await begin(wire, joiner(at, token));
    await wire.send(session.sealer.seal(['[AUTH] [] [] {"s":"AAAA"}']));
    expect((await wire.next()).toString()).toMatch(REFUSED);
    expect(states(at.trust)).toEqual(['config alice', 'invited paris-1']);
    expect((await connect(at.wire(), joiner(at, token, mallory))).welcome).toContain('paris-1');
  });

  test('lets in exactly one of two that use it at the same time', async () => {
    const at = await openDoor();
    const token = invite(at);
    const racers = await Promise.all(
      [paris, mallory].map(async (keys) => {
        const wire = at.wire();
        return { wire, keys, session: await begin(wire, joiner(at, token, keys)) };
      }),
    );
    const release = stallSignatures();
    for (const { wire, session } of racers) await wire.send(session.sealer.seal([session.auth, 'acted']));
    release();
    const answers = await Promise.all(
      racers.map(async ({ wire, session, keys }) => {
        const frame = await wire.next();
        const text = frame[0] === 1 ? String(session.opener.open(frame, 8192)[0]) : frame.toString();
        return { keys, won: text.includes('"code":0'), lost: REFUSED.test(text) };
      }),
    );
    expect(answers.map(({ won }) => won).sort()).toEqual([false, true]);
    expect(answers.map(({ lost }) => lost).sort()).toEqual([false, true]);
    const winner = answers.find(({ won }) => won)?.keys.thumbprint;
    expect(at.trust.grantOf('paris-1')?.fingerprint).toBe(winner);
    expect(at.got.length).toBe(1);
    expect(at.log.find(({ fields }) => 'cause' in fields)?.fields.cause).toContain('used, withdrawn or replaced');
  });

  test('ends by the clock of the router, also between KEY and AUTH, and when that clock is set back', async () => {
    const at = await openDoor();
    const token = invite(at, 'paris-1', 60);
    at.clock.advance(59_999);
    const wire = at.wire();
    const session = await begin(wire, joiner(at, token));
    at.clock.advance(1);
    expect(await refused(at, wire, session.sealer.seal([session.auth]))).toContain('too old');
    expect(await refused(at, at.wire(), await forgeHelo({}, joiner(at, token)))).toContain('not open');
    expect(at.trust.lookup(paris.thumbprint)).toBeUndefined();

    const later = invite(at, 'paris-1', 60);
    at.clock.time -= 3_600_000;
    expect(await refused(at, at.wire(), await forgeHelo({}, joiner(at, later)))).toContain('not open');
    for (const seconds of [0, -1, 3601, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => invite(at, 'paris-1', seconds)).toThrow('1 to 3600');
    }
  });

  test('is withdrawn by its identity, also when its KEY is out, and replaced by the next', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const first = invite(at);
    const session = await begin(wire, joiner(at, first));
    expect(at.trust.revoke('paris-1')).toEqual({ identity: 'paris-1', withdrawn: true });
    expect(await refused(at, wire, session.sealer.seal([session.auth]))).toContain('withdrawn');
    const [second, third] = [invite(at), invite(at)];
    expect(await refused(at, wire, await forgeHelo({}, joiner(at, second)))).toContain('not open');
    expect((await connect(at.wire(), joiner(at, third))).welcome).toContain('paris-1');
  });

  test('is not made for who is known; who was revoked may come again, with another key', async () => {
    const at = await openDoor();
    expect(() => invite(at, 'alice')).toThrow(aliceKeys.thumbprint);
    expect(() => invite(at, '..')).toThrow('cannot be an identity');
    expect(() => invite(at, 'all')).toThrow('it stands for every node');
    await connect(at.wire(), joiner(at, invite(at)));
    expect(() => invite(at)).toThrow(paris.thumbprint);
    at.trust.revoke('paris-1');
    const token = invite(at);
    expect(await refused(at, at.wire(), await forgeHelo({}, joiner(at, token)))).toContain('revoked');
    expect((await connect(at.wire(), joiner(at, token, mallory))).welcome).toContain('paris-1');
    // The configuration's identities are its own to give, even of a revoked key.
    at.trust.revoke('alice');
    expect(() => invite(at, 'alice')).toThrow('clients.authorized');
  });

  test('that cannot be taken off the disk lets nobody in, and can be used when it can', async () => {
    const at = await openDoor();
    const token = invite(at);
    const folder = path.dirname(at.file);
    const wire = at.wire();
    const session = await begin(wire, joiner(at, token));
    renameSync(folder, `${folder}.away`);
    writeFileSync(folder, 'no folder');
    expect(await refused(at, wire, session.sealer.seal([session.auth, 'acted']))).toContain('it cannot join');
    expect(at.got).toEqual([]);
    expect(at.trust.lookup(paris.thumbprint)).toBeUndefined();
    rmSync(folder);
    renameSync(`${folder}.away`, folder);
    expect((await connect(at.wire(), joiner(at, token))).welcome).toContain('paris-1');
  });

  test('gives the subnodes that it was made with', async () => {
    const at = await openDoor();
    const { token } = at.trust.invite({ identity: 'paris-1', seconds: 60, by: 'root', subnodes: ['lyon-2'] });
    await connect(at.wire(), joiner(at, token));
    expect(at.trust.grantOf('paris-1')?.subnodes).toEqual(['lyon-2']);
    // Further roles take nothing of it away.
    at.trust.accept({ fingerprint: paris.thumbprint, identity: 'paris-1', roles: ['node', 'client'] });
    expect(at.trust.grantOf('paris-1')).toMatchObject({ roles: ['node', 'client'], subnodes: ['lyon-2'] });
    expect(at.trust.list().at(-1)).toMatchObject({ state: 'joined', by: 'root' });
  });
});

test('a session that lived before its key joined is not touched by a refused join of its identity', async () => {
  const at = await openDoor();
  const token = invite(at);
  const wire = at.wire();
  const session = await connect(wire, joiner(at, token));
  await refused(at, at.wire(), await forgeHelo({}, joiner(at, token, mallory)));
  await wire.send(session.sealer.seal(['still here']));
  expect(await inside(wire, session)).toEqual(['[PONG] still here']);
});

test('a router that is killed at any moment has kept either the token or the key, never both, never neither', {
  timeout: 60_000,
}, async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'join-'));
  const file = path.join(folder, 'keys', 'trust.json');
  const child = path.join(import.meta.dirname, 'joining-child.ts');
  const said: string[] = [];
  try {
    for (let round = 0; round < 2; round++) {
      const run = spawn(process.execPath, ['--no-warnings', child, file, String(round * 1_000_000)]);
      const exited = new Promise((resolve) => run.once('close', resolve));
      let text = '';
      let errors = '';
      const enough = 1 + Math.floor(Math.random() * 12);
      run.stderr.on('data', (chunk) => (errors += chunk));
      run.stdout.on('data', (chunk) => {
        text += chunk;
        if (text.split('\n').length > enough) run.kill('SIGKILL');
      });
      await exited;
      expect(errors).toBe('');
      said.push(...text.split('\n').slice(0, -1));
    }
    const clients = { trust: 'pending' as const, authorized: [] };
    const kept = new Map(
      new Trust({ file, clients }).list().map((entry) => ['identity' in entry ? entry.identity : '', entry]),
    );
    const list = new Trust({ file, clients }).list();
    expect(list.length).toBe(kept.size);
    for (const line of said) {
      const [what, identity = ''] = line.split(' ');
      const state = kept.get(identity)?.state;
      if (what === 'enrolled') expect(state, identity).toBe('joined');
      else expect(['invited', 'joined'], identity).toContain(state);
    }
    expect(said.filter((line) => line.startsWith('enrolled')).length).toBeGreaterThan(0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('tokens in a file that others can read are not relied on', async () => {
  const at = await openDoor();
  invite(at);
  const { mode } = statSync(at.file);
  expect(mode & 0o077).toBe(0);
  const open = path.join(path.dirname(at.file), 'open.json');
  writeFileSync(open, readFileSync(at.file), { mode: 0o644 });
  const clients = { trust: 'pending' as const, authorized: [] };
  expect(() => new Trust({ file: open, clients, clock: at.clock })).toThrow('can be read by others');
});
