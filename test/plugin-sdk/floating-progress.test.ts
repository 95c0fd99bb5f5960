import { startHost } from '@centreond/plugin-kit';
import { buildManifest } from '@centreond/plugin-kit/build';
import { InstanceRuntime } from '@centreond/plugin-runtime';
import type { Logger } from '@centreond/plugin-sdk';
import { formatMessage } from '@centreond/protocol';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { pluginSource, tempPackage } from './temp-package.ts';

const METHODS = `async run(input, context) {
  for (let i = 0; i < 3; i++) void context.progress(777, {});
  await new Promise((resolve) => setTimeout(resolve, 20));
  return {};
}
async await(input, context) { await context.progress(777, {}); return {}; }`;

function sample(): string {
  return tempPackage({ 'index.js': pluginSource('', `act('FLOAT'); act('AWAIT', {}, 'await');`, METHODS) });
}

test('a refused progress() that nobody awaits is logged once, and the process and its request go on', async () => {
  const folder = sample();
  await buildManifest(folder);
  await using host = await startHost(folder);
  expect(await host.call('FLOAT', {}, { token: 'float' })).toMatchObject({ ok: true });
  expect(host.cause).toBeUndefined();
  const told = host.log.filter(({ level }) => level === 'error');
  expect(told).toEqual([
    {
      level: 'error',
      msg: expect.stringContaining('FLOAT cannot write this row: the code 777 is not declared'),
      token: 'float',
      action: 'FLOAT',
    },
  ]);
});

describe('in the process of the router', () => {
  const unhandled: unknown[] = [];
  const keep = (reason: unknown) => unhandled.push(reason);
  let others: NodeJS.UnhandledRejectionListener[] = [];
  beforeEach(() => {
    others = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection').on('unhandledRejection', keep);
  });
  afterEach(() => {
    process.removeAllListeners('unhandledRejection');
    for (const other of others) process.on('unhandledRejection', other);
  });

  async function ended(action: string): Promise<{ end: string | undefined; errors: unknown[] }> {
    const { default: Sample } = (await import(`${sample()}/index.js`)) as { default: new () => object };
    const errors: unknown[] = [];
    const ignore = () => {};
    const log: Logger = {
      debug: ignore,
      info: ignore,
      warn: ignore,
      error: (_: object | string, message?: string) => errors.push(message),
    };
    const sent: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const row = (message: string) => {
      sent.push(message);
      resolve();
    };
    const runtime = new InstanceRuntime(
      new Sample(),
      { send: () => {}, row, held: 0, ready: () => undefined },
      log,
      1e6,
    );
    runtime.receive(formatMessage(action, 't', '', { $: { from: 'alice', deadline: Date.now() + 60_000 } }));
    await promise;
    await new Promise((next) => setImmediate(next));
    await new Promise((next) => setImmediate(next));
    return { end: sent.at(-1), errors };
  }

  test('a refused progress() that nobody awaits is no unhandled rejection, which would end the router', async () => {
    const { end, errors } = await ended('FLOAT');
    expect(end).toMatch(/^\[ROW\] \[t\] \[2\]/);
    expect(errors).toHaveLength(1);
    expect(unhandled).toEqual([]);
  });

  test('a refused progress() that is awaited ends its request, whose end is what the router logs', async () => {
    const { end, errors } = await ended('AWAIT');
    expect(end).toMatch(/^\[ROW\] \[t\] \[1\] .*INVALID_OUTPUT/);
    expect(errors).toEqual([]);
    expect(unhandled).toEqual([]);
  });
});
