import { createHmac, randomBytes } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { joinKeyOf } from '@centreond/protocol/channel';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ClientsConfig, isFingerprint, Trust } from '../../../core/dist/doors/trust.js';
import { keepRevocations, readTrust } from '../../../core/dist/doors/trust-file.js';
import type { Grant, Role } from '../../../core/dist/router/peer.js';
import { TestClock } from './attacker.ts';

const print = () => randomBytes(32).toString('base64url');
const [F1, F2, F3] = [print(), print(), print()];
const clock = new TestClock();
const client: Role[] = ['client'];

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'trust-'));
  file = join(folder, 'keys', 'trust.json');
});
afterEach(() => rmSync(folder, { recursive: true }));

const make = (authorized: ClientsConfig['authorized'] = [], trust: ClientsConfig['trust'] = 'pending') =>
  new Trust({ file, clients: { trust, authorized }, clock });
const configured = (identity: string, fingerprint: string, more: Partial<Grant> = {}): Grant => ({
  identity,
  fingerprint,
  roles: client,
  ...more,
});

describe('what the configuration names', () => {
  test('is known with all that it gives', () => {
    const relay = configured('relay', F1, { roles: ['node'], subnodes: ['a'], actions: ['X'], targets: ['t'] });
    const trust = make([relay]);
    expect(trust.lookup(F1)).toEqual(relay);
    expect(trust.grantOf('relay')).toEqual(relay);
    expect(trust.lookup(F2)).toBeUndefined();
    expect(existsSync(file)).toBe(false);
  });

  test('ends with it, and what changes in it is told', () => {
    const trust = make([configured('a', F1), configured('b', F2), configured('c', F3)]);
    const ended: string[] = [];
    trust.onRevoked((grant) => ended.push(`${grant.identity} ${grant.fingerprint}`));
    trust.configure({ trust: 'strict', authorized: [configured('a', F1), configured('b', F2, { actions: ['X'] })] });
    expect(ended).toEqual([`b ${F2}`, `c ${F3}`]);
    expect(trust.mode).toBe('strict');
    expect(trust.lookup(F3)).toBeUndefined();
    expect(trust.lookup(F2)?.actions).toEqual(['X']);
  });

  test('has one key for each identity: the first stays, and a warning shows both', () => {
    const trust = make([configured('a', F1), configured('a', F2), configured('b', F1)]);
    expect(trust.lookup(F1)?.identity).toBe('a');
    expect(trust.lookup(F2)).toBeUndefined();
    expect(trust.grantOf('b')).toBeUndefined();
    expect(trust.warnings.length).toBe(2);
    expect(trust.warnings[0]).toContain(F1);
    expect(trust.warnings[0]).toContain(F2);
  });
});

describe('what the operator accepts', () => {
  test('is known at once and in the next process, from a file for this uid alone', () => {
    const trust = make();
    trust.seenUnknown(F1, '10.0.0.1');
    expect(trust.accept({ fingerprint: F1, identity: 'alice', roles: client })).toEqual(configured('alice', F1));
    expect(trust.list()).toEqual([
      { state: 'accepted', fingerprint: F1, identity: 'alice', roles: client, at: clock.now() },
    ]);
    expect(make().lookup(F1)?.identity).toBe('alice');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'keys')).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(folder, 'keys'))).toEqual(['trust.json']);
  });

  test('is refused where the identity has another key: both are shown, and the way out', () => {
    for (const trust of [make([configured('alice', F1)]), make()]) {
      if (!trust.lookup(F1)) trust.accept({ fingerprint: F1, identity: 'alice', roles: client });
      const attempt = () => trust.accept({ fingerprint: F2, identity: 'alice', roles: client });
      expect(attempt).toThrow(F1);
      expect(attempt).toThrow(F2);
      expect(attempt).toThrow(`centreond keys revoke ${F1}`);
      expect(trust.lookup(F2)).toBeUndefined();
      trust.revoke(F1);
      expect(attempt().fingerprint).toBe(F2);
      expect(trust.lookup(F1)).toBeUndefined();
      rmSync(file);
    }
  });

  test('is refused where the key has another identity, or the configuration names it', () => {
    const trust = make([configured('alice', F1)]);
    expect(() => trust.accept({ fingerprint: F1, identity: 'bob', roles: client })).toThrow('already alice');
    expect(() => trust.accept({ fingerprint: F1, identity: 'alice', roles: ['admin'] })).toThrow('configuration');
    trust.revoke('alice');
    expect(() => trust.accept({ fingerprint: F1, identity: 'bob', roles: client })).toThrow('configuration');
  });

  test('is refused in a bad form', () => {
    const trust = make();
    const bad: [string, string, string[]][] = [
      ['short', 'a', ['client']],
      [`${F1}=`, 'a', ['client']],
      [`${'A'.repeat(42)}B`, 'a', ['client']],
      [F1, '', ['client']],
      [F1, '..', ['client']],
      [F1, 'a b', ['client']],
      [F1, 'x'.repeat(65), ['client']],
      [F1, '@local', ['client']],
      [F1, 'a', []],
      [F1, 'a', ['king']],
    ];
    for (const [fingerprint, identity, roles] of bad) {
      expect(
        () => trust.accept({ fingerprint, identity, roles: roles as Role[] }),
        `${fingerprint} ${identity}`,
      ).toThrow();
    }
    expect(trust.list()).toEqual([]);
  });

  test('again gives it other roles, and its sessions hear of it', () => {
    const trust = make();
    trust.accept({ fingerprint: F1, identity: 'alice', roles: client });
    const ended: Grant[] = [];
    trust.onRevoked((grant) => ended.push(grant));
    trust.accept({ fingerprint: F1, identity: 'alice', roles: client });
    expect(ended).toEqual([]);
    trust.accept({ fingerprint: F1, identity: 'alice', roles: ['node', 'admin', 'node'] });
    expect(trust.lookup(F1)?.roles).toEqual(['node', 'admin']);
    expect(ended.length).toBe(1);
  });

  test('gives way to a configuration that names another key for its identity', () => {
    make().accept({ fingerprint: F1, identity: 'alice', roles: client });
    const trust = make([configured('alice', F2)]);
    expect(trust.grantOf('alice')?.fingerprint).toBe(F2);
    expect(trust.lookup(F1)).toBeUndefined();
    expect(trust.warnings[0]).toContain(F1);
  });
});

