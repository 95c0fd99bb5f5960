import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess, ROOT } from '../daemon-process.ts';

const GOOD_ROW_AFTER_MS = 1000;

describe('a plugin that lies', () => {
  const daemon = new DaemonProcess({
    plugins: [
      { package: path.join(ROOT, 'test/fixtures/liar'), restart: { max: 1000, within: '60s' } },
      { package: path.join(ROOT, 'test/fixtures/probe') },
    ],
  });
  const alice = daemon.client('alice');
  let client: Client;
  beforeAll(async () => {
    await daemon.start();
    client = await connect(daemon.door(alice));
  });
  afterAll(async () => {
    await client?.close();
    await daemon.dispose();
  });

  test.each([
    ['no JSON', /is not JSON/],
    ['a string of JSON', /without error and message/],
    ['code x', /code NaN/],
    ['code -1', /code NaN/],
    ['code 3', /code 3/],
    ['an undeclared code', /code 51/],
    ['20 MiB', /larger than allowed/],
    ['a failure without a cause', /without error and message/],
  ])('by %s is ended with that as the cause, and nothing of it is stored', async (how, cause) => {
    const outcome = await client.call('LIE', { how }, { timeoutMs: 30_000 });
    expect(outcome).toMatchObject({
      ok: false,
      data: { error: 'PLUGIN_CRASHED', message: expect.stringMatching(cause) },
    });
    const rows = await client.query({ token: outcome.token });
    expect(rows.map(({ code }) => code)).toEqual([0, 50, 1]);
    expect(rows[1]?.data).toEqual({ good: true });
    // The rows of others are there within a second.
    const startedAt = performance.now();
    const { token } = await client.call('STEPS', { rows: 3 });
    expect((await client.query({ token })).map(({ code }) => code)).toEqual([0, 50, 50, 50, 2]);
    expect(performance.now() - startedAt).toBeLessThan(GOOD_ROW_AFTER_MS);
  });

  test('in what it answers is ended, and the request is refused', async () => {
    await expect(client.send('GARBLE', {})).rejects.toMatchObject({ code: 'PLUGIN_CRASHED' });
    await expect(client.call('ECHO', { fine: true })).resolves.toMatchObject({ ok: true });
  });
});
