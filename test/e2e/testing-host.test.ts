import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { startHost } from '@centreond/plugin-kit';
import { buildManifest } from '@centreond/plugin-kit/build';
import { describe, expect, test } from 'vitest';
import { pluginSource, ROOT, tempPackage } from '../plugin-sdk/temp-package.ts';

const PROBE = path.join(ROOT, 'test/fixtures/probe');

describe('a plugin in a real process', () => {
  test('is called, aborted, crashed and stopped', async () => {
    await using host = await startHost(PROBE);
    expect(host.pid).not.toBe(process.pid);
    expect(await host.call('ECHO', { a: [1] })).toMatchObject({ ok: true, data: { a: [1] } });
    expect((await host.call('STEPS', { rows: 3 })).rows.map(({ code }) => code)).toEqual([0, 50, 50, 50, 2]);
    await expect(host.call('STEPS', { rows: -1 })).rejects.toMatchObject({ code: 'INVALID_DATA' });
    const sleeping = host.call('SLEEP', { ms: 60_000 }, { token: 'sleep' });
    expect(host.abort('sleep')).toBe(true);
    expect(await sleeping).toMatchObject({ data: { error: 'CANCELLED' } });
    expect(await host.call('RELAY', { action: 'ECHO', data: { x: 1 } })).toMatchObject({
      data: { ok: true, data: { x: 1 }, rows: 2 },
    });
    expect(await host.stop()).toBe(true);
    expect(host.cause).toBe('exit code 0');
    await expect(host.call('ECHO', {})).rejects.toMatchObject({ code: 'NOT_READY' });
  });

  test('does not begin with what is aborted right behind its request', async () => {
    const methods = `run(input, { signal }) { return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))); }`;
    const folder = tempPackage({ 'index.js': pluginSource('', `act('WAIT');`, methods) });
    await buildManifest(folder);
    await using host = await startHost(folder);
    for (let i = 0; i < 20; i++) {
      const waiting = host.call('WAIT', {}, { token: `wait-${i}` });
      host.abort(`wait-${i}`);
      expect(await waiting).toMatchObject({ data: { error: 'CANCELLED' } });
    }
  });

  test('that crashes ends its requests, and says what it logged', async () => {
    await using host = await startHost(PROBE);
    const sleeping = host.call('SLEEP', { ms: 60_000 });
    expect(await host.call('CRASH', {})).toMatchObject({
      data: { error: 'PLUGIN_CRASHED', message: expect.stringContaining('exit code 7') },
    });
    expect(await sleeping).toMatchObject({ data: { error: 'PLUGIN_CRASHED' } });
    expect(host.log).toContainEqual({ level: 'warn', msg: 'crashing as asked' });
  });

  test.each(['SIGTERM', 'SIGKILL', undefined] as const)('that is killed (%s) ends its requests', async (signal) => {
    await using host = await startHost(PROBE);
    const sleeping = host.call('SLEEP', { ms: 60_000 });
    await host.kill(signal);
    const { error } = (await sleeping).data;
    expect(signal === 'SIGTERM' ? ['INTERRUPTED', 'PLUGIN_KILLED'] : ['PLUGIN_KILLED']).toContain(error);
    expect(host.cause).toBeDefined();
  });

  test('shows the processes and files that it left, and removes them at last', async () => {
    const body = `act('LEAVE');`;
    const methods = `run() {
      writeFileSync(path.join(os.tmpdir(), 'left.txt'), 'x');
      spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' }).unref();
      return {};
    }`;
    const imports = `import { spawn } from 'node:child_process'; import { writeFileSync } from 'node:fs'; import os from 'node:os'; import path from 'node:path';\n`;
    const folder = tempPackage({ 'index.js': imports + pluginSource('', body, methods) });
    await buildManifest(folder);
    const host = await startHost(folder);
    expect(await host.leftovers()).toEqual({ processes: [], files: [] });
    await host.call('LEAVE', {});
    const { processes, files } = await host.leftovers();
    expect(files).toEqual(['left.txt']);
    expect(processes).toHaveLength(1);
    expect(await host.reap()).toHaveLength(1);
    await expect.poll(async () => (await host.leftovers()).processes).toEqual([]);
    await host.dispose();
    expect(existsSync(host.temporary)).toBe(false);
  });
});

describe('what does not start is said', () => {
  test('without a manifest', async () => {
    const folder = tempPackage({ 'index.js': pluginSource('', `act('LOOK');`) });
    await expect(startHost(folder)).rejects.toThrow(/its manifest cannot be read: .*centreond-plugin build/);
  });

  test('with a manifest of before', async () => {
    const folder = tempPackage({ 'index.js': pluginSource('', `act('LOOK');`) });
    await buildManifest(folder);
    writeFileSync(path.join(folder, 'index.js'), pluginSource('', `act('LOOK'); act('MORE');`));
    await expect(startHost(folder)).rejects.toMatchObject({ code: 'MANIFEST_STALE' });
  });

  test('with a start() that throws', async () => {
    await expect(startHost(PROBE, { config: { failStart: true } })).rejects.toThrow(
      /did not start \(exit code 1\); it said: it was told not to start/,
    );
  });
});