describe('a revocation', () => {
  test('beats the configuration, by fingerprint or by identity, now and in the next process', () => {
    for (const which of ['alice', F1]) {
      const trust = make([configured('alice', F1)]);
      const ended: string[] = [];
      trust.onRevoked((grant) => ended.push(grant.fingerprint));
      expect(trust.revoke(which)).toEqual({ fingerprint: F1, identity: 'alice' });
      expect(ended).toEqual([F1]);
      const next = make([configured('alice', F1)]);
      for (const one of [trust, next]) {
        expect(one.lookup(F1)).toBeUndefined();
        expect(one.grantOf('alice')).toBeUndefined();
        expect(one.isRevoked(F1)).toBe(true);
        one.configure({ trust: 'pending', authorized: [configured('alice', F1)] });
        expect(one.lookup(F1)).toBeUndefined();
        expect(one.list()).toEqual([{ state: 'revoked', fingerprint: F1, identity: 'alice', at: clock.now() }]);
      }
      expect(trust.revoke(which)).toEqual({ fingerprint: F1, identity: 'alice' });
      rmSync(file);
    }
  });

  test('can name a key that was never seen, and nothing else that is unknown', () => {
    const trust = make();
    trust.seenUnknown(F1, 'x');
    expect(trust.revoke(F1)).toEqual({ fingerprint: F1, identity: undefined });
    expect(trust.list().map((entry) => entry.state)).toEqual(['revoked']);
    expect(() => trust.revoke('nobody')).toThrow('nobody');
  });

  test('is taken back only by accepting the key again', () => {
    const trust = make([configured('alice', F1, { roles: ['admin'] })]);
    trust.revoke('alice');
    expect(trust.accept({ fingerprint: F1, identity: 'alice', roles: client }).roles).toEqual(['admin']);
    trust.revoke('alice');
    trust.accept({ fingerprint: F2, identity: 'bob', roles: client });
    trust.revoke('bob');
    expect(trust.accept({ fingerprint: F2, identity: 'bob', roles: client }).identity).toBe('bob');
    expect(make([configured('alice', F1)]).lookup(F1)).toBeUndefined();
  });
});

test('a revocation counts in an older copy of the file, even in one in which it had been taken back', () => {
  const copy = join(folder, 'copy.json');
  make().revoke(F1);
  const revoked = readFileSync(file);
  make().accept({ fingerprint: F1, identity: 'alice', roles: client });
  copyFileSync(file, copy);
  writeFileSync(file, revoked);
  expect(keepRevocations(file, copy)).toEqual([F1]);
  copyFileSync(copy, file);
  const trust = make();
  expect(trust.isRevoked(F1)).toBe(true);
  trust.take(readTrust(copy));
  expect(trust.isRevoked(F1)).toBe(true);
});

