import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import { stripVTControlCharacters } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { cellsOf } from '../../../core/dist/cli/cells.js';
import { check } from '../../../core/dist/cli/check.js';
import { keysText } from '../../../core/dist/cli/keys.js';
import { nodeText } from '../../../core/dist/cli/node-text.js';
import { fleetText } from '../../../core/dist/cli/nodes-table.js';
import { rowLines, table } from '../../../core/dist/cli/print.js';
import { requestsText } from '../../../core/dist/cli/requests.js';
import { routersText } from '../../../core/dist/cli/routers.js';
import { statusText } from '../../../core/dist/cli/status.js';
import { momentText } from '../../../core/dist/cli/time.js';
import type { TrustEntry } from '../../../core/dist/doors/trust.js';

const NOW = Date.parse('2026-11-28T12:00:00Z');
const LONG = `a-rather-long-id-${'x'.repeat(40)}-1`;
const KEY = `${'K'.repeat(42)}A`;
const TOKEN = `nightly:${LONG}:${LONG}`;
const paint = (_: string, text: string) => text;
const widest = (text: string) => Math.max(...text.split('\n').map(cellsOf));
/** The screen at 80 columns, and what a pipe gets. */
function bothOf(make: (width: number | undefined) => string): [screen: string, pipe: string] {
  const both = [make(80), make(undefined)] as [string, string];
  expect(widest(both[0])).toBeLessThanOrEqual(80);
  return both;
}

const instance = {
  id: LONG,
  state: 'ready',
  pid: 4_194_304,
  restarts: 1234,
  inFlight: 2000,
  p50Ms: 1234,
  p99Ms: 59_999,
};
const plugin = {
  type: LONG,
  package: LONG,
  version: '1.0.0',
  state: 'quarantined',
  reason: `it ended more than 5 times within 60 s, last: ${'a long cause '.repeat(20)}`,
  health: null,
  metrics: [],
  waiting: 10_000,
  instances: [{ ...instance, rss: 2 ** 32, health: null, metrics: {} }],
  actions: [{ name: 'A', finished: 123_456_789, failed: 12_345 }],
};
const store = {
  ...{ bytes: 20_000_000, maxBytes: 2 ** 32, retentionSeconds: 7 * 86_400, purgedRows: 1200, purgedRequests: 1 },
  ...{ lastPurge: { at: NOW - 12_000, rows: 0, requests: 0 }, nextPurgeAt: NOW + 48_000 },
};
const information = {
  ...{ id: LONG, version: '0.1.0', time: NOW, uptimeSeconds: 100_000, plugins: [plugin] },
  counters: { open: 3, accepted: 12_345_678, refused: 1, store },
};

test('status says what runs, and when the history is purged and was', () => {
  const [screen, pipe] = bothOf((width) => statusText(information as never, { width, paint }));
  expect(pipe).toContain(
    [
      `router ${LONG}, centreond 0.1.0, up 1 d 03:46:40`,
      'requests  3 open, 12345678 accepted, 1 refused',
      'history   19.1 MiB of 4.0 GiB; rows are kept for 7 d',
      'purge     12 s ago, removed 0 rows and 0 requests; 1200 rows and 1 request since the start; next within 48 s',
      '',
    ].join('\n'),
  );
  for (const word of [LONG, '4194304', '60.0 s', '4096 MiB']) expect(pipe).toContain(word);
  expect(screen).toMatch(/\nPLUGIN .*STATE.*FAILED/);
  expect(screen.replaceAll(/\s+/g, ' ')).toContain('next within 48 s');
  expect(screen.split('\n').filter((line) => line.includes('a long cause')).length).toBeGreaterThan(2);
  const standby = { ...plugin, type: 'cron', state: 'standby', reason: 'it runs on the router b', instances: [] };
  const elsewhere = statusText({ ...information, plugins: [standby] } as never, { width: 80, paint });
  expect(elsewhere).toMatch(/\n\ncron stands by here: it runs on the router b\n$/);
  const early = { ...information, counters: { ...information.counters, store: { ...store, lastPurge: null } } };
  expect(statusText(early as never, { width: 80, paint })).toContain('purge     not yet; next within 48 s\n');
});

