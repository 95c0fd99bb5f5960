import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';
import { MATRIX } from './matrix.ts';

const SECRETS = {
  alice: 'the-secret-of-alice',
  bob: 'the-secret-of-bob',
  narrow: 'the-secret-of-narrow',
  ops: 'the-secret-of-ops',
} as const;
type Name = keyof typeof SECRETS;
const TOKENS = [
  { name: 'alice' },
  { name: 'bob' },
  { name: 'narrow', actions: ['ECHO'] },
  { name: 'ops', roles: ['admin'] },
] as const;

/** A collector of spans, as far as an exporter sees. */
const spans: { name: string; traceId: string; parentSpanId?: string }[] = [];
const collector = createServer((request, response) => {
  let text = '';
  request.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  request.on('end', () => {
    const { resourceSpans } = JSON.parse(text) as { resourceSpans: { scopeSpans: { spans: typeof spans }[] }[] };
    spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)));
    response.setHeader('content-type', 'application/json').end('{}');
  });
});

const daemon = new DaemonProcess();
let base = '';

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly headers: Headers;
  readonly text: string;
}

async function ask(name: Name | undefined, method: string, url: string, body?: unknown, headers = {}): Promise<Answer> {
  const response = await fetch(base + url, {
    method,
    headers: { ...(name && { authorization: `Bearer ${SECRETS[name]}` }), ...headers },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.startsWith('application/json');
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: isJson ? (JSON.parse(text) as Answer['body']) : {},
  };
}

const call = (name: Name | undefined, action: string, data: unknown = {}, query = '?wait=20s', headers = {}) =>
  ask(name, 'POST', `/api/actions/${action}${query}`, data, headers);

/** What a stream sent, until it ended or `enough` says so. */
async function streamed(
  name: Name,
  url: string,
  enough: (events: readonly Sent[]) => boolean = () => false,
  lastEventId?: string,
): Promise<Sent[]> {
  const left = new AbortController();
  const response = await fetch(base + url, {
    headers: {
      authorization: `Bearer ${SECRETS[name]}`,
      ...(lastEventId !== undefined && { 'last-event-id': lastEventId }),
    },
    signal: left.signal,
  });
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  const events: Sent[] = [];
  let text = '';
  try {
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString();
      const parts = text.split('\n\n');
      text = parts.pop() ?? '';
      for (const part of parts) {
        const [, id, event, data] = /^id: (.*)\nevent: (.*)\ndata: (.*)$/.exec(part) ?? [];
        if (id !== undefined && event !== undefined && data !== undefined)
          events.push({ id, event, data: JSON.parse(data) });
      }
      if (enough(events)) break;
    }
  } catch (error) {
    // The daemon went away, or this test did.
    if (!/terminated|abort/.test(String(error))) throw error;
  }
  left.abort();
  return events;
}

