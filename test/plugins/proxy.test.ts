import { testPlugin } from '@centreond/plugin-kit';
import type { Json } from '@centreond/protocol';
import { expect, test } from 'vitest';
import ProxyPlugin from '../../plugins/proxy/dist/index.js';
import { pushed } from './proxy-stage.ts';

const at = (port: number) => ({ address: `tcp://127.0.0.1:${port}` });
const state = (kept: ReadonlyMap<string, Json>) => [...kept.keys()].filter((key) => key.startsWith('node:'));
const config = { nodes: [pushed('fixed', at(1))] };

test('the nodes of the config and those that were added are carried, and kept over restarts', async () => {
  let kept: ReadonlyMap<string, Json>;
  {
    await using proxy = await testPlugin(ProxyPlugin, { config });
    expect([...proxy.carried.keys()]).toEqual(['fixed']);
    expect(await proxy.call('ADDNODE', pushed('paris', { ...at(2), name: 'Paris', score: 2 }))).toMatchObject({
      ok: true,
      data: { id: 'paris', added: true },
    });
    expect(proxy.carried.get('paris')).toMatchObject({ name: 'Paris', score: 2, kind: 'push', state: 'connecting' });
    kept = proxy.state;
    await proxy.stop();
    expect(proxy.carried.get('paris')).toMatchObject({ state: 'unreachable' });
  }
  await using again = await testPlugin(ProxyPlugin, { config, state: Object.fromEntries(kept) });
  expect([...again.carried.keys()].sort()).toEqual(['fixed', 'paris']);
  expect((await again.call('DELNODE', { id: 'paris' })).data).toEqual({ id: 'paris', deleted: true });
  expect([...again.carried.keys()]).toEqual(['fixed']);
  expect(state(again.state)).toEqual([]);
  expect((await again.call('DELNODE', { id: 'paris' })).data).toEqual({ id: 'paris', deleted: false });
});

test('adding what is there changes nothing; other settings, a taken address, this router itself are refused', async () => {
  await using proxy = await testPlugin(ProxyPlugin, { config });
  const add = async (node: object) => {
    const { ok, data } = await proxy.call('ADDNODE', node);
    return ok ? data : `${data.error} ${data.message}`;
  };
  expect(await add(pushed('paris', at(2)))).toEqual({ id: 'paris', added: true });
  expect(await add(pushed('paris', at(2)))).toEqual({ id: 'paris', added: false });
  expect(await add(pushed('paris', at(3)))).toMatch(/^INVALID_DATA .*other settings; DELNODE it first/);
  expect(await add(pushed('lyon', at(2)))).toMatch(/^INVALID_DATA .*address is that of the node paris/);
  expect(await add(pushed('lyon', at(1)))).toMatch(/^INVALID_DATA .*address is that of the node fixed/);
  expect(await add(pushed('test', at(4)))).toMatch(/^INVALID_DATA .*is this router/);
  expect(state(proxy.state)).toEqual(['node:paris']);
  expect([...proxy.carried.keys()].sort()).toEqual(['fixed', 'paris']);
});

test('a node of the config cannot be changed at run time, and wins over one that was added', async () => {
  const kept = { 'node:fixed': pushed('fixed', at(9)), 'node:odd': { id: 'odd', type: 'what' } } as never;
  await using proxy = await testPlugin(ProxyPlugin, { config, state: kept });
  expect([...proxy.carried.keys()]).toEqual(['fixed']);
  expect(proxy.log.map(({ msg }) => msg)).toEqual(
    expect.arrayContaining([expect.stringContaining('so the one that ADDNODE made is not used')]),
  );
  expect(proxy.log.map(({ msg }) => msg)).toEqual(
    expect.arrayContaining([expect.stringContaining('the kept node odd cannot be used')]),
  );
  const gone = await proxy.call('DELNODE', { id: 'fixed' });
  expect(gone.data).toMatchObject({ error: 'FORBIDDEN', message: expect.stringContaining('then reload the plugin') });
  const changed = await proxy.call('ADDNODE', pushed('fixed', at(5)));
  expect(changed.data).toMatchObject({ error: 'INVALID_DATA', message: expect.stringContaining('the config has') });
  expect((await proxy.call('ADDNODE', pushed('fixed', at(1)))).data).toEqual({ id: 'fixed', added: false });
});

