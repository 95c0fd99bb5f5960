import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import type { HistoryRow } from '@centreond/protocol';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

interface Line {
  by: string;
  action: string;
  token: string;
  target: string;
  data: Record<string, unknown>;
  envelope: { from: string; hops: string[]; deadline?: number; hold?: boolean };
}

const daemon = new DaemonProcess({});
const ledger = path.join(daemon.folder, 'ledger');
daemon.settings.plugins = [
  { package: path.join(ROOT, 'test/fixtures/ferry'), config: { ledger }, restart: { max: 100, within: '1s' } },
  { package: path.join(ROOT, 'test/fixtures/probe') },
];
const who = {
  root: daemon.client('root', ['admin']),
  alice: daemon.client('alice'),
  parisian: daemon.client('parisian', ['client'], { targets: ['paris'], actions: ['DONE'] }),
  relay: daemon.client('relay', ['router']),
};
let admin: Client;
let alice: Client;
let number = 0;
let name = '';

beforeAll(async () => {
  await daemon.start();
  [admin, alice] = await Promise.all([connect(daemon.door(who.root)), connect(daemon.door(who.alice))]);
});
afterAll(async () => {
  await admin?.close();
  await alice?.close();
  await daemon.dispose();
});
beforeEach(() => {
  name = `ferry${++number}`;
});

const carry = async (nodes: object[], by = name) => {
  expect(await admin.call('FERRY', { name: by, nodes })).toMatchObject({ ok: true });
};
const up = (id: string, more: object = {}) => ({ id, state: 'up', ...more });
const lines = (): Line[] =>
  existsSync(ledger)
    ? readFileSync(ledger, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Line)
    : [];
const given = (token: string) => lines().filter((line) => line.token === token);
const nodes = async () => (await alice.send('CONSTATUS')).data.nodes as Record<string, unknown>[];

