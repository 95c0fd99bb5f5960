import { describe, expect, test } from 'vitest';
import { HandshakeQueue } from '../../../core/dist/doors/handshake-queue.js';

/** A queue that is busy with one handshake, by a clock that stands still until it is told otherwise. */
async function busy({ queued = 3, queueMs = 4000 } = {}) {
  const clock = { ms: 0, monotonic: () => clock.ms };
  const queue = new HandshakeQueue({ concurrency: 1, queued, queueMs }, clock);
  const ends: string[] = [];
  const wait = (name: string, isKnown = true) => {
    void queue.turn(isKnown).then((turn) => ends.push(`${name} ${turn}`));
  };
  expect(await queue.turn(true)).toBe('turn');
  /** What has ended once all promises have told. */
  const ended = async () => {
    await new Promise(setImmediate);
    return ends.splice(0);
  };
  return { clock, queue, wait, ended };
}

describe('handshakes that wait for a turn', () => {
  test('get it at once where there is room, and give it back', async () => {
    const { queue } = await busy();
    expect(queue.load).toEqual({ working: 1, waiting: 0 });
    queue.done();
    expect(queue.load).toEqual({ working: 0, waiting: 0 });
    expect(await queue.turn(false)).toBe('turn');
  });

  test('get it the newest first: its client waits longest from then on', async () => {
    const { queue, wait, ended } = await busy();
    for (const name of ['a', 'b', 'c']) wait(name);
    queue.done();
    expect(await ended()).toEqual(['c turn']);
    wait('d');
    queue.done();
    expect(await ended()).toEqual(['d turn']);
    queue.done();
    expect(await ended()).toEqual(['b turn']);
    expect(queue.load).toEqual({ working: 1, waiting: 1 });
  });

  test('leave when they waited too long, the others stay', async () => {
    const { clock, queue, wait, ended } = await busy();
    wait('a');
    clock.ms = 3000;
    wait('b');
    clock.ms = 4000;
    queue.sweep();
    expect(await ended()).toEqual([]);
    clock.ms = 4001;
    queue.sweep();
    expect(await ended()).toEqual(['a late']);
    clock.ms = 9000;
    queue.done();
    expect(await ended()).toEqual(['b late']);
    expect(queue.load).toEqual({ working: 0, waiting: 0 });
  });

  test('leave for newer ones where the queue is full', async () => {
    const { queue, wait, ended } = await busy();
    for (const name of ['a', 'b', 'c', 'd']) wait(name);
    expect(await ended()).toEqual(['a full']);
    expect(queue.load).toEqual({ working: 1, waiting: 3 });
  });

  test('with the keys of strangers get a sixteenth of the queue, and nobody else’s place', async () => {
    const { queue, wait, ended } = await busy({ queued: 32 });
    for (const name of ['a', 'b', 'c']) wait(name, false);
    expect(await ended()).toEqual(['c full']);
    wait('known');
    queue.done();
    expect(await ended()).toEqual(['known turn']);
  });
});