test('only an admin changes what is carried', async () => {
  await using proxy = await testPlugin(ProxyPlugin, { config });
  for (const roles of [['client'], ['node'], ['router'], ['plugin']] as const) {
    const as = { identity: 'somebody', roles };
    await expect(proxy.call('ADDNODE', pushed('paris'), as)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(proxy.call('DELNODE', { id: 'paris' }, as)).rejects.toMatchObject({ code: 'FORBIDDEN' });
  }
});

test('a config that cannot work is refused at start, with what is wrong', async () => {
  const refused = (...nodes: object[]) =>
    testPlugin(ProxyPlugin, { config: { nodes } as never }).then(
      () => 'taken',
      ({ message }: Error) => message,
    );
  expect(await refused(pushed('a', at(1)), pushed('a', at(2)))).toContain('nodes.1.id: is the id of two nodes: a');
  expect(await refused(pushed('a', at(1)), pushed('b', at(1)))).toContain('nodes.1.address: is that of the node a too');
  expect(await refused(pushed('..', at(1)))).toContain('nodes.0.id');
  expect(await refused(pushed('a', { address: 'tcp://nowhere' }))).toContain('nodes.0.address');
  expect(await refused(pushed('a', { fingerprint: 'short' }))).toContain('nodes.0.fingerprint');
  expect(await refused(pushed('a', { ...at(1), password: 'x' }))).toContain('password');
});

test('what a newer config has no more is forgotten at the end, the rest only unreachable', async () => {
  const two = { nodes: [pushed('fixed', at(1)), pushed('former', at(2))] };
  await using old = await testPlugin(ProxyPlugin, { config: two });
  // What the new version writes when it starts.
  (old.state as Map<string, Json>).set('config', ['fixed']);
  await old.stop();
  expect([...old.carried.values()].map(({ id, state }) => [id, state])).toEqual([['fixed', 'unreachable']]);
});

const SSH_KEPT = {
  id: 'web-7',
  type: 'ssh',
  address: '10.0.0.7:22',
  user: 'monitor',
  key: '/etc/keys/web-7',
  password: 'env:WEB_7',
  hostKey: `SHA256:${'A'.repeat(43)}`,
};

test('an SSH node is refused with the plugin that carries it, in the config and by ADDNODE', async () => {
  await expect(testPlugin(ProxyPlugin, { config: { nodes: [SSH_KEPT] } as never })).rejects.toThrow(
    /its config: nodes\.0\.type must be "push": a daemon.*; a machine behind SSH is a node of the plugin ssh .*ADDSSHNODE/,
  );
  await using proxy = await testPlugin(ProxyPlugin, { config });
  await expect(proxy.call('ADDNODE', SSH_KEPT)).rejects.toMatchObject({
    code: 'INVALID_DATA',
    message: expect.stringMatching(/type must be "push": .*plugin ssh .*ADDSSHNODE/),
  });
});

test('an SSH node that was kept under an id of the config is forgotten by DELNODE, and the node of the config stays', async () => {
  const kept = { 'node:fixed': { ...SSH_KEPT, id: 'fixed' } } as never;
  await using proxy = await testPlugin(ProxyPlugin, { config, state: kept });
  expect((await proxy.call('DELNODE', { id: 'fixed' })).data).toEqual({ id: 'fixed', deleted: true });
  expect(state(proxy.state)).toEqual([]);
  expect((await proxy.call('DELNODE', { id: 'fixed' })).data).toMatchObject({ error: 'FORBIDDEN' });
});

test('an SSH node that ADDNODE kept before is told once, with ADDSSHNODE and its settings, and kept until DELNODE', async () => {
  await using proxy = await testPlugin(ProxyPlugin, { config, state: { 'node:web-7': SSH_KEPT } as never });
  const told = proxy.log.filter(({ msg }) => msg.includes('web-7'));
  expect(told.map(({ level }) => level)).toEqual(['error']);
  expect(told[0]?.msg).toMatch(/the kept node web-7 is an SSH node.*@centreond\/plugin-ssh.*ADDSSHNODE.*DELNODE/);
  expect(told[0]?.msg).toContain('"address":"10.0.0.7:22","user":"monitor"');
  expect(JSON.stringify(told)).not.toMatch(/WEB_7|etc\/keys/);
  expect(state(proxy.state)).toEqual(['node:web-7']);
  // A pushed node of this id would take the place of what is kept.
  expect((await proxy.call('ADDNODE', pushed('web-7', at(2)))).data).toMatchObject({
    error: 'INVALID_DATA',
    message: expect.stringContaining('a node web-7 is kept that cannot be used, as the log says; DELNODE it first'),
  });
  expect(state(proxy.state)).toEqual(['node:web-7']);
  expect((await proxy.call('DELNODE', { id: 'web-7' })).data).toEqual({ id: 'web-7', deleted: true });
  expect(state(proxy.state)).toEqual([]);
});