describe('another identity for a key', () => {
  test('has all that the former one had, and ends its session; over restarts too', () => {
    const trust = make();
    trust.enrol(joined(trust, 'oslo', ['behind']), F1);
    const ended: string[] = [];
    trust.onRevoked((grant) => ended.push(grant.identity));
    const grant = { identity: 'bergen', fingerprint: F1, roles: ['node'], subnodes: ['behind'] };
    expect(trust.rename('oslo', 'bergen')).toEqual(grant);
    expect(ended).toEqual(['oslo']);
    for (const one of [trust, make()]) {
      expect(one.lookup(F1)).toEqual(grant);
      expect(one.grantOf('oslo')).toBeUndefined();
      expect(one.nodes()).toEqual(['bergen']);
      expect(one.isRevoked(F1)).toBe(false);
    }
  });

  test('is refused for what the configuration names, what is unknown, and an identity that is taken or is none', () => {
    const trust = make([configured('paris', F2)]);
    trust.accept({ fingerprint: F1, identity: 'oslo', roles: ['node'] });
    joined(trust, 'rome');
    const refusal = (from: string, to: string) => expect(() => trust.rename(from, to));
    refusal('paris', 'york').toThrow('the config file names paris, under clients.authorized');
    refusal('york', 'bergen').toThrow('no key of york has been let in');
    refusal('rome', 'bergen').toThrow('rome has no key yet');
    refusal('oslo', 'paris').toThrow('paris already has the key');
    refusal('oslo', 'all').toThrow('cannot be an identity');
    expect(trust.grantOf('oslo')?.fingerprint).toBe(F1);
    expect(trust.obstacleToChange('oslo')).toBeUndefined();
    expect(trust.obstacleToChange('rome')).toBeUndefined();
  });

  /** The invitation of a new join token. */
  function joined(trust: Trust, identity: string, subnodes: string[] = []) {
    const { token } = trust.invite({ identity, seconds: 60, by: 'root', subnodes });
    const body = Buffer.from('a HELO');
    const mac = createHmac('sha256', joinKeyOf(token)).update('centreond/1 join client\0').update(body).digest();
    const invitation = trust.invitationOf({ body, mac });
    if (!invitation) throw new Error('no invitation');
    return invitation;
  }
});

describe('the file', () => {
  test('that another process wrote is kept by what is written next, and taken over by reload', () => {
    const daemon = make([configured('alice', F1)]);
    const ended: string[] = [];
    daemon.onRevoked((grant) => ended.push(grant.identity));
    make([configured('alice', F1)]).revoke('alice');
    expect(daemon.lookup(F1)).toBeDefined();
    daemon.reload();
    expect(daemon.lookup(F1)).toBeUndefined();
    expect(ended).toEqual(['alice']);
    make().accept({ fingerprint: F2, identity: 'bob', roles: client });
    daemon.accept({ fingerprint: F3, identity: 'carol', roles: client });
    make().accept({ fingerprint: print(), identity: 'dan', roles: client });
    expect(daemon.revoke('dan').identity).toBe('dan');
    const { accepted } = JSON.parse(readFileSync(file, 'utf8'));
    expect(accepted.map((entry: Grant) => entry.identity)).toEqual(['bob', 'carol']);
    expect(
      make()
        .list()
        .map((entry) => entry.state),
    ).toEqual(['accepted', 'accepted', 'revoked', 'revoked']);
  });

  test('that cannot be relied on is an error, since a revocation would be lost', () => {
    make().revoke(F1);
    chmodSync(file, 0o622);
    expect(() => make()).toThrow(/changed by others.*chmod 600/);
    chmodSync(file, 0o600);
    const sound = readFileSync(file, 'utf8');
    const fields = JSON.parse(sound);
    for (const text of [
      '',
      '{',
      '[]',
      '{"version":2}',
      JSON.stringify({ ...fields, more: 1 }),
      sound.replace(F1, 'x'),
    ]) {
      writeFileSync(file, text);
      expect(() => make(), text).toThrow(file);
    }
    writeFileSync(file, sound);
    expect(make().isRevoked(F1)).toBe(true);
  });
});

describe('unknown keys', () => {
  test('are listed with where and when and how often, at most 1,000, the oldest dropping', () => {
    const trust = make();
    const start = clock.now();
    trust.seenUnknown(F1, '10.0.0.1');
    clock.advance(5);
    trust.seenUnknown(F1, '10.0.0.2');
    expect(trust.list()).toEqual([
      {
        state: 'pending',
        fingerprint: F1,
        firstSeen: start,
        lastSeen: start + 5,
        firstAddress: '10.0.0.1',
        lastAddress: '10.0.0.2',
        count: 2,
      },
    ]);
    const others = Array.from({ length: 1000 }, print);
    for (const other of others) trust.seenUnknown(other, 'x');
    expect(trust.list().map((entry) => 'fingerprint' in entry && entry.fingerprint)).toEqual(others);
  });
});

test('a fingerprint is canonical base64url of 32 bytes', () => {
  expect(isFingerprint(F1)).toBe(true);
  for (const text of ['', 'A'.repeat(42), 'A'.repeat(44), `${'A'.repeat(42)}B`, `${'A'.repeat(42)}+`]) {
    expect(isFingerprint(text)).toBe(false);
  }
});
