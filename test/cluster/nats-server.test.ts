import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { connect } from '@nats-io/transport-node';
import { describe, expect, onTestFinished, test } from 'vitest';
import { isAlive, processesWith, until } from '../daemon-process.ts';
import { NatsServer, noNats } from './nats-server.ts';

async function started(server = new NatsServer()): Promise<NatsServer> {
  onTestFinished(() => server.stop());
  return server.start();
}

describe.skipIf(noNats)('a NATS server of the tests', () => {
  test('takes connections, and again on the same port after it was killed', async () => {
    const server = await started();
    const { port, url } = server;
    const connection = await connect({ servers: url, reconnectTimeWait: 20 });
    await server.kill();
    await expect(connect({ servers: url, reconnect: false })).rejects.toThrow();
    await server.start();
    expect(server.port).toBe(port);
    await until('the connection is back', () =>
      connection.flush().then(
        () => true,
        () => false,
      ),
    );
    await connection.close();
  });

  test('lets in whom its config names', async () => {
    const server = await started(new NatsServer({ user: 'router', password: 'secret word' }));
    expect(server.credentials).toBe('router:secret word');
    await (await connect({ servers: server.url, user: 'router', pass: 'secret word' })).close();
    await expect(connect({ servers: server.url, reconnect: false })).rejects.toThrow(/authorization/i);
  });

  test('says nothing while it is paused', async () => {
    const server = await started();
    const connection = await connect({ servers: server.url });
    await server.pause();
    let isFlushed = false;
    const flushed = connection.flush().then(() => {
      isFlushed = true;
    });
    await expect(connect({ servers: server.url, reconnect: false, timeout: 300 })).rejects.toThrow();
    expect(isFlushed).toBe(false);
    server.resume();
    await flushed;
    await connection.close();
  });

  test('ends with the process that started it, and leaves no folder', async () => {
    const script = `import { NatsServer } from ${JSON.stringify(path.join(import.meta.dirname, 'nats-server.ts'))};
      const server = await new NatsServer().start();
      process.stdout.write(server.folder);
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [folder] = (await once(child.stdout, 'data')) as [Buffer];
    const servers = processesWith(String(folder), ['cmdline']);
    expect(servers.length).toBeGreaterThan(0);
    child.kill('SIGKILL');
    await until('the server and its folder are gone', () => !servers.some(isAlive) && !existsSync(String(folder)));
  });
});

test.runIf(process.env.CI)('NATS is there to be tested with', () => expect(noNats).toBeUndefined());
