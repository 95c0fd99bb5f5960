import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

const PATIENT = path.join(ROOT, 'test/fixtures/patient');

interface Status {
  type: string;
  state: string;
  health: { instance: string; state: string; why?: string; since: number } | null;
  metrics: { name: string; kind: string; title: string; value: number }[];
  instances: { id: string; health: { state: string; why?: string } | null; metrics: Record<string, number> }[];
}

describe('the health that a plugin reports', () => {
  const daemon = new DaemonProcess({ plugins: [{ package: PATIENT }] });
  let client: Client;
  beforeAll(async () => {
    await daemon.start();
    client = await connect({ address: daemon.socket });
  });
  afterAll(async () => {
    await client?.close();
    await daemon.dispose();
  });

  const patient = async () => {
    const { data } = await client.send('INFORMATION', {});
    const all = data.plugins as unknown as Status[];
    return all.find(({ type }) => type === 'patient') ?? expect.fail('no patient');
  };
  const logged = () =>
    daemon.stderr
      .split('\n')
      .filter((line) => line.includes('degraded') || line.includes('ok again'))
      .map((line) => (JSON.parse(line) as { msg: string }).msg);

  test('is shown by INFORMATION, status, plugins and why, by its key, and logged once', async () => {
    await client.call('REPORT', { ward: 'north' });
    await client.call('REPORT', { ward: 'south', why: 'its scanner is warming up' });
    await until('it is known', async () => (await patient()).health?.state === 'degraded');
    expect(await patient()).toMatchObject({
      state: 'ready',
      health: { instance: 'south', state: 'degraded', why: 'its scanner is warming up' },
    });
    const { instances } = await patient();
    expect(instances.map(({ id, health }) => [id, health?.state]).sort()).toEqual([
      ['north', 'ok'],
      ['south', 'degraded'],
    ]);
    const line =
      /^patient\/south is degraded since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d\d:\d\d: its scanner is warming up$/m;
    for (const verb of [['status'], ['plugins'], ['plugins', 'patient']]) {
      const { stdout, code } = await daemon.cli(...verb);
      expect(stdout, verb.join(' ')).toMatch(line);
      expect(code).toBe(0);
    }
    expect((await daemon.cli('status')).stdout).toMatch(/^\S*\s+south\s+degraded /m);
    expect((await daemon.cli('why', 'patient')).stdout).toMatch(
      /^instance south is degraded since .*: its scanner is warming up$/m,
    );
    expect(logged()).toEqual(['plugin patient/south is degraded: its scanner is warming up']);
  });

  test('that changes a thousand times in a moment is told as its first and its last', async () => {
    await client.call('REPORT', { ward: 'east', why: 'trouble', times: 1000 });
    const why = async () => (await patient()).instances.find(({ id }) => id === 'east')?.health?.why;
    await until('the last is known', async () => (await why()) === 'trouble 1000');
    expect(logged().filter((text) => text.includes('patient/east'))).toEqual([
      'plugin patient/east is degraded: trouble 1',
      'plugin patient/east is still degraded, now: trouble 1000',
    ]);
  });

  test('ends with the process of the instance', async () => {
    await client.call('FALL', { ward: 'south' });
    const south = async () => (await patient()).instances.find(({ id }) => id === 'south');
    await until('it is back', async () => (await south())?.health === null);
    await client.call('REPORT', { ward: 'south' });
    await until('it is ok', async () => (await south())?.health?.state === 'ok');
  });
});

describe('the metrics of a plugin', () => {
  const daemon = new DaemonProcess({ plugins: [{ package: PATIENT }] });
  let client: Client;
  beforeAll(async () => {
    await daemon.start();
    client = await connect({ address: daemon.socket });
  });
  afterAll(async () => {
    await client?.close();
    await daemon.dispose();
  });

  const patient = async () => {
    const { data } = await client.send('INFORMATION', {});
    const all = data.plugins as unknown as Status[];
    return all.find(({ type }) => type === 'patient') ?? expect.fail('no patient');
  };
  const values = async () => Object.fromEntries((await patient()).metrics.map(({ name, value }) => [name, value]));

  test('are sums over its instances in INFORMATION and in plugins TYPE, and each instance’s own', async () => {
    expect((await patient()).metrics).toEqual([]);
    await client.call('COUNT', { ward: 'north', visits: 100_000, beds: 3 });
    await client.call('COUNT', { ward: 'south', visits: 23, beds: 4.5 });
    await until('all is told', async () => (await values()).visits === 100_023);
    expect((await patient()).metrics).toEqual([
      { name: 'beds', kind: 'gauge', title: 'Beds that are free', value: 7.5 },
      { name: 'visits', kind: 'counter', title: 'Visits that were counted', value: 100_023 },
    ]);
    const { instances } = await patient();
    expect(Object.fromEntries(instances.map(({ id, metrics }) => [id, metrics]))).toEqual({
      north: { beds: 3, visits: 100_000 },
      south: { beds: 4.5, visits: 23 },
    });
    const { stdout } = await daemon.cli('plugins', 'patient');
    expect(stdout).toMatch(/^METRIC +KIND +VALUE +ABOUT$/m);
    expect(stdout).toMatch(/^visits +counter +100023 +Visits that were counted$/m);
  });

  test('go on from their sum when a process ends, and what it counted last is told at its stop', async () => {
    const before = (await values()).visits ?? 0;
    await client.call('COUNT', { ward: 'north', visits: 1, beds: 0 });
    await client.call('COUNT', { ward: 'north', visits: 6, beds: 1 });
    expect((await client.call('RELOADPLUGIN', { type: 'patient' })).ok).toBe(true);
    expect((await values()).visits).toBe(before + 7);
    await client.call('COUNT', { ward: 'north', visits: 2, beds: 9 });
    await until('the new process has told', async () => (await values()).visits === before + 9);
    await client.call('FALL', { ward: 'north' });
    expect((await values()).visits).toBe(before + 9);
  });
});

test('a health that is reported by the constructor is known once the instance is ready', async () => {
  const daemon = new DaemonProcess({ plugins: [{ package: PATIENT, config: { startsDegraded: true } }] });
  try {
    await daemon.start();
    await using client = await connect({ address: daemon.socket });
    await client.call('REPORT', { ward: 'west', times: 0 });
    const { stdout } = await daemon.cli('status', '--json');
    const { plugins } = JSON.parse(stdout) as { plugins: Status[] };
    expect(plugins.find(({ type }) => type === 'patient')?.health).toMatchObject({
      instance: 'west',
      state: 'degraded',
      why: 'it was configured so',
    });
  } finally {
    await daemon.dispose();
  }
});

test('without a daemon the plugins are listed from their manifests alone', async () => {
  const daemon = new DaemonProcess({ plugins: [{ package: PATIENT }] });
  try {
    daemon.writeConfig();
    const { code, stdout, stderr } = await daemon.cli('plugins', 'patient');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('Reports on itself as it is asked to');
    expect(stdout).not.toContain('is ready');
  } finally {
    await daemon.dispose();
  }
});