const node = {
  ...{ id: LONG, name: 'A name of some length', kind: 'pull', state: 'unreachable', address: '[fd00:1234::7]:41522' },
  ...{ reason: `its last handshake was refused: ${'for some reason '.repeat(10)}`, held: 12, logLag: 345 },
  ...{ sharedBy: ['10.0.0.7:1', '10.0.0.8:2'], labels: { site: 'paris', role: 'web' }, lastPing: NOW / 1000 - 5 },
  ...{ lastPong: NOW / 1000 - 3700, roundTripMs: 12.3, clockSkewSeconds: -12.4, cursor: 123_456_789, version: '0.1.0' },
  ...{ actions: Array.from({ length: 30 }, (_, i) => `ACTION_${i}`), subnodes: [`${LONG}-behind`] },
};

test('nodes tells of each node, and of one all that is known: why it is away, what is held for it, how far its log is', () => {
  const fleet = { router: 'central', nodes: [node], raw: [] };
  const [screen, pipe] = bothOf((width) => fleetText(fleet, { width, now: NOW, paint }));
  expect(screen).toContain('unreachable');
  expect(pipe).toMatch(/ -345 .* 12 .* site=paris role=web/);
  const [one] = bothOf((width) => nodeText(node, { width, now: NOW, paint }));
  expect(one).toMatch(/\n {2}reason {6}its last handshake was refused/);
  expect(one).toContain('\n  address     10.0.0.7:1 and 10.0.0.8:2\n');
  expect(one).toContain('\n  log         up to its row 123456789, 345 rows behind\n');
  expect(one).toContain('\n  held        12 requests\n');
  expect(one).toContain('\n  labels      site=paris role=web\n');
});

test('keys list has each fingerprint whole, and how it came to be', () => {
  const keys: TrustEntry[] = [
    { state: 'accepted', fingerprint: KEY, identity: LONG, roles: ['client', 'admin', 'router'], at: NOW },
    { state: 'invited', identity: LONG, roles: ['node'], at: NOW, until: NOW + 3_600_000, by: '@local' },
    {
      ...{ state: 'pending', fingerprint: KEY, firstSeen: NOW, lastSeen: NOW, count: 1 },
      ...{ firstAddress: '10.0.0.7:1', lastAddress: '[fd00:1234:5678:9abc:def0:1234:5678:9abc]:41522' },
    },
    { state: 'config', fingerprint: KEY, identity: 'alice', roles: ['client'] },
  ];
  const [screen, pipe] = bothOf((width) => keysText(keys, width));
  expect(screen.split(KEY)).toHaveLength(4);
  expect(screen).toMatch(/\npending .*\n {2}2026-.* from/);
  expect(screen.replaceAll(/\s+/g, ' ')).toContain('from [fd00:1234:5678:9abc:def0:1234:5678:9abc]:41522');
  expect(pipe).toContain(`${KEY}  ${LONG}  client,admin,router  ${momentText(NOW / 1000)}`);
  expect(pipe.split('\n')).toHaveLength(6);
});

test('requests keeps the token, and cuts what is long', () => {
  const request = {
    ...{
      id: 1,
      token: TOKEN,
      owner: LONG,
      action: 'A_LONG_ACTION_NAME_OF_A_PLUGIN',
      target: LONG,
      acceptedAt: NOW / 1000,
    },
    ...{ endedAt: null, code: 1, error: 'COMMAND_NOT_STARTED', data: {} },
  };
  const yesterday = { ...request, acceptedAt: NOW / 1000 - 86_400 };
  const [screen, pipe] = bothOf((width) => requestsText([request, yesterday], { width, now: NOW, paint }));
  expect(screen).toMatch(/^WHEN [+-]\d\d:\d\d /);
  expect(pipe).toContain(`  ${TOKEN}\n`);
});

test('the actions of plugins are a table that fits', () => {
  const rows = [
    ['PLUGIN', 'ACTION', 'FOR', 'DOES'],
    [
      LONG,
      'A_LONG_ACTION_NAME_OF_A_PLUGIN',
      'client,node',
      'Something that takes some words to say, and then some more.',
    ],
  ];
  const [screen, pipe] = bothOf((width) => table(rows, width));
  expect(screen).toContain('…');
  expect(pipe).toContain('some more.');
});

test('check says on a terminal what is wrong in lines that fit', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'centreond-screens-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(
    path.join(folder, 'centreond.yaml'),
    `core: { id: central, external: { listen: "tcp://localhost:1" } }\nzebra: 1\n`,
  );
  const [screen, pipe] = await Promise.all(
    [80, undefined].map(async (columns) => {
      const stdout = Object.assign(new PassThrough(), columns === undefined ? {} : { isTTY: true, columns });
      const systemFolder = path.join(folder, 'etc');
      expect(await check({ cwd: folder, systemFolder, stdout, stderr: new PassThrough() })).toBe(1);
      stdout.end();
      return stripVTControlCharacters(await textOf(stdout));
    }),
  );
  expect(widest(screen ?? '')).toBeLessThanOrEqual(80);
  expect(pipe).toMatch(/^centreond\.yaml:1:\d+ {2}error .* {2}CONFIG_BAD_ADDRESS {2}.* or tcp:\/\/\*:5555\.$/m);
  expect(screen).toMatch(/CONFIG_BAD_ADDRESS\n {4}core\.external\.listen/);
});