describe('a request for another node', () => {
  test('goes to the plugin that carries it, under its own token, and ends by the row of the node', async () => {
    await carry([up('paris')]);
    const rows: HistoryRow[] = [];
    const outcome = await alice.call('DONE', { city: 'Paris' }, { target: 'paris', onRow: (row) => rows.push(row) });
    expect(outcome).toMatchObject({ ok: true, data: { by: name, city: 'Paris' } });
    expect(rows.map(({ code, node, type }) => ({ code, node, type }))).toEqual([
      { code: 0, node: 'central', type: 'DONE' },
      { code: 2, node: 'paris', type: 'DONE' },
    ]);
    expect(given(outcome.token)).toMatchObject([
      { target: 'paris', data: { city: 'Paris' }, envelope: { from: 'alice', hops: ['central'] } },
    ]);
    expect(await alice.query({ token: outcome.token })).toEqual(rows);
    // Repeated, it is a duplicate and not handed over again.
    expect((await alice.send('DONE', { city: 'Paris' }, { target: 'paris', token: outcome.token })).data).toEqual({
      duplicate: true,
    });
    expect(given(outcome.token)).toHaveLength(1);
  });

  test('is refused before it is recorded: unknown, unreachable, lacking the action, or not allowed', async () => {
    await carry([up('lyon', { actions: ['DONE'] }), { id: 'nice', state: 'connecting' }, up('brest', { actions: [] })]);
    const refusal = (action: string, target: string, by = alice) =>
      by.send(action, {}, { target }).then(
        () => 'accepted',
        (error: { code: string; message: string }) => `${error.code} ${error.message}`,
      );
    expect(await refusal('DONE', 'nowhere')).toMatch(/^UNKNOWN_TARGET/);
    const log = alice.send('GETLOG', { id: 0 }, { target: 'nowhere' });
    await expect(log).rejects.toMatchObject({ code: 'UNKNOWN_TARGET' });
    expect(await refusal('NOBODYHASIT', 'nowhere')).toMatch(/^UNKNOWN_ACTION/);
    expect(await refusal('DONE', 'nice')).toMatch(/^NODE_UNREACHABLE/);
    expect(await refusal('DONE', 'brest')).toMatch(/^NODE_LACKS_ACTION.*Nodes that have it: lyon\./);
    expect(await refusal('LOCKED', 'lyon')).toMatch(/^FORBIDDEN/);
    expect(await refusal('GETSTATE', 'lyon', admin)).toMatch(/^FORBIDDEN/);
    const parisian = await connect(daemon.door(who.parisian));
    expect(await refusal('DONE', 'lyon', parisian)).toMatch(/^FORBIDDEN.*paris/);
    await carry([up('paris')], 'other');
    expect(await refusal('SILENT', 'paris', parisian)).toMatch(/^FORBIDDEN.*DONE/);
    expect(await refusal('PING', 'lyon', parisian)).toMatch(/^FORBIDDEN/);
    expect((await parisian.call('DONE', {}, { target: 'paris' })).ok).toBe(true);
    await parisian.close();
  });

  test('that the node refuses ends with that refusal, and one that it cannot take now goes again', async () => {
    await carry([up('paris')]);
    const at = { target: 'paris' };
    expect(await alice.call('REFUSE', {}, at)).toMatchObject({
      ok: false,
      row: { node: 'central' },
      data: { error: 'INVALID_DATA', message: expect.stringContaining('this node says so') },
    });
    expect((await alice.call('THROW', {}, at)).data).toMatchObject({ error: 'ACTION_FAILED' });
    expect((await alice.call('BUSY', {}, at)).ok).toBe(true);
  });

  test('can be cancelled at its node by who sent it', async () => {
    await carry([up('paris')]);
    const call = alice.call('SILENT', {}, { target: 'paris', token: 'to-stop' });
    await until('the node has it', () => given('to-stop').length === 1);
    await alice.cancel('to-stop');
    expect(await call).toMatchObject({ ok: false, data: { error: 'CANCELLED' }, row: { node: 'paris' } });
  });

  test('is answered at once by a node that is only asked', async () => {
    await carry([up('rouen')]);
    const local = await connect({ address: daemon.socket });
    expect((await local.send('PING', {}, { target: 'rouen' })).data).toMatchObject({ id: 'rouen', hostname: name });
    expect((await local.send('PING', {}, { target: 'central' })).data).toMatchObject({ id: 'central' });
    await local.close();
  });

  test('bears its deadline, and who it is for, over each hop; loops and too many hops are refused', async () => {
    await carry([up('paris'), up('hub', { subnodes: ['behind'] })]);
    const relay = await connect(daemon.door(who.relay));
    const deadline = Math.floor(Date.now() / 1000) + 3600;
    const from = (hops: string[]) => ({ envelope: { from: 'zoe', hops, deadline } as { deadline: number } });
    const call = await relay.call('DONE', {}, { target: 'paris', ...from(['a', 'b']) });
    expect(call.ok).toBe(true);
    expect(given(call.token)[0]?.envelope).toEqual({ from: 'zoe', hops: ['a', 'b', 'central'], deadline });
    const refusal = (target: string, hops: string[]) =>
      relay.send('DONE', {}, { target, ...from(hops) }).catch(({ code }) => code);
    expect(await refusal('paris', ['a', 'central'])).toBe('NODE_UNREACHABLE');
    expect(await refusal('behind', ['hub'])).toBe('NODE_UNREACHABLE');
    expect(await refusal('paris', ['1', '2', '3', '4', '5', '6', '7', '8'])).toBe('NODE_UNREACHABLE');
    await relay.close();
  });
});

describe('ways', () => {
  test('are shown by CONSTATUS, change as they are announced, and end with the plugin', async () => {
    const node = { name: 'Oslo', kind: 'ssh', actions: ['DONE'], version: '9', lastPing: 5, roundTripMs: 1.5 };
    await carry([up('oslo', { ...node, subnodes: ['bergen', { id: 'tromso', score: 3 }] })]);
    const oslo = async () => (await nodes()).find(({ id }) => id === 'oslo');
    const shown = {
      id: 'oslo',
      state: 'up',
      reason: null,
      labels: {},
      ...node,
      lastPong: null,
      address: null,
      clockSkewSeconds: null,
      cursor: null,
    };
    expect(await oslo()).toEqual({ ...shown, subnodes: ['bergen', 'tromso'] });
    await carry([up('oslo', { state: 'connecting' })]);
    expect(await oslo()).toMatchObject({ name: '', state: 'connecting', subnodes: [] });
    await carry([up('oslo')]);
    await admin.call('UNFERRY', { name });
    expect(await oslo()).toMatchObject({ state: 'unreachable' });
    await carry([up('oslo')]);
    await admin.call('KILL', { type: 'ferry', id: name });
    expect(await oslo()).toMatchObject({ state: 'unreachable' });
    await expect(alice.send('DONE', {}, { target: 'oslo' })).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
    await carry([]);
    await carry([up('oslo')]);
    await carry([]);
    expect(await oslo()).toBeUndefined();
    await expect(alice.send('DONE', {}, { target: 'oslo' })).rejects.toMatchObject({ code: 'UNKNOWN_TARGET' });
  });

  test('are taken direct before announced, then by score, and fail over', async () => {
    const [near, far, direct] = [`${name}-near`, `${name}-far`, `${name}-direct`];
    await carry([up('relay-far', { subnodes: [{ id: 'rome', score: 9 }] })], far);
    await carry([up('relay-near', { subnodes: [{ id: 'rome', score: 2 }] })], near);
    const taken = async () => ((await alice.call('DONE', {}, { target: 'rome' })).data as { by: string }).by;
    expect(await taken()).toBe(near);
    await carry([up('rome', { score: 100 })], direct);
    expect(await taken()).toBe(direct);
    await carry([{ id: 'rome', state: 'unreachable' }], direct);
    expect(await taken()).toBe(near);
    await carry([{ id: 'relay-near', state: 'connecting', subnodes: ['rome'] }], near);
    expect(await taken()).toBe(far);
  });
});

