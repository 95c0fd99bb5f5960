import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { assertPluginContract } from '@centreond/plugin-kit';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, test } from 'vitest';
import { instanceOf } from '../../plugins/carrying/dist/share.js';
import { ROOT } from '../daemon-process.ts';
import { fillTables, makeTables } from '../plugins/acl-tables.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'centreond-contract-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

test('cron keeps the contract of plugins', async () => {
  const never = { schedule: '0 0 29 2 *', action: 'NOSUCH' };
  await assertPluginContract(path.join(ROOT, 'plugins/cron'), {
    config: { definitions: [{ id: 'fixed', ...never }] },
    examples: {
      GETCRON: [{}, { id: 'fixed' }],
      ADDCRON: [{ id: 'own', ...never, timeZone: 'Europe/Paris', data: { a: { b: [1] } } }],
      UPDATECRON: [{ id: 'own', enabled: false, timeZone: null }],
      DELETECRON: [{ id: 'other' }],
    },
  });
});

test('proxy keeps the contract of plugins', async () => {
  // What the one instance that the kit starts carries.
  const [own = '', none = ''] = ['a', 'b', 'c', 'd', 'e', 'f'].filter((id) => instanceOf(id, 2) === '1');
  const pushed = (id: string, port: number) => ({
    id,
    type: 'push',
    address: `tcp://127.0.0.1:${port}`,
    fingerprint: 'A'.repeat(43),
  });
  await assertPluginContract(path.join(ROOT, 'plugins/proxy'), {
    config: { nodes: [pushed('fixed', 1)] },
    examples: {
      ADDNODE: [{ ...pushed(own, 2), name: 'Own', score: 2, subnodes: ['behind'] }, pushed('fixed', 1)],
      DELNODE: [{ id: own }, { id: none }],
    },
  });
});

test('ssh keeps the contract of plugins', async () => {
  const [own = '', none = ''] = ['a', 'b', 'c', 'd', 'e', 'f'].filter((id) => instanceOf(id, 2) === '1');
  const behindSsh = (id: string) => ({
    id,
    address: '127.0.0.1:1',
    user: 'nobody',
    key: '/no/such/key',
    hostKey: `SHA256:${'A'.repeat(43)}`,
  });
  await assertPluginContract(path.join(ROOT, 'plugins/ssh'), {
    config: { nodes: [behindSsh('fixed')] },
    examples: {
      ADDSSHNODE: [{ ...behindSsh(own), name: 'Own', score: 2, roots: ['/srv'] }, behindSsh('fixed')],
      DELSSHNODE: [{ id: own }, { id: none }],
    },
  });
});

test('acl keeps the contract of plugins', async () => {
  const file = path.join(folder, 'organisations.sdb');
  makeTables(file, 'keyed');
  const db = new Database(file);
  fillTables(db, {
    organizations: [[1, 1]],
    hosts: [[1, 1, 1, 1]],
    services: [[1, 1, 1]],
    host_services: [[1, 1]],
    acl_resources: [[1, 1, 1]],
  });
  db.close();
  await assertPluginContract(path.join(ROOT, 'plugins/acl'), {
    config: { database: file },
    examples: {
      ACLRESYNC: [{ organizationId: 1 }, { organizationId: 1, aclResourceId: 1 }],
      ACLPURGEORGANIZATION: [{ organizationId: 1 }],
    },
  });
});

test('files keeps the contract of plugins', async () => {
  const outbox = path.join(folder, 'outbox');
  mkdirSync(outbox);
  writeFileSync(path.join(outbox, 'file'), 'bytes');
  const bytes = 'bytes'.length;
  await assertPluginContract(path.join(ROOT, 'plugins/files'), {
    config: { send: [outbox], receive: [] },
    // The node, as far as this end sees it.
    transport: {
      FILESOPEN: ({ files }) => ({ files: (files as object[]).map(() => ({ offset: 0, done: false })) }),
      FILESCHUNK: ({ chunks }) => ({ files: (chunks as object[]).map(() => ({ offset: bytes })) }),
      FILESCLOSE: ({ files }) => ({ files: (files as object[]).map(() => ({ done: true })) }),
    },
    examples: {
      SENDFILES: [
        { files: [{ source: 'file', destination: 'file' }], maxRate: '1GiB' },
        { files: [{ source: '.', destination: 'all' }], maxRate: 1_000_000 },
      ],
    },
  });
});
