import { testPlugin } from '@centreond/plugin-kit';
import type { Json } from '@centreond/protocol';
import { expect, test } from 'vitest';
import SshPlugin from '../../plugins/ssh/dist/index.js';

/** Nobody listens there. */
const ssh = (id: string, more: object = {}) => ({
  id,
  address: '127.0.0.1:1',
  user: 'monitor',
  password: 'env:NO_SUCH_PASSWORD',
  hostKey: `SHA256:${'A'.repeat(43)}`,
  ...more,
});
const config = { nodes: [ssh('fixed', { type: 'ssh' })] };

test('nodes of the config and added ones are carried with type ssh or without, and kept over restarts', async () => {
  let kept: ReadonlyMap<string, Json>;
  {
    await using plugin = await testPlugin(SshPlugin, { config });
    expect(plugin.carried.get('fixed')).toMatchObject({ kind: 'ssh', address: '127.0.0.1:1' });
    expect((await plugin.call('ADDSSHNODE', ssh('web-7'))).data).toEqual({ id: 'web-7', added: true });
    // As an entry of the proxy's had it.
    const again = await plugin.call('ADDSSHNODE', ssh('web-7', { type: 'ssh' }));
    expect(again.data).toEqual({ id: 'web-7', added: false });
    const other = await plugin.call('ADDSSHNODE', ssh('web-7', { user: 'root' }));
    expect(other.data).toMatchObject({ message: expect.stringContaining('other settings; DELSSHNODE it first') });
    kept = plugin.state;
    await plugin.stop();
  }
  await using again = await testPlugin(SshPlugin, { config, state: Object.fromEntries(kept) });
  expect([...again.carried.keys()].sort()).toEqual(['fixed', 'web-7']);
  expect((await again.call('DELSSHNODE', { id: 'web-7' })).data).toEqual({ id: 'web-7', deleted: true });
  expect([...again.carried.keys()]).toEqual(['fixed']);
  const fixed = await again.call('DELSSHNODE', { id: 'fixed' });
  expect(fixed.data).toMatchObject({ message: expect.stringContaining('in the config of the plugin ssh') });
});

test('a pushed node is refused with the plugin that carries it', async () => {
  const pushed = { id: 'a', type: 'push', address: 'tcp://127.0.0.1:1', fingerprint: 'A'.repeat(43) };
  const sentence = /type must be "ssh": .*; a daemon is a node of the plugin proxy .*ADDNODE/;
  await expect(testPlugin(SshPlugin, { config: { nodes: [pushed] } as never })).rejects.toThrow(sentence);
  await using plugin = await testPlugin(SshPlugin, { config });
  await expect(plugin.call('ADDSSHNODE', pushed)).rejects.toThrow(sentence);
});
