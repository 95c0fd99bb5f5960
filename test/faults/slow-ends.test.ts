import path from 'node:path';
import { connect } from '@centreond/client';
import { describe, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

const PROBE = path.join(ROOT, 'test/fixtures/probe');
const ACTION = path.join(ROOT, 'plugins/action');

describe('a request that does not end by itself', () => {
  test('drains: what runs may end, what does not is INTERRUPTED, within 10 s', async () => {
    const daemon = new DaemonProcess({ plugins: [{ package: ACTION }, { package: PROBE }] });
    const alice = daemon.client('alice');
    await daemon.start();
    const client = await connect({ ...daemon.door(alice), retryStopping: false });
    const short = client.call('COMMAND', { command: 'sleep 1' }, { token: 'short' });
    await client.send('COMMAND', { command: 'sleep 60' }, { token: 'long' });
    const stopped = daemon.end('SIGTERM');
    await until('nothing more is accepted', async () => {
      return client.send('ECHO', {}).then(
        () => false,
        (error: { code: string }) => error.code === 'STOPPING',
      );
    });
    expect((await short).ok).toBe(true);
    const startedAt = performance.now();
    expect(await stopped).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    await daemon.start();
    const rows = await client.query({ token: 'long' });
    expect(rows.at(-1)).toMatchObject({ code: 1, data: { error: 'INTERRUPTED' } });
    await client.close();
    await daemon.dispose();
  });

  test('ends with TIMEOUT also where the plugin does not listen', async () => {
    const daemon = new DaemonProcess({ plugins: [{ package: PROBE }] });
    const alice = daemon.client('alice');
    await daemon.start();
    const client = await connect(daemon.door(alice));
    expect((await client.call('DEAF', { ms: 60_000 })).data).toMatchObject({ error: 'TIMEOUT' });
    await client.close();
    await daemon.dispose();
  });
});
