import { connect } from '@centreond/client';
import { expect, onTestFinished, test } from 'vitest';
import { DaemonProcess } from '../daemon-process.ts';
import { newToken, Client as RawClient, whoOf } from './second-implementation.ts';

test.each(['COMMAND', 'SETLOGS'])(
  'a client that sends %s with 900,000 keys is refused at once, and holds nobody up',
  async (action) => {
    const daemon = new DaemonProcess();
    onTestFinished(() => daemon.dispose());
    const [ada, bob] = [daemon.client('ada'), daemon.client('bob')];
    await daemon.start();
    // The SDK's client would not send it.
    const raw = await RawClient.connect(daemon, whoOf(ada));
    const other = await connect(daemon.door(bob));
    onTestFinished(() => Promise.all([raw.close(), other.close()]).then(() => undefined));
    // Made before anything is timed: that takes this process longer than the refusal takes the router.
    const message = (count: number): [string, string] => {
      const token = newToken();
      const keys = Array.from({ length: count }, (_, i) => `"k${i}":1`);
      return [`[${action}] [${token}] [] {${keys.join(',')}}`, token];
    };
    const [tooMany, fits] = [message(900_000), message(50_000)];
    const times: number[] = [];
    let over = false;
    const pinging = (async () => {
      while (!over) {
        const start = performance.now();
        await other.send('GETTHUMBPRINT', {});
        times.push(performance.now() - start);
      }
    })();
    const refused = await raw.ask(...tooMany);
    expect([refused.code, refused.data]).toEqual([
      1,
      { error: 'INVALID_DATA', message: expect.stringContaining('more than 50000 keys and elements') },
    ]);
    const within = await raw.ask(...fits);
    expect([within.code, within.data.error]).toEqual([1, action === 'COMMAND' ? 'INVALID_DATA' : 'FORBIDDEN']);
    expect(within.data.message).not.toContain('keys and elements');
    over = true;
    await pinging;
    // It was 13 seconds; this machine's own pauses are far below.
    expect(Math.max(...times)).toBeLessThan(3000);
  },
);
