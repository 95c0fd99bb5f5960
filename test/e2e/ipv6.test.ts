import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { connect } from '@centreond/client';
import { describe, expect, onTestFinished, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));

// A machine without the address ::1 has no IPv6 to try this on.
describe.skipIf(!hasIpv6)('IPv6', () => {
  test.each(['tcp://[::1]:*', 'tcp://*:*'])(
    'a client reaches a router that listens on %s by its IPv6 address',
    async (listen) => {
      const daemon = new DaemonProcess({ core: { external: { listen } } });
      onTestFinished(() => daemon.dispose());
      const ada = daemon.client('ada');
      await daemon.start();
      const { port } = new URL(daemon.endpoint.replace('tcp:', 'http:'));
      const client = await connect({ ...daemon.door(ada), address: `tcp://[::1]:${port}` });
      expect((await client.call('COMMAND', { command: 'true' })).ok).toBe(true);
      await client.close();
      const remote = ['--key', ada.file, '--identity', 'ada', '--router', daemon.fingerprint];
      expect(
        (await daemon.cli('--connect', `tcp://[::1]:${port}`, ...remote, 'call', 'COMMAND', 'command=echo x')).code,
      ).toBe(0);
    },
  );

  test('a router that listens on every address is reached by IPv4, too', async () => {
    const daemon = new DaemonProcess({ core: { external: { listen: 'tcp://*:*' } } });
    onTestFinished(() => daemon.dispose());
    const ada = daemon.client('ada');
    await daemon.start();
    const { port } = new URL(daemon.endpoint.replace('tcp:', 'http:'));
    const client = await connect({ ...daemon.door(ada), address: `tcp://127.0.0.1:${port}` });
    expect((await client.call('COMMAND', { command: 'true' })).ok).toBe(true);
    await client.close();
  });

  test('a pushed node and one that connects by itself are linked over it', async () => {
    const listen = { external: { listen: 'tcp://[::1]:*' } };
    const central = new DaemonProcess({ core: listen });
    const pushed = new DaemonProcess({ core: { id: 'paris', ...listen } });
    const pulled = new DaemonProcess({ core: { id: 'lyon', external: undefined } });
    const daemons = [central, pushed, pulled];
    onTestFinished(async () => {
      await Promise.all(daemons.map((daemon) => daemon.dispose()));
    });
    const keyOf = async (daemon: DaemonProcess): Promise<string> => {
      daemon.writeConfig();
      return JSON.parse((await daemon.cli('keys', 'show', '--json')).stdout).fingerprint;
    };
    const [ofCentral, ofPulled] = await Promise.all([keyOf(central), keyOf(pulled)]);
    pushed.clients.push({ identity: 'central', fingerprint: ofCentral, roles: ['router'] });
    await pushed.start();
    const { endpoint: address, fingerprint } = pushed;
    central.clients.push({ identity: 'lyon', fingerprint: ofPulled, roles: ['node'] });
    const root = central.client('root', ['admin']);
    const proxy = path.join(ROOT, 'plugins/proxy');
    central.settings.plugins = [
      { package: proxy, config: { nodes: [{ id: 'paris', type: 'push', address, fingerprint }] } },
    ];
    await central.start();
    const router = { address: central.endpoint, fingerprint: central.fingerprint };
    expect([address, router.address]).toEqual([
      expect.stringMatching(/^tcp:\/\/\[::1\]:\d+$/),
      expect.stringMatching(/^tcp:\/\/\[::1\]:\d+$/),
    ]);
    pulled.settings.plugins = [{ package: path.join(ROOT, 'plugins/pull'), allowCore: true, config: { router } }];
    await pulled.start();
    const client = await connect(central.door(root));
    onTestFinished(() => client.close());
    for (const target of ['paris', 'lyon']) {
      await until(`${target} is up`, async () => {
        const nodes = (await client.send('CONSTATUS')).data.nodes as { id: string; state: string }[];
        return nodes.some(({ id, state }) => id === target && state === 'up');
      });
      expect((await client.send('PING', {}, { target })).data).toMatchObject({ id: target });
    }
  });
});
