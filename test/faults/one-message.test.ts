import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { DaemonProcess, ROOT } from '../daemon-process.ts';
import { SHAPES } from './message-shapes.ts';
import { print, Siege } from './siege.ts';

const SECONDS = process.env.LONG === '1' ? 10 : 1;

test('while one client sends the largest messages of any content, the PINGs of another are answered', async () => {
  const daemon = new DaemonProcess({ plugins: [{ package: path.join(ROOT, 'test/fixtures/probe') }] });
  onTestFinished(() => daemon.dispose());
  const mallory = daemon.client('mallory');
  const siege = await Siege.begin(daemon);
  const calm = await siege.calm(3000);
  print({ calm });
  const slow: string[] = [];
  for (const shape of Object.keys(SHAPES)) {
    const { attack, during, lost } = await siege.attack({
      attack: 'messages',
      shape,
      seconds: SECONDS,
      known: mallory,
    });
    print({ shape, attack, during });
    expect(attack.sent, shape).toBeGreaterThan(0);
    expect(lost, shape).toBe(0);
    // Most shapes hold a tenth of a second, a number of 16 MiB half a second. There are few samples: the slowest is what counts.
    if (during.ping99 > 1500 + 10 * calm.ping99) slow.push(`${shape}: ${during.ping99} ms`);
  }
  expect(slow).toEqual([]);
});
