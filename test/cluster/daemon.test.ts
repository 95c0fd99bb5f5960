import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { noPostgres, PostgresServer } from '../core/store/postgres-server.ts';
import { cli, DaemonProcess } from '../daemon-process.ts';

describe.skipIf(noPostgres)('a daemon with its history in PostgreSQL', () => {
  const server = new PostgresServer();
  afterAll(() => server.stop());

  /** A daemon on a database of its own, whose URL is in a file beside its config. */
  async function daemonOn(url: string): Promise<DaemonProcess> {
    const daemon = new DaemonProcess({ core: { store: { driver: 'postgres', url: 'file:./postgres-url' } } });
    onTestFinished(() => daemon.dispose());
    writeFileSync(path.join(daemon.folder, 'postgres-url'), `${url}\n`, { mode: 0o600 });
    return daemon;
  }

  test('goes on after kill -9 with what it had accepted, and shows log, requests and status as ever', async () => {
    await server.start();
    const daemon = await daemonOn(server.tcpUrl(await server.database()));
    const ada = daemon.client('ada');
    await daemon.start();
    let client: Client = await connect(daemon.door(ada));
    const row = await client.call('COMMAND', { command: 'echo there' }, { token: 'first' });
    expect(row).toMatchObject({ code: 2 });
    await client.send('COMMAND', { command: 'sleep 600', timeoutSeconds: 600 }, { token: 'sleeping' });
    await client.close();
    await daemon.end('SIGKILL');

    await daemon.start();
    client = await connect(daemon.door(ada));
    expect(await client.call('COMMAND', { command: 'echo again' }, { token: 'second' })).toMatchObject({ code: 2 });
    await client.close();
    const requests = await daemon.cli('requests', '--json');
    const listed = requests.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { token: string; code: number | null; error: string | null });
    expect(listed).toMatchObject([
      { token: 'second', code: 2 },
      { token: 'sleeping', code: 1, error: 'OUTCOME_UNKNOWN' },
      { token: 'first', code: 2 },
    ]);
    expect((await daemon.cli('log', 'first')).stdout).toContain('there');
    const status = await daemon.cli('status', '--json');
    expect(status.code).toBe(0);
    const everything = [daemon.stderr, status.stdout, requests.stdout, (await daemon.cli('check')).stdout].join('\n');
    expect(everything).not.toContain(server.password);
    expect(everything).not.toContain(encodeURIComponent(server.password));

    const backup = await daemon.cli('backup', 'central.tar');
    expect(backup.code).not.toBe(0);
    expect(backup.stderr).toMatch(/HISTORY_IN_POSTGRES|is in PostgreSQL: pg_dump backs it up/);
    expect(await daemon.end()).toBe(0);
  });

  test('says at its start what to change where it cannot be used', async () => {
    const wrong = await daemonOn('postgresql://ada:secret-word@127.0.0.1:1/history');
    const started = await cli(wrong.folder, 'start', '--config', wrong.writeConfig());
    expect(started.code).toBe(1);
    expect(started.stderr).toMatch(
      /cannot start: STORE_UNUSABLE .*postgresql:\/\/ada@127\.0\.0\.1:1\/history.*no PostgreSQL answers/,
    );
    expect(started.stderr).not.toContain('secret-word');
    writeFileSync(path.join(wrong.folder, 'postgres-url'), 'x', { mode: 0o600 });
    const unread = await cli(wrong.folder, 'start', '--config', wrong.writeConfig());
    expect(unread.code).toBe(1);
    expect(unread.stderr).toMatch(/core\.store\.url is not a URL of PostgreSQL; write it as/);
  });
});

test.runIf(process.env.CI)('PostgreSQL is there to be tested with', () => expect(noPostgres).toBeUndefined());
