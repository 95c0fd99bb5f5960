import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT, until } from '../daemon-process.ts';
import { runs } from '../faults/ledger.ts';
import { Fleet } from '../fleet/fleet.ts';

const NAMES = ['alice', 'bob', 'narrow', 'ops'] as const;
type Name = (typeof NAMES)[number];
const PORT = 18_085;
const folder = mkdtempSync(path.join(os.tmpdir(), 'centreond-http-'));
const secretOf = (name: Name) => `the-secret-of-${name}`;
let fleet: Fleet;
let base = '';

beforeAll(async () => {
  const tokens = NAMES.map((name) => {
    const secret = path.join(folder, name);
    writeFileSync(secret, secretOf(name), { mode: 0o600 });
    const more = name === 'narrow' ? { targets: ['push-1'] } : name === 'ops' ? { roles: ['admin'] } : {};
    return { name, secret: `file:${secret}`, ...more };
  });
  const http = {
    package: path.join(ROOT, 'plugins/http'),
    allowCallers: true,
    config: { listen: `0.0.0.0:${PORT}`, tokens },
  };
  fleet = await Fleet.start({ pull: 1, push: 1, central: { plugins: [http] } });
  base = `http://${fleet.central.host.address}:${PORT}`;
}, 120_000);
afterAll(async () => {
  await fleet?.close();
  rmSync(folder, { recursive: true });
});

async function ask(name: Name, method: string, url: string, body?: object) {
  const response = await fetch(base + url, {
    method,
    headers: { authorization: `Bearer ${secretOf(name)}` },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe.each(['pull-1', 'push-1'])('a caller whose request runs on the node %s', (id) => {
  const on = (name: Name, action: string, data: object, query = '?wait=20s') =>
    ask(name, 'POST', `/api/nodes/${id}/actions/${action}${query}`, data);

  test('is answered with its outcome, whose rows it alone reads', async () => {
    const { status, body } = await on('alice', 'ECHO', { said: 'over there' });
    expect({ status, body }).toMatchObject({ status: 200, body: { ok: true, data: { said: 'over there' } } });
    const log = `/api/log/${body.token}`;
    const { rows } = (await ask('alice', 'GET', log)).body as { rows: { node: string; code: number }[] };
    expect(rows.at(-1)).toMatchObject({ node: id, code: 2 });
    expect((await ask('bob', 'GET', log)).body).toMatchObject({ rows: [] });
  });

  test('is there the caller of this router, without the roles that it does not have', async () => {
    const { body } = await on('alice', 'ECHO', {});
    const local = await fleet.local(fleet.poller(id).machine);
    const [first] = await local.query({ token: String(body.token) });
    expect(first?.data).toMatchObject({ owner: 'central/http.alice' });
    expect((await on('alice', 'LOCKED', {})).status).toBe(403);
    expect((await on('ops', 'LOCKED', {})).status).toBe(200);
  });

  test('goes only to the nodes that its token names', async () => {
    expect((await on('narrow', 'ECHO', {})).status).toBe(id === 'push-1' ? 200 : 403);
  });

  test('ends it by DELETE', async () => {
    const { body } = await on('alice', 'ONCE', { ms: 60_000 }, '');
    const { machine } = fleet.poller(id);
    await until('it runs there', () => runs(machine).has(String(body.token)));
    expect((await ask('bob', 'DELETE', `/api/requests/${body.token}`)).status).toBe(403);
    expect((await ask('alice', 'DELETE', `/api/requests/${body.token}`)).status).toBe(200);
    await expect
      .poll(async () => (await ask('alice', 'GET', `/api/requests?token=${body.token}`)).body, { timeout: 20_000 })
      .toMatchObject({ requests: [{ error: 'CANCELLED' }] });
  });

  test('has it kept while the node is away, and run once when that is back', async () => {
    const { machine } = fleet.poller(id);
    await machine.end('SIGTERM');
    await until('it is away', async () => (await fleet.stateOf(id)) !== 'up', 60_000);
    const held = await on('alice', 'ONCE', { ms: 1 }, '?hold=5m');
    expect(held.status).toBe(202);
    await machine.start();
    const found = async () => (await ask('alice', 'GET', `/api/requests?token=${held.body.token}`)).body;
    await expect.poll(found, { timeout: 60_000 }).toMatchObject({ requests: [{ code: 2, target: id }] });
    expect(runs(machine).get(String(held.body.token))).toBe(1);
  }, 150_000);
});
