// npm run bench:http [-- --json]
// 1. POST /api/actions/ECHO?wait at 100 in flight against the same Fastify with an empty handler: the median ratio of three rounds.
// 2. What 10,000 GET /healthz a second do to a key's client: the median ratio of its p99, calm and beside them.
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { DaemonProcess, ROOT } from '../daemon-process.ts';

const SECRET = 'a-secret-for-the-bench';
const IN_FLIGHT = 100;
const SPELL_MS = 4000;
const HEALTH_PER_SECOND = 10_000;
const KEY_PER_SECOND = 500;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT });

/** Resolves with the status once the whole answer is here. */
function send(port: number, method: string, url: string, body: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${SECRET}`,
      'content-type': 'application/json',
      ...(body !== '' && { 'content-length': body.length }),
    };
    const sent = request({ agent, host: '127.0.0.1', port, method, path: url, headers }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0));
    });
    sent.once('error', reject);
    sent.end(body);
  });
}

/** Requests a second, with `IN_FLIGHT` of them under way. */
async function rateOf(port: number, url: string): Promise<number> {
  const until = performance.now() + SPELL_MS;
  let count = 0;
  const lane = async () => {
    while (performance.now() < until) {
      const status = await send(port, 'POST', url, '{"city":"Bern"}');
      if (status !== 200) throw new Error(`${url} answered ${status}`);
      count++;
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  return (count * 1000) / SPELL_MS;
}

async function p99Of(client: Client): Promise<number> {
  const latencies: number[] = [];
  const pending: Promise<unknown>[] = [];
  const startedAt = performance.now();
  for (let i = 0; i < (KEY_PER_SECOND * SPELL_MS) / 1000; i++) {
    const due = startedAt + (i * 1000) / KEY_PER_SECOND;
    while (performance.now() < due) await new Promise((resolve) => setTimeout(resolve, 1));
    const sentAt = performance.now();
    pending.push(client.call('ECHO', { i }).then(() => latencies.push(performance.now() - sentAt)));
  }
  await Promise.all(pending);
  latencies.sort((a, b) => a - b);
  return latencies[Math.floor(latencies.length * 0.99)] ?? 0;
}

/** Asks /healthz as often as it can, up to the rate, in a process of its own. Resolves with how often a second it was answered. */
function askHealth(port: number): Promise<number> {
  const source = `
    import { createConnection } from 'node:net';
    const PACK = 50, LANES = 20, until = performance.now() + ${SPELL_MS}, startedAt = performance.now();
    let sent = 0, answered = 0;
    const ask = 'GET /healthz HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n'.repeat(PACK);
    const lane = () => new Promise((resolve) => {
      const socket = createConnection(${port}, '127.0.0.1');
      let open = 0;
      const more = () => {
        const now = performance.now();
        if (now > until) { socket.destroy(); resolve(); return; }
        if (sent < ((now - startedAt) * ${HEALTH_PER_SECOND}) / 1000) { sent += PACK; open = PACK; socket.write(ask); }
        else setTimeout(more, 1);
      };
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
        const parts = text.split('HTTP/1.1 200');
        text = parts.pop();
        const got = parts.length;
        answered += got; open -= got;
        if (open <= 1) { text = ''; more(); }
      });
      socket.on('connect', more); socket.on('error', resolve);
    });
    await Promise.all(Array.from({ length: LANES }, lane));
    process.stdout.write(String(Math.round(answered * 1000 / ${SPELL_MS})));
    process.exit();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  return new Promise((resolve) => child.once('close', () => resolve(Number(text))));
}

/** The same Fastify in a process of its own, with a handler that answers at once. */
async function emptyServer(): Promise<{ port: number; child: ChildProcess }> {
  const source = `
    import fastify from 'fastify';
    const server = fastify();
    server.post('/', async () => ({ ok: true }));
    await server.listen({ host: '127.0.0.1', port: 0 });
    console.log(server.server.address().port);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    cwd: path.join(ROOT, 'plugins/http'),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const port = await new Promise<number>((resolve) => child.stdout.once('data', (text) => resolve(Number(text))));
  return { port, child };
}

const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

const port = await freePort();
const daemon = new DaemonProcess({ core: { log: { level: 'warn' } } });
writeFileSync(path.join(daemon.folder, 'bench.secret'), SECRET, { mode: 0o600 });
daemon.settings.plugins = [
  { package: path.join(ROOT, 'test/fixtures/probe') },
  {
    package: path.join(ROOT, 'plugins/http'),
    allowCallers: true,
    config: { listen: `127.0.0.1:${port}`, tokens: [{ name: 'bench', secret: 'file:bench.secret' }] },
  },
];
const admin = daemon.client('root', ['admin']);
await daemon.start();
const client = await connect(daemon.door(admin));
const empty = await emptyServer();
try {
  await rateOf(port, '/api/actions/ECHO?wait=10s');
  await rateOf(empty.port, '/');
  const rounds: { emptyPerSecond: number; callsPerSecond: number; ratio: number }[] = [];
  const spells: { perSecond: number; ratio: number }[] = [];
  for (let round = 0; round < 3; round++) {
    const emptyPerSecond = await rateOf(empty.port, '/');
    const callsPerSecond = await rateOf(port, '/api/actions/ECHO?wait=10s');
    rounds.push({ emptyPerSecond, callsPerSecond, ratio: callsPerSecond / emptyPerSecond });
    const calm = await p99Of(client);
    const asking = askHealth(port);
    const beside = await p99Of(client);
    spells.push({ perSecond: await asking, ratio: beside / calm });
  }
  const result = {
    emptyPerSecond: Math.round(median(rounds.map((round) => round.emptyPerSecond))),
    callsPerSecond: Math.round(median(rounds.map((round) => round.callsPerSecond))),
    ratio: Number(median(rounds.map((round) => round.ratio)).toFixed(2)),
    healthPerSecond: Math.round(median(spells.map((spell) => spell.perSecond))),
    p99Ratio: Number(median(spells.map((spell) => spell.ratio)).toFixed(2)),
  };
  if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify(result)}\n`);
  else {
    process.stdout.write(
      `POST …?wait of ECHO, 100 in flight   ${result.callsPerSecond}/s, ${result.ratio} of an empty handler (${result.emptyPerSecond}/s)\n` +
        `beside ${result.healthPerSecond} GET /healthz a second   p99 of a key's client ${result.p99Ratio} times\n`,
    );
  }
} finally {
  empty.child.kill();
  agent.destroy();
  await client.close();
  await daemon.dispose();
}
