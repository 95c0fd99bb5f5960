import { networkInterfaces } from 'node:os';
import { connect } from '@centreond/plugin-sdk/client';
import { describe, expect, onTestFinished, test } from 'vitest';
import { DaemonProcess } from '../daemon-process.ts';

const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));

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
});
