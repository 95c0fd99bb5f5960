import { createHash, randomBytes } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { until } from '../attacker.ts';
import { closeAll, dealer, newFolder, type OpenListener, openAt, openTcp } from './listening.ts';

// What follows is the zeromq package's own DEALER, libzmq, against the listener.
afterEach(closeAll);

const MAX = 2 * 1024 * 1024;
const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('base64');
const echo = (options: Parameters<typeof openTcp>[0] = {}) =>
  openTcp({ onFrame: (connection, frame) => connection.send(frame), ...options });

describe.each(['tcp', 'ipc'])('over %s', (transport) => {
  const open = (options?: Parameters<typeof openTcp>[0]): Promise<OpenListener> =>
    openAt(transport === 'tcp' ? 'tcp://127.0.0.1:*' : `ipc://${newFolder()}/run/router.ipc`, options);

  test('frames of every size come back as they were', async () => {
    const at = await open({ maxFrame: MAX, onFrame: (connection, frame) => connection.send(frame) });
    const socket = dealer(at.listener.endpoint, { receiveHighWaterMark: 0, sendHighWaterMark: 0 });
    const sizes = [
      0,
      1,
      2,
      254,
      255,
      256,
      257,
      8191,
      16_384,
      16_385,
      65_534,
      65_535,
      65_536,
      65_537,
      1024 * 1024,
      MAX - 1,
      MAX,
    ];
    const sent = sizes.map((size) => randomBytes(size));
    for (const body of sent) await socket.send(body);
    for (const body of sent) {
      const [frame = Buffer.alloc(0), ...more] = await socket.receive();
      expect(more).toEqual([]);
      expect(frame.length).toBe(body.length);
      expect(digest(frame)).toBe(digest(body));
    }
    expect(at.closed).toEqual([]);
  });

  test('10,000 messages each way keep their order and content', async () => {
    const at = await open();
    const socket = dealer(at.listener.endpoint, { receiveHighWaterMark: 0, sendHighWaterMark: 0 });
    const lines = Array.from({ length: 10_000 }, (_, i) => `${i} ${'é'.repeat((i * 7919) % 700)}`);
    for (const line of lines) await socket.send(line);
    await until(() => at.frames.length === lines.length, 'all of them', 20_000);
    expect(at.frames.every((frame, i) => frame.toString() === lines[i])).toBe(true);
    for (const [i, line] of lines.entries()) at.connections[0]?.send(i % 2 ? line : Buffer.from(line));
    let wrong = 0;
    for (const line of lines) if (String((await socket.receive())[0]) !== line) wrong++;
    expect(wrong).toBe(0);
  });
});

test('a frame one byte too large ends the connection, and the DEALER comes back on another', async () => {
  const at = await openTcp({ maxFrame: MAX });
  const socket = dealer(at.listener.endpoint, { reconnectInterval: 20 });
  await socket.send(randomBytes(MAX + 1));
  await until(() => at.listener.counters.tooLarge === 1);
  expect(at.closed).toEqual(['it sent a frame that is larger than allowed']);
  await until(async () => {
    await socket.send('hello');
    return at.frames.length > 0;
  });
});

test('a message of several frames ends the connection', async () => {
  const at = await openTcp();
  const socket = dealer(at.listener.endpoint);
  await socket.send(['one', 'two']);
  await until(() => at.listener.counters.multipart === 1);
  expect(at.frames).toEqual([]);
});

test('a DEALER that lingers loses nothing by its close', async () => {
  const at = await openTcp();
  const socket = dealer(at.listener.endpoint, { linger: 10_000, sendHighWaterMark: 0 });
  const body = randomBytes(100_000);
  for (let i = 0; i < 200; i++) await socket.send(body);
  socket.close();
  await until(() => at.closed.length === 1, 'the end of the connection', 20_000);
  expect(at.frames.length).toBe(200);
  expect(at.frames.every((frame) => frame.equals(body))).toBe(true);
});

test('a DEALER reconnects to a listener that was closed and opened again', async () => {
  const first = await openTcp();
  const { endpoint } = first.listener;
  const socket = dealer(endpoint, { reconnectInterval: 20 });
  await socket.send('one');
  await until(() => first.frames.length === 1);
  await first.listener.close(1000);
  const second = await openAt(endpoint);
  await until(async () => {
    await socket.send('two');
    return second.frames.length > 0;
  });
  expect(second.frames[0]?.toString()).toBe('two');
});

test('DEALERs with one routing id are two peers', async () => {
  const at = await echo();
  const sockets = [
    dealer(at.listener.endpoint, { routingId: 'same' }),
    dealer(at.listener.endpoint, { routingId: 'same' }),
  ];
  for (const [i, socket] of sockets.entries()) await socket.send(`from ${i}`);
  for (const [i, socket] of sockets.entries()) expect(String((await socket.receive())[0])).toBe(`from ${i}`);
});

test('500 DEALERs at once each get their own answers', async () => {
  const at = await echo();
  const sockets = Array.from({ length: 500 }, () => dealer(at.listener.endpoint));
  const answers = await Promise.all(
    sockets.map(async (socket, i) => {
      for (let n = 0; n < 5; n++) await socket.send(`${i}/${n}`);
      const heard: string[] = [];
      while (heard.length < 5) heard.push(String((await socket.receive())[0]));
      return heard.join();
    }),
  );
  expect(answers).toEqual(sockets.map((_, i) => [0, 1, 2, 3, 4].map((n) => `${i}/${n}`).join()));
  expect(at.listener.load.connections).toBe(500);
  for (const socket of sockets) socket.close();
  await until(() => at.closed.length === 500, 'the end of all of them', 20_000);
  expect(at.listener.load).toMatchObject({ connections: 0, pendingBytes: 0, retainedBytes: 0 });
});

test('a DEALER with heartbeats is answered', async () => {
  const at = await openTcp();
  const socket = dealer(at.listener.endpoint, {
    heartbeatInterval: 20,
    heartbeatTimeout: 200,
    heartbeatTimeToLive: 1000,
  });
  await socket.send('hello');
  await until(() => at.frames.length === 1);
  // Without a PONG it would have left by then, and come back on another connection.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  expect(at.closed).toEqual([]);
  expect(at.connections.length).toBe(1);
});

test('a DEALER that never reads costs no more than the bound', async () => {
  const bound = 2 * 1024 * 1024;
  const at = await openTcp({ limits: { maxPending: bound } });
  const socket = dealer(at.listener.endpoint, { receiveHighWaterMark: 1, reconnectInterval: -1 });
  await socket.send('hello');
  await until(() => at.frames.length === 1);
  for (let i = 0; at.closed.length === 0 && i < 10_000; i++) {
    at.connections[0]?.send(randomBytes(50_000));
    await new Promise(setImmediate);
    expect(at.listener.load.pendingBytes).toBeLessThan(bound + 100_000);
  }
  expect(at.closed).toEqual(['too many bytes wait for it, and it does not read them']);
});
