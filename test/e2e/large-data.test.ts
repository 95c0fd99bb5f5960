import { connect } from '@centreond/plugin-sdk/client';
import { expect, onTestFinished, test } from 'vitest';
import { DaemonProcess } from '../daemon-process.ts';

test('DATA of 900,000 keys is refused at once, and holds nobody up', async () => {
  const daemon = new DaemonProcess();
  onTestFinished(() => daemon.dispose());
  const [ada, bob] = [daemon.client('ada'), daemon.client('bob')];
  await daemon.start();
  const [large, other] = [await connect(daemon.door(ada)), await connect(daemon.door(bob))];
  const data = Object.fromEntries(Array.from({ length: 900_000 }, (_, i) => [`k${i}`, 1]));
  const times: number[] = [];
  let over = false;
  const pinging = (async () => {
    while (!over) {
      const start = performance.now();
      await other.send('GETTHUMBPRINT', {});
      times.push(performance.now() - start);
    }
  })();
  await expect(large.send('COMMAND', data)).rejects.toMatchObject({
    code: 'INVALID_DATA',
    message: expect.stringMatching(/more than 50000 keys and elements/),
  });
  const fits = { command: 'true', env: Object.fromEntries(Array.from({ length: 40_000 }, (_, i) => [`K${i}`, '1'])) };
  await large.send('COMMAND', fits).catch((error: { code: string }) => expect(error.code).toBe('INVALID_DATA'));
  over = true;
  await pinging;
  // It was 13 seconds; this machine's own pauses are far below.
  expect(Math.max(...times)).toBeLessThan(3000);
  await Promise.all([large.close(), other.close()]);
});