test('the row that says that a request was accepted shows by whom, for which node, and what was asked', () => {
  const row = {
    ...{ id: 1, token: 't', type: 'COMMAND', node: 'central', code: 0, etime: NOW / 1000, ctime: NOW / 1000 },
    data: { owner: 'ada', target: 'paris' },
  };
  expect(rowLines(row, undefined, { asked: { command: 'uname -a', cwd: '/' } })).toBe(
    `${momentText(NOW / 1000)}  central  COMMAND  accepted\n  asked by  ada, for paris\n  command   uname -a\n  cwd       /\n`,
  );
  expect(rowLines({ ...row, data: { owner: 'ada', target: '' } })).toMatch(/accepted\n {2}asked by {2}ada\n$/);
  expect(rowLines({ ...row, data: { step: 1 } }, undefined, { asked: { command: 'x' } })).toMatch(
    /progress\n {2}step {2}1\n$/,
  );
});

const router = {
  ...{ id: LONG, state: 'up', endpoint: `tcp://${LONG}.example:5555`, version: '0.1.0', self: true },
  ...{ startedAt: NOW - 100_000_000, silentSeconds: 0, open: 123_456, nodes: 5000, nats: true },
};
const CLUSTER = { cluster: 'prod', natsAway: null, clockSkewSeconds: 0, routers: [router] };

test('routers tells of each router, and of what somebody has to look after', () => {
  const silent = { ...router, id: 'central-b', self: false, state: 'silent', silentSeconds: 12, nats: false };
  const stopped = { ...router, id: 'central-c', self: false, state: 'stopped' };
  const away = { ...CLUSTER, natsAway: 'the connection to NATS at nats://a:4222 is lost', clockSkewSeconds: -7.5 };
  const all = { ...away, routers: [router, silent, stopped] };
  const [screen, pipe] = bothOf((width) => routersText(all, 'central-a', { width, now: NOW, paint }));
  expect(pipe).toContain('cluster prod: 1 of 3 routers up; * is the one that was asked\n\nROUTER ');
  expect(pipe).toMatch(/\ncentral-b +silent, heard 12 s ago +123456 +5000 +- +- +0\.1\.0 +tcp:/);
  expect(pipe).toMatch(/\ncentral-c +stopped +/);
  expect(pipe).toContain('The clock of central-a differs from that of the database by 7.5 s: synchronise it.\n');
  expect(screen.replaceAll(/\s+/g, ' ')).toContain(
    'is lost: requests for what other routers carry wait, or are refused',
  );
  expect(screen).toMatch(/\nROUTER +STATE +OPEN/);
  const alone = routersText({ ...CLUSTER, cluster: null, routers: [] }, 'central', { width: 80, now: NOW, paint });
  expect(alone).toContain('The router central is by itself');
});

test('status of a router in a cluster says how the others are', () => {
  const cluster = { name: 'prod', natsAway: null, clockSkewSeconds: 0, routers: { a: 'up', b: 'taken' } };
  const text = statusText({ ...information, cluster } as never, { width: 80, paint });
  expect(text).toContain('\ncluster   prod, 1 of 2 routers up; b is taken\n');
  const early = statusText({ ...information, cluster: { ...cluster, clockSkewSeconds: -42 } } as never, {
    width: undefined,
    paint,
  });
  expect(early).toContain('; b is taken; the clock here differs from that of the database by 42 s\n');
});

test('status says that the store is away', () => {
  const away = { ...store, away: 'PostgreSQL is not there: read ECONNRESET' };
  const counters = { ...information.counters, store: away };
  const [screen, pipe] = bothOf((cells) => statusText({ ...information, counters } as never, { width: cells, paint }));
  expect(pipe).toContain(
    '\nstore     away (PostgreSQL is not there: read ECONNRESET): nothing is accepted until it is back\n',
  );
  expect(screen).toContain('\nstore     away (');
  const [, there] = bothOf((cells) => statusText(information as never, { width: cells, paint }));
  expect(there).not.toContain('\nstore ');
});