describe('a carrier that dies', () => {
  test('before it answered loses nothing: the request goes again by another way, and runs once', async () => {
    await carry([up('kyiv')], 'first');
    await carry([up('relay-two', { subnodes: ['kyiv'] })], 'second');
    const outcome = alice.call('DIE', {}, { target: 'kyiv', token: 'dies' });
    await until('the node has it', () => given('dies').length === 1);
    expect(given('dies')[0]?.by).toBe('first');
    // The node has it by the first carrier; the second one is told that it is a duplicate, and brings the rows.
    const row = { name: 'second', node: 'kyiv', id: 1000, token: 'dies', type: 'DIE', code: 2, data: 'once' };
    expect((await admin.call('FOREIGNROW', row)).data).toMatchObject({ stored: 1 });
    expect(await outcome).toMatchObject({ ok: true, data: 'once' });
    expect(given('dies')).toHaveLength(1);
  });

  test('takes nothing back that the node has: it stays open until its row comes', async () => {
    await carry([up('minsk')]);
    const outcome = alice.call('SILENT', {}, { target: 'minsk', token: 'stays' });
    await until('the node has it', () => given('stays').length === 1);
    await admin.call('KILL', { type: 'ferry', id: name });
    await carry([up('minsk')]);
    const row = { name, node: 'minsk', id: 2000, token: 'stays', code: 2, data: 'late' };
    await admin.call('FOREIGNROW', row);
    expect(await outcome).toMatchObject({ ok: true, data: 'late' });
    expect(given('stays')).toHaveLength(1);
  });
});

describe('a row of another node', () => {
  test('is stored once, ends its token once, and counts only where the request was routed to that node', async () => {
    await carry([up('bern'), up('bonn')]);
    await alice.send('SILENT', {}, { target: 'bern', token: 'at-bern' });
    const hand = async (row: object) =>
      (await admin.call('FOREIGNROW', { name, node: 'bern', token: 'at-bern', code: 60, data: 1, ...row })).data;
    const refused = (error: string) => ({ stored: 0, known: 0, refused: [{ error }] });
    expect(await hand({ id: 1 })).toMatchObject({ stored: 1 });
    expect(await hand({ id: 1 })).toMatchObject({ stored: 0, known: 1, refused: [] });
    expect(await hand({ id: 1, epoch: 'rebuilt' })).toMatchObject({ stored: 1 });
    // Of another node, or under a token that nobody here used: stored, and counts for no request.
    expect(await hand({ id: 2, node: 'bonn', code: 2 })).toMatchObject({ stored: 1 });
    expect(await hand({ id: 2, token: 'nobodys' })).toMatchObject({ stored: 1 });
    await expect(
      admin.call('FOREIGNROW', { name, node: 'zurich', token: 'x', id: 1, code: 2, data: 1 }),
    ).resolves.toMatchObject({ ok: false, data: { error: 'CALL_REFUSED', cause: { error: 'UNKNOWN_TARGET' } } });
    expect(await alice.query({ token: 'nobodys' })).toEqual([]);
    expect(await admin.query({ token: 'nobodys' })).toMatchObject([{ node: 'bern' }]);
    expect(await hand({ id: 3, code: 2, data: 'end' })).toMatchObject({ stored: 1 });
    expect(await hand({ id: 3, code: 2, data: 'end' })).toMatchObject({ known: 1 });
    expect(await hand({ id: 4, code: 1, data: 'again' })).toMatchObject(refused('TOKEN_ENDED'));
    expect((await alice.query({ token: 'at-bern' })).map(({ node, code }) => [node, code])).toEqual([
      ['central', 0],
      ['bern', 60],
      ['bern', 60],
      ['bern', 2],
    ]);
  });
});