interface Sent {
  readonly id: string;
  readonly event: string;
  readonly data: { readonly id: number; readonly code: number };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

beforeAll(async () => {
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  const port = await freePort();
  base = `http://127.0.0.1:${port}`;
  for (const [name, secret] of Object.entries(SECRETS)) {
    writeFileSync(path.join(daemon.folder, `${name}.secret`), secret, { mode: 0o600 });
  }
  daemon.settings.plugins = [
    { package: path.join(ROOT, 'plugins/action') },
    { package: path.join(ROOT, 'test/fixtures/probe') },
    {
      package: path.join(ROOT, 'plugins/http'),
      allowCallers: true,
      config: {
        listen: `127.0.0.1:${port}`,
        tokens: TOKENS.map((token) => ({ ...token, secret: `file:${token.name}.secret` })),
        allowedOrigins: ['https://ops.example'],
        traces: { endpoint: `http://127.0.0.1:${(collector.address() as AddressInfo).port}/v1/traces` },
        bodyLimit: 4096,
      },
    },
  ];
  await daemon.start();
});
afterAll(async () => {
  await daemon.dispose();
  await new Promise((resolve) => collector.close(resolve));
});

describe('who may call', () => {
  test('without a token only health answers, and says so', async () => {
    expect((await ask(undefined, 'GET', '/healthz')).body).toEqual({ ok: true });
    expect((await ask(undefined, 'GET', '/readyz')).body).toEqual({ ok: true });
    for (const url of ['/api/status', '/api/whoami', '/metrics', '/api/openapi.json', '/api/log/x/stream']) {
      const { status, body, headers } = await ask(undefined, 'GET', url);
      expect({ url, status, error: body.error }).toEqual({ url, status: 401, error: 'UNAUTHENTICATED' });
      expect(headers.get('www-authenticate')).toContain('Bearer');
    }
  });

  test('a token is taken as Bearer, and as Basic with its own name', async () => {
    const basic = (name: string, secret: string) => ({
      authorization: `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`,
    });
    const whoami = (headers: object) => ask(undefined, 'GET', '/api/whoami', undefined, headers);
    expect((await ask('alice', 'GET', '/api/whoami')).body).toEqual({
      name: 'alice',
      identity: 'http/alice',
      roles: ['client'],
      router: { id: 'central', version: expect.any(String) },
    });
    expect((await whoami(basic('ops', SECRETS.ops))).body).toMatchObject({ identity: 'http/ops', roles: ['admin'] });
    expect((await whoami(basic('alice', SECRETS.ops))).status).toBe(401);
  });

  test('may do over HTTP what the encrypted door lets a key of its roles do, action by action', async () => {
    const { plugins } = (await ask('alice', 'GET', '/api/plugins')).body as {
      plugins: { actions: { name: string }[] }[];
    };
    const names = plugins.flatMap(({ actions }) => actions.map(({ name }) => name)).filter((name) => name in MATRIX);
    // By HTTP it is a stream.
    names.splice(names.indexOf('FOLLOW'), 1);
    expect(names.length).toBeGreaterThan(25);
    for (const name of names) {
      // DATA that no action takes: what may be called refuses that, and nothing is done.
      for (const [caller, letter] of [
        ['alice', 'C'],
        ['ops', 'A'],
      ] as const) {
        const data = MATRIX[name]?.data?.('x') ?? { 'no such field': true };
        const { body, status } = await call(caller, name, data, '');
        const may = MATRIX[name]?.who.includes(letter) ?? false;
        expect({ name, caller, status, error: body.error }).toMatchObject(
          may ? { status: 400, error: 'INVALID_DATA' } : { status: 403, error: 'FORBIDDEN' },
        );
      }
    }
    expect((await call('narrow', 'ECHO', { a: 1 })).status).toBe(200);
    expect((await call('narrow', 'COMMAND', { command: 'true' })).body.message).toContain('The plugin http allows');
  });
});

describe('a request', () => {
  test('is accepted with its token, and with wait answered with its outcome', async () => {
    const { status, body } = await call('alice', 'COMMAND', { command: 'true' }, '');
    expect({ status, body }).toEqual({ status: 202, body: { token: expect.any(String) } });
    expect((await call('alice', 'ECHO', { city: 'Bern' })).body).toMatchObject({
      ok: true,
      code: 2,
      data: { city: 'Bern' },
    });
    expect((await call('alice', 'THROW')).body).toMatchObject({ ok: false, code: 1, data: { error: 'ACTION_FAILED' } });
    expect((await call('alice', 'SLEEP', { ms: 1500 }, '?wait=100ms')).status).toBe(202);
    // Answered in the ACK: there is nothing to wait for.
    expect((await call('alice', 'PING', {}, '')).body).toMatchObject({ id: 'central' });
  });

  test('that is repeated under its token runs once; other content is refused', async () => {
    const file = path.join(daemon.folder, 'once');
    const repeat = (word: string) =>
      call('alice', 'COMMAND', { command: ['sh', '-c', `echo ${word} >> ${file}`] }, '?wait=20s&token=mine');
    for (let i = 0; i < 3; i++) expect((await repeat('a')).body).toMatchObject({ ok: true });
    expect(readFileSync(file, 'utf8')).toBe('a\n');
    expect(await repeat('b')).toMatchObject({ status: 409, body: { error: 'TOKEN_REUSED' } });
  });

  test('is its caller’s: nobody but an admin reads or ends it', async () => {
    const { token } = (await call('alice', 'SLEEP', { ms: 1900 }, '')).body as { token: string };
    expect((await ask('bob', 'GET', `/api/log/${token}`)).body).toEqual({ rows: [], more: false });
    expect(await ask('bob', 'DELETE', `/api/requests/${token}`)).toMatchObject({ status: 403 });
    expect((await ask('ops', 'GET', `/api/log/${token}`)).body.rows).not.toEqual([]);
    expect((await ask('ops', 'DELETE', `/api/requests/${token}`)).body).toMatchObject({ token, cancelled: true });
    const last = async () => (await ask('alice', 'GET', '/api/requests?action=SLEEP&state=failed&limit=1')).body;
    // It ends a moment after the answer.
    await expect.poll(last).toMatchObject({ requests: [{ token, owner: 'http/alice', error: 'CANCELLED' }] });
  });

  test.each([
    ['POST', '/api/actions/NOSUCH', '{}', 404, 'UNKNOWN_ACTION'],
    ['POST', '/api/nodes/nowhere/actions/ECHO', '{}', 404, 'UNKNOWN_TARGET'],
    ['POST', '/api/actions/ECHO', '{', 400, 'MALFORMED_BODY'],
    ['POST', '/api/actions/ECHO', '[1]', 400, 'MALFORMED_BODY'],
    ['POST', '/api/actions/ECHO', '{"$":{"hold":true}}', 400, 'MALFORMED_BODY'],
    ['POST', '/api/actions/ECHO?wait=soon', '{}', 400, 'INVALID_QUERY'],
    ['POST', '/api/actions/ECHO?what=ever', '{}', 400, 'INVALID_QUERY'],
    ['POST', '/api/actions/ECHO', JSON.stringify({ a: 'x'.repeat(5000) }), 413, 'TOO_LARGE'],
    ['GET', '/api/requests?since=yesterday', undefined, 400, 'INVALID_QUERY'],
    ['GET', '/api/nothing', undefined, 404, 'NOT_FOUND'],
    ['PUT', '/api/status', undefined, 404, 'NOT_FOUND'],
  ])('is refused with a code and a sentence: %s %s %.20s', async (method, url, body, status, error) => {
    const answer = await ask('alice', method, url, body);
    expect(answer).toMatchObject({ status, body: { error } });
    expect(answer.body.message).toMatch(/^[A-Z].*\.$/s);
  });
});

describe('a stream', () => {
  test('brings the rows of a token as they are written, then its end', async () => {
    const { token } = (await call('alice', 'STEPS', { rows: 50 }, '')).body as { token: string };
    const events = await streamed('alice', `/api/log/${token}/stream`);
    expect(events.map(({ event }) => event)).toEqual([...Array<string>(52).fill('row'), 'end']);
    expect(events.at(-2)?.data.code).toBe(2);
    const again = await streamed('alice', `/api/log/${token}/stream`, undefined, events[39]?.id);
    expect(again).toEqual(events.slice(40));
  });

  test('of another’s token is not opened', async () => {
    const { token } = (await call('alice', 'ECHO')).body as { token: string };
    const { status, body } = await ask('bob', 'GET', `/api/log/${token}/stream`, undefined, { 'last-event-id': 'x' });
    expect({ status, error: body.error }).toEqual({ status: 400, error: 'INVALID_QUERY' });
    expect(await ask('bob', 'GET', `/api/log/${token}/stream`)).toMatchObject({ status: 403 });
  });
});

test('a wait that is over before the end answers with the token, and the request runs on', async () => {
  for (const wait of ['0s', '1ms', '50ms']) {
    const { status, body } = await call('alice', 'SLEEP', { ms: 300 }, `?wait=${wait}`);
    expect({ status, body }).toEqual({ status: 202, body: { token: expect.any(String) } });
    const events = await streamed('alice', `/api/log/${String(body.token)}/stream`);
    expect(events.at(-2)?.data.code).toBe(2);
  }
});

test('streams that are left are followed no more', async () => {
  const follows = async () => {
    const { counters } = (await ask('ops', 'GET', '/api/status')).body as {
      counters: { followers: { followed: number } };
    };
    return counters.followers.followed;
  };
  await until('nothing is followed', async () => (await follows()) === 0);
  for (let i = 0; i < 20; i++) {
    const left = new AbortController();
    const headers = { authorization: `Bearer ${SECRETS.alice}` };
    const response = await fetch(`${base}/api/log/never-${i}/stream`, { headers, signal: left.signal });
    expect(response.status).toBe(200);
    left.abort();
  }
  await until('nothing is followed any more', async () => (await follows()) === 0);
});

test('what happens is streamed, to admins', async () => {
  expect((await ask('alice', 'GET', '/api/events')).status).toBe(403);
  const seen = streamed('ops', '/api/events', (events) => events.some(({ event }) => event === 'PLUGIN_ENDED'), '0');
  await call('alice', 'CRASH', {}, '');
  expect((await seen).some(({ event }) => event === 'PLUGIN_ENDED')).toBe(true);
  await until('the probe is back', async () => (await call('alice', 'ECHO')).status === 200);
});

describe('beside the API', () => {
  test('a page of another origin may call if the config names it', async () => {
    const asked = (origin: string) =>
      ask(undefined, 'OPTIONS', '/api/status', undefined, { origin, 'access-control-request-method': 'GET' });
    expect((await asked('https://ops.example')).headers.get('access-control-allow-origin')).toBe('https://ops.example');
    expect((await asked('https://evil.example')).headers.get('access-control-allow-origin')).toBeNull();
    const refused = await ask(undefined, 'GET', '/api/status', undefined, { origin: 'https://ops.example' });
    expect(refused.status).toBe(401);
    expect(refused.headers.get('access-control-allow-origin')).toBe('https://ops.example');
  });

  test('the paths of the ancestor answer as scripts expect', async () => {
    const headers = {
      authorization: `Basic ${Buffer.from(`alice:${SECRETS.alice}`).toString('base64')}`,
      'content-type': 'text/plain',
    };
    const body = '[{"command":"echo hello"}]';
    const sent = await ask(undefined, 'POST', '/api/nodes/central/core/action/command', body, headers);
    expect(sent.text).toMatch(/^\{"token":"[^"]+"\}$/);
    const log = `/api/nodes/central/log/${String(sent.body.token)}`;
    let rows: { code: number; data: string }[] = [];
    await until('its end', async () => {
      rows = ((await ask(undefined, 'GET', log, undefined, headers)).body.data ?? []) as typeof rows;
      return rows.some(({ code }) => code === 2);
    });
    expect(JSON.parse(rows.at(-1)?.data ?? '')).toMatchObject({ exitCode: 0, stdout: 'hello\n' });
    const none = await ask(undefined, 'GET', '/api/nodes/central/log/none', undefined, headers);
    expect(none).toMatchObject({ status: 200, body: { error: 'no_log' } });
    const print = await ask(undefined, 'GET', '/api/internal/thumbprint', undefined, headers);
    expect(print.body).toMatchObject({ data: { thumbprint: daemon.fingerprint } });
    expect((await ask(undefined, 'GET', '/api/internal/constatus', undefined, headers)).body).toMatchObject({
      data: {},
    });
  });

  test('metrics are Prometheus’s text', async () => {
    const { text, headers } = await ask('alice', 'GET', '/metrics');
    expect(headers.get('content-type')).toContain('version=0.0.4');
    for (const line of [
      /^centreond_info\{router="central",version="[^"]+"\} 1$/m,
      /^centreond_requests_accepted_total [1-9]/m,
      /^centreond_plugin_ready\{plugin="http"\} 1$/m,
      /^centreond_http_requests_total\{method="POST",route="\/api\/actions\/:action",status="200"\} [1-9]/m,
    ]) {
      expect(text).toMatch(line);
    }
    for (const line of text.split('\n').filter((one) => one !== '')) {
      expect(line).toMatch(/^# (HELP|TYPE) centreond_\w+ |^centreond_\w+(\{.*\})? [0-9.e+-]+$/);
    }
  });

  test('OpenAPI 3.1 describes each action by its schemas', async () => {
    const { body } = await ask('alice', 'GET', '/api/openapi.json');
    expect(body).toMatchObject({ openapi: '3.1.0' });
    const paths = body.paths as Record<string, { post?: { requestBody: { content: object } } }>;
    expect(paths['/api/actions/COMMAND']?.post?.requestBody.content).toMatchObject({
      'application/json': { schema: { properties: { command: {} } } },
    });
    expect(paths).toHaveProperty('/api/nodes/{id}/actions/COMMAND');
    expect(paths).not.toHaveProperty('/api/actions/GETSTATE');
  });

  test('a request is a span below its caller’s', async () => {
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    await call('alice', 'ECHO', {}, '?wait=20s', { traceparent: `00-${traceId}-00f067aa0ba902b7-01` });
    await until('the span', () => spans.some((span) => span.traceId === traceId));
    expect(spans.find((span) => span.traceId === traceId)).toMatchObject({
      name: 'POST /api/actions/:action',
      parentSpanId: '00f067aa0ba902b7',
    });
  });

  test('secrets are nowhere in what the daemon writes', () => {
    const files = readdirSync(path.join(daemon.folder, 'var'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name));
    expect(files.some((file) => file.endsWith('history.sdb'))).toBe(true);
    expect(files.filter((file) => readFileSync(file).includes('the-secret-of'))).toEqual([]);
    expect(daemon.stderr).not.toContain('the-secret-of');
  });
});

test('a reload takes the tokens as they are now, on the same port', async () => {
  writeFileSync(path.join(daemon.folder, 'bob.secret'), 'another-secret-of-bob', { mode: 0o600 });
  expect((await daemon.cli('reload', 'http')).stderr).toBe('');
  const status = async (secret: string) =>
    (await ask(undefined, 'GET', '/api/whoami', undefined, { authorization: `Bearer ${secret}`, connection: 'close' }))
      .status;
  await until('the new secret is taken', async () => (await status('another-secret-of-bob')) === 200);
  expect(await status(SECRETS.bob)).toBe(401);
});

test('a stop does not wait for those who wait', async () => {
  const waiting = call('alice', 'COMMAND', { command: 'sleep 60' }, '?wait=600s');
  await until('it runs', async () => {
    const asked = await ask('ops', 'GET', '/api/requests?action=COMMAND&state=open');
    return (asked.body as { requests: object[] }).requests.length > 0;
  });
  expect((await daemon.cli('reload', 'http')).code).toBe(0);
  const { status, body } = await waiting;
  expect(status).toBe(202);
  const { body: cancelled } = await ask('ops', 'DELETE', `/api/requests/${String(body.token)}`);
  expect(cancelled).toMatchObject({ cancelled: true });
});

test('guessing is slow, and an address that guesses waits while others do not', async () => {
  const guess = () => ask(undefined, 'GET', '/api/whoami', undefined, { authorization: 'Bearer guessed' });
  const statuses: number[] = [];
  while (statuses.at(-1) !== 429) statuses.push((await guess()).status);
  expect(statuses.length).toBeLessThanOrEqual(11);
  expect(new Set(statuses)).toEqual(new Set([401, 429]));
  // Of that address also who has a token, for the rest of the minute.
  expect((await ask('alice', 'GET', '/api/whoami')).body.error).toBe('TOO_MANY_LOGINS');
  const { port } = new URL(base);
  const other = await new Promise<IncomingMessage>((resolve, reject) => {
    const options = { port, path: '/api/whoami', localAddress: '127.0.0.2', host: '127.0.0.1' };
    httpRequest({ ...options, headers: { authorization: `Bearer ${SECRETS.alice}` } }, resolve)
      .on('error', reject)
      .end();
  });
  expect(other.resume().statusCode).toBe(200);
});

test('a follower that comes back with Last-Event-ID misses nothing over a restart of the daemon', async () => {
  await daemon.end();
  await daemon.start();
  await until(
    'HTTP is back',
    async () => (await ask(undefined, 'GET', '/readyz').catch(() => undefined))?.status === 200,
  );
  await daemon.cli(
    'call',
    'COMMAND',
    '--no-wait',
    '--token',
    'long',
    'command=["sh","-c","for i in 1 2 3 4 5 6; do echo $i; sleep 0.2; done"]',
  );
  const before = await streamed('ops', '/api/log/long/stream', (events) => events.length >= 3);
  await daemon.end();
  await daemon.start();
  await until(
    'HTTP is back',
    async () => (await ask(undefined, 'GET', '/readyz').catch(() => undefined))?.status === 200,
  );
  const after = await streamed('ops', '/api/log/long/stream', undefined, before.at(-1)?.id);
  const all = (await ask('ops', 'GET', '/api/log/long')).body.rows as { id: number }[];
  const seen = [...before, ...after].filter(({ event }) => event === 'row').map(({ data }) => data.id);
  expect(seen).toEqual(all.map(({ id }) => id));
});

test('HTTPS is spoken with a certificate of the operator’s', async () => {
  const folder = daemon.folder;
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'];
  execFileSync('openssl', [...args, '-subj', '/CN=localhost', '-keyout', 'key.pem', '-out', 'cert.pem'], {
    cwd: folder,
    stdio: 'ignore',
  });
  const port = await freePort();
  const config = { listen: `127.0.0.1:${port}`, tls: { cert: 'cert.pem', key: 'key.pem' } };
  daemon.settings.plugins = [{ package: path.join(ROOT, 'plugins/http'), config }];
  await daemon.end();
  await daemon.start();
  const status = await new Promise((resolve, reject) => {
    const options = { port, host: '127.0.0.1', path: '/healthz', rejectUnauthorized: false };
    httpsRequest(options, (response) => resolve(response.resume().statusCode))
      .on('error', reject)
      .end();
  });
  expect(status).toBe(200);
  expect(await daemon.cli('status')).toMatchObject({ code: 0 });
});

test('without allowCallers it does not start, and says what to write where', async () => {
  const config = { listen: `127.0.0.1:${await freePort()}`, tokens: [{ name: 'alice', secret: 'file:alice.secret' }] };
  daemon.settings.plugins = [{ package: path.join(ROOT, 'plugins/http'), config, restart: { max: 0 } }];
  await daemon.end();
  await daemon.start();
  const { stdout } = await daemon.cli('why', 'http');
  expect(stdout.replaceAll(/\s+/g, ' ')).toContain('allowCallers: true in the entry of the plugin http');
});
