import { createHmac, randomBytes } from 'node:crypto';
import fs, { copyFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { joinKeyOf } from '@centreond/protocol/channel';
import { expect, onTestFinished, test } from 'vitest';
import type { Trust } from '../../../core/dist/doors/trust.js';
import type { Invitation } from '../../../core/dist/doors/trust-file.js';
import type { Role } from '../../../core/dist/router/peer.js';
import { until } from './attacker.ts';
import { SharedRouter } from './shared-router.ts';
import { FakeTable } from './shared-table.ts';

const print = () => randomBytes(32).toString('base64url');
const [F1, F2, F3] = [print(), print(), print()];
const client: Role[] = ['client'];

/** Routers that run, over one table, and tell each other when they write it. */
async function cluster(count: number, table = new FakeTable()): Promise<{ table: FakeTable; routers: SharedRouter[] }> {
  const routers: SharedRouter[] = [];
  const written = (by: SharedRouter, version: number) => {
    for (const router of routers) if (router !== by && router.isUp) router.shared.changed(version);
  };
  for (let i = 0; i < count; i++) routers.push(await router(table, { written }));
  return { table, routers };
}

async function router(...[table, options]: [FakeTable, ConstructorParameters<typeof SharedRouter>[2]?]) {
  const one = new SharedRouter(table, undefined, options);
  onTestFinished(() => one.remove());
  return one.start();
}

function pair(routers: readonly SharedRouter[]): [SharedRouter, SharedRouter] {
  const [a, b] = routers;
  if (!a || !b) throw new Error('there are not two');
  return [a, b];
}

/** What a HELO with a new join token shows a router that knows it. */
function helloOf(trust: Trust, identity: string): Parameters<Trust['invitationOf']>[0] {
  const { token } = trust.invite({ identity, seconds: 600, by: 'root' });
  const body = Buffer.from('a HELO');
  return {
    body,
    mac: createHmac('sha256', joinKeyOf(token)).update('centreond/1 join client\0').update(body).digest(),
  };
}

function known(trust: Trust, hello: Parameters<Trust['invitationOf']>[0]): Invitation {
  const invitation = trust.invitationOf(hello);
  if (!invitation) throw new Error('the token is not open');
  return invitation;
}

/** No file can be written, until what is returned is called. */
function fillDisk(): () => void {
  const { fsyncSync } = fs;
  const put = (sync: typeof fsyncSync) => {
    fs.fsyncSync = sync;
    syncBuiltinESMExports();
  };
  const repair = () => put(fsyncSync);
  onTestFinished(repair);
  put(() => {
    throw new Error('ENOSPC: no space left on device');
  });
  return repair;
}

test('a key that is let in at one router is let in at the others, and in the next process', async () => {
  const [a, b] = pair((await cluster(2)).routers);
  a.trust.accept({ fingerprint: F1, identity: 'alice', roles: client });
  await until(() => b.trust.lookup(F1)?.identity === 'alice');
  expect(b.offline().lookup(F1)?.identity).toBe('alice');
  a.trust.rename('alice', 'alicia');
  await until(() => b.trust.lookup(F1)?.identity === 'alicia');
  b.trust.accept({ fingerprint: F1, identity: 'alicia', roles: ['admin'] });
  await until(() => a.trust.lookup(F1)?.roles[0] === 'admin');
});

test('a key that is revoked at one router is shut out of the others at once, and an acceptance over that lets it in again', async () => {
  const [a, b] = pair((await cluster(2)).routers);
  a.trust.accept({ fingerprint: F1, identity: 'alice', roles: ['admin'] });
  await until(() => b.trust.lookup(F1));
  a.trust.revoke('alice');
  await until(() => b.ended.includes(F1));
  expect(b.trust.lookup(F1)).toBeUndefined();
  b.trust.accept({ fingerprint: F1, identity: 'alice', roles: client });
  await until(() => a.trust.lookup(F1));
  for (const { trust } of [a, b]) {
    expect(trust.lookup(F1)?.roles).toEqual(client);
    expect(trust.isRevoked(F1)).toBe(false);
  }
});

test('a key that is revoked again, in the millisecond in which that was taken back, is out everywhere', async () => {
  const [a, b] = pair((await cluster(2)).routers);
  a.trust.revoke(F1);
  a.trust.accept({ fingerprint: F1, identity: 'alice', roles: client });
  a.trust.revoke(F1);
  await until(() => b.trust.isRevoked(F1));
  await a.inStep();
  expect(a.trust.isRevoked(F1)).toBe(true);
});

test('a key that the configuration names comes back everywhere when it is accepted over its revocation', async () => {
  const table = new FakeTable();
  const authorized = [{ fingerprint: F1, identity: 'alice', roles: client }];
  const [a, b] = [await router(table, { authorized }), await router(table, { authorized })];
  a.trust.revoke('alice');
  await a.inStep();
  b.shared.changed();
  await until(() => !b.trust.lookup(F1));
  b.trust.accept({ fingerprint: F1, identity: 'alice', roles: client });
  await b.inStep();
  a.shared.changed();
  await until(() => a.trust.lookup(F1));
});

test('a revocation beats an acceptance of the same key elsewhere that did not know of it', async () => {
  const table = new FakeTable();
  const [a, b] = [await router(table), await router(table)];
  table.isAway = true;
  a.trust.revoke(F1);
  b.clock.advance(60_000);
  b.trust.accept({ fingerprint: F1, identity: 'alice', roles: client });
  table.isAway = false;
  await a.inStep();
  b.shared.changed();
  await b.inStep();
  for (const { trust } of [a, b]) expect(trust.lookup(F1)).toBeUndefined();
});

test('a join token of one router is taken up at another, once', async () => {
  const [a, b] = pair((await cluster(2)).routers);
  const hello = helloOf(a.trust, 'oslo');
  await until(() => b.trust.invitationOf(hello));
  const kept = known(a.trust, hello);
  expect(b.trust.enrol(known(b.trust, hello), F1).identity).toBe('oslo');
  await until(() => a.trust.lookup(F1)?.identity === 'oslo');
  expect(a.trust.invitationOf(hello)).toBeUndefined();
  expect(() => a.trust.enrol(kept, F2)).toThrow('was used, withdrawn or replaced');
});

test('of two machines that join with one token at the same moment the first stays, and the session of the other ends', async () => {
  const { table, routers } = await cluster(2);
  const [a, b] = pair(routers);
  const hello = helloOf(a.trust, 'oslo');
  await until(() => b.trust.invitationOf(hello));
  table.isAway = true;
  a.clock.advance(2);
  b.clock.advance(1);
  a.trust.enrol(known(a.trust, hello), F1);
  b.trust.enrol(known(b.trust, hello), F2);
  // Another name does not hide that it is the same token.
  a.trust.rename('oslo', 'bergen');
  table.isAway = false;
  await until(() => a.ended.includes(F1) && a.trust.lookup(F2));
  await b.inStep();
  for (const one of [a, b]) {
    expect(one.record.accepted.map(({ fingerprint }) => fingerprint)).toEqual([F2]);
    expect(one.trust.isRevoked(F1)).toBe(false);
  }
  expect(b.ended).toEqual([]);
  const said = [...a.lines, ...b.lines].filter((line) => line.includes(F1));
  expect(said).toEqual([
    expect.stringContaining(`${F2}, as oslo, came first and stays; ${F1}, as bergen, is shut out`),
  ]);
});

test('who joins with a token that was withdrawn elsewhere at the same moment is shut out', async () => {
  const { table, routers } = await cluster(2);
  const [a, b] = pair(routers);
  const hello = helloOf(a.trust, 'oslo');
  await until(() => b.trust.invitationOf(hello));
  table.isAway = true;
  expect(a.trust.revoke('oslo').withdrawn).toBe(true);
  b.trust.enrol(known(b.trust, hello), F1);
  table.isAway = false;
  await until(() => b.ended.includes(F1));
  await until(() => !a.trust.lookup(F1) && !a.shared.counters.waiting);
  expect(b.lines.some((line) => line.includes('token that was withdrawn meanwhile'))).toBe(true);
});

test('what is decided while the table is away counts here at once, and everywhere once it is back', async () => {
  const { table, routers } = await cluster(2);
  const [a, b] = pair(routers);
  table.isAway = true;
  a.trust.accept({ fingerprint: F1, identity: 'alice', roles: client });
  b.trust.revoke(F2);
  await until(() => a.shared.counters.failures > 1);
  expect(a.trust.lookup(F1)?.identity).toBe('alice');
  expect(a.shared.counters).toMatchObject({ waiting: true });
  expect(a.lines.filter((line) => line.includes('it is tried again'))).toHaveLength(1);
  table.isAway = false;
  await until(() => b.trust.lookup(F1) && a.trust.isRevoked(F2));
  expect(a.lines.at(-1)).toContain('in step again');
});

test('what could not be written before a stop is written by the next start, and the stop keeps its limit', async () => {
  const { table, routers } = await cluster(2);
  const [a, b] = pair(routers);
  table.isAway = true;
  a.trust.revoke(F1);
  await a.stop(100);
  expect(a.lines.at(-1)).toContain('the next start writes it');
  table.isAway = false;
  // A command on the folder, with no daemon there.
  a.offline().accept({ fingerprint: F2, identity: 'bob', roles: client });
  await a.start();
  await until(() => b.trust.isRevoked(F1) && b.trust.lookup(F2));
});

test('a stop writes what is still to be written', async () => {
  const { routers } = await cluster(2);
  const [a, b] = pair(routers);
  a.trust.revoke(F1);
  await a.stop();
  await until(() => b.trust.isRevoked(F1));
});

test('a router does not start where the table cannot be read, or is of a newer centreond', async () => {
  const table = new FakeTable();
  table.isAway = true;
  await expect(router(table)).rejects.toMatchObject({ code: 'TRUST_TABLE' });
  const secret = print();
  Object.assign(table, { isAway: false, version: 3, record: `{"version":1,"accepted":[${secret}` });
  const broken = await router(table).catch((error: Error) => error.message);
  expect(broken).toContain('centreond_trust');
  expect(broken).not.toContain(secret.slice(0, 8));
  table.record = JSON.stringify({ version: 2, accepted: [], revoked: [] });
  await expect(router(table)).rejects.toMatchObject({ code: 'TRUST_TABLE' });
});

test('an older copy of the file that is put back undoes nothing that the cluster decided since', async () => {
  const [a, b] = pair((await cluster(2)).routers);
  a.trust.accept({ fingerprint: F1, identity: 'alice', roles: client });
  const hello = helloOf(a.trust, 'oslo');
  await a.inStep();
  const copy = `${a.file}.copy`;
  copyFileSync(a.file, copy);
  await until(() => b.trust.lookup(F1) && b.trust.invitationOf(hello));
  b.trust.revoke(F1);
  b.trust.revoke('oslo');
  b.trust.accept({ fingerprint: F2, identity: 'bob', roles: client });
  b.trust.revoke(F3);
  b.trust.accept({ fingerprint: F3, identity: 'carol', roles: client });
  await b.inStep();
  await a.stop();
  copyFileSync(copy, a.file);
  await a.start();
  for (const { trust } of [a, b]) {
    expect(trust.isRevoked(F1)).toBe(true);
    expect(trust.invitationOf(hello)).toBeUndefined();
    expect(trust.grantOf('bob')?.fingerprint).toBe(F2);
    expect(trust.grantOf('carol')?.fingerprint).toBe(F3);
  }
});

test('an older table that is put back learns all of it again from the routers', async () => {
  const { table, routers } = await cluster(2);
  const [a, b] = pair(routers);
  const { version, record } = table;
  a.trust.accept({ fingerprint: F1, identity: 'alice', roles: client });
  b.trust.revoke(F2);
  await until(() => b.trust.lookup(F1) && a.trust.isRevoked(F2));
  await Promise.all([a.inStep(), b.inStep()]);
  Object.assign(table, { version, record });
  a.shared.changed(version);
  await until(() => JSON.parse(table.record).accepted.length === 1 && JSON.parse(table.record).revoked.length === 1);
});

test('a write that another router was before, or whose answer is lost, is done again', async () => {
  const { table, routers } = await cluster(2);
  const [a, b] = pair(routers);
  table.conflicts = 3;
  a.trust.revoke(F1);
  await until(() => b.trust.isRevoked(F1));
  expect(a.shared.counters.conflicts).toBe(3);
  table.lostAnswers = 1;
  b.trust.revoke(F2);
  await b.inStep();
  a.shared.changed();
  await until(() => a.trust.isRevoked(F2));
});

test('a disk that takes no more does not keep a revoked key in', async () => {
  const [a, b] = pair((await cluster(2)).routers);
  a.trust.accept({ fingerprint: F1, identity: 'alice', roles: client });
  await until(() => b.trust.lookup(F1));
  await a.inStep();
  a.trust.revoke(F1);
  const repair = fillDisk();
  await until(() => b.ended.includes(F1));
  expect(() => b.trust.accept({ fingerprint: F2, identity: 'bob', roles: client })).toThrow();
  expect(b.trust.lookup(F1)).toBeUndefined();
  repair();
  await b.inStep();
  expect(b.offline().isRevoked(F1)).toBe(true);
});

test('nothing that is logged holds a join token or its K', async () => {
  const { table, routers } = await cluster(2);
  const [a, b] = pair(routers);
  table.conflicts = 2;
  table.lostAnswers = 2;
  const hello = helloOf(a.trust, 'oslo');
  await until(() => b.trust.invitationOf(hello));
  const { key } = known(b.trust, hello);
  expect(table.record).toContain(key);
  table.record = table.record.slice(0, table.record.indexOf(key) + 20);
  table.version++;
  b.shared.changed();
  await until(() => b.shared.counters.failures > 0);
  expect([...a.lines, ...b.lines].join('\n')).not.toContain(key.slice(0, 6));
});
