import { readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';
import {
  auth,
  b64,
  Client,
  hello,
  Key,
  newToken,
  type RouterKey,
  routerKey,
  sealRecord,
  type Who,
  Wire,
  whoOf,
} from '../e2e/second-implementation.ts';
import { seeded, seedOfRun } from '../faults/ledger.ts';

const LONG = process.env.LONG ? 10 : 1;
const daemon = new DaemonProcess({
  core: { maxMessage: '64KiB', log: { level: 'error' } },
  plugins: [{ package: path.join(ROOT, 'test/fixtures/probe') }],
});
const crowd: Who[] = [];
const open: { close(): Promise<void> }[] = [];
let live: Client;
let waiting: Client;
let waitingSince: number;
let router: RouterKey;
let residentBefore: number;

beforeAll(async () => {
  const alice = whoOf(daemon.client('alice'));
  const roles = ['client', 'node', 'router'];
  for (const [i, key] of (await Key.crowd(12)).entries()) {
    const identity = `client-${i}`;
    crowd.push({ identity, key });
    daemon.clients.push({ identity, fingerprint: key.thumbprint, roles: [roles[i % 3]] });
  }
  await daemon.start();
  router = await routerKey(daemon);
  live = await Client.connect(daemon, alice);
  waiting = await Client.begin(daemon, crowd[11] as Who);
  waitingSince = Date.now();
  open.push(live, waiting);
  residentBefore = resident();
});
afterAll(async () => {
  for (const one of open) await one.close();
  await daemon.dispose();
});

/** Bytes of the daemon's memory. */
function resident(): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))?.[1]) * 1024;
}

const seed = seedOfRun();
const random = seeded(seed);
const below = (limit: number) => Math.floor(random() * limit);
const pick = <T>(from: readonly T[]): T => from[below(from.length)] as T;
const noise = (length: number) => Buffer.from(Array.from({ length }, () => below(256)));

/** Words that parsers trip over. */
const WORDS = [
  ...['[', ']', '] [', ' ', '"', '{', '}', ',', ':', '\\', '\0', '\n', '=', '.', '+', '/', '-1', '0', '1e309'],
  ...['null', 'true', '[]', '{}', '""', '__proto__', 'constructor', '\\ud800', 'é', '\u2028', '9007199254740993'],
  ...['[HELO] ', '[PING] [] []', '{"$":{"from":"x"}}', 'AQAB', '=='],
].map((word) => Buffer.from(word));

/** `bytes` with a few things done to it. */
function mutated(bytes: Buffer): Buffer {
  let out = Buffer.from(bytes);
  for (let times = 1 + below(3); times > 0; times--) {
    const at = below(out.length + 1);
    const to = at + below(Math.min(40, out.length - at + 1));
    const parts = [out.subarray(0, at), out.subarray(to)];
    const middle = [
      () => [],
      () => [noise(below(8))],
      () => [pick(WORDS)],
      () => [out.subarray(at, to), out.subarray(at, to)],
      () => [out.subarray(at, to).map((byte) => byte ^ (1 << below(8)))],
    ];
    out = Buffer.concat([parts[0] as Buffer, ...pick(middle)(), parts[1] as Buffer]);
  }
  return out;
}

/** A JSON value of any kind. */
function anything(depth = 0): unknown {
  const kinds: (() => unknown)[] = [
    () => null,
    () => pick([true, false]),
    () => pick([0, -1, 1.5, 1e300, 2 ** 53, 65_537]),
    () => String(pick(WORDS)),
    () => b64(noise(below(70))),
    () => 'x'.repeat(below(5000)),
    () => Array.from({ length: below(5) }, () => (depth > 3 ? 1 : anything(depth + 1))),
    () =>
      Object.fromEntries(
        Array.from({ length: below(4) }, () => [String(pick(WORDS)), depth > 3 ? 1 : anything(depth + 1)]),
      ),
  ];
  return pick(kinds)();
}

/** That the session which had nothing to do with it goes on, and the daemon holds no more than it may. */
async function unharmed(): Promise<void> {
  expect((await live.ping()).code).toBe(0);
  expect(live.heard.filter(({ clear, verb }) => clear || verb === 'BYE')).toEqual([]);
  live.heard.length = 0;
  expect(resident() - residentBefore).toBeLessThan(200 * 1024 * 1024);
  expect(daemon.stderr).not.toMatch(/internal error|failed here|not handled to its end|could not read/);
}

test(`frames of any bytes (SEED=${seed})`, async () => {
  const wires = Array.from({ length: 6 }, () => new Wire(daemon.endpoint));
  open.push(...wires);
  const starts = [
    Buffer.of(1),
    Buffer.of(1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    Buffer.from('[HELO] '),
    Buffer.from('['),
  ];
  for (let i = 0; i < 6000 * LONG; i++) {
    const frame = Buffer.concat([random() < 0.8 ? pick(starts) : Buffer.alloc(0), noise(below(200))]);
    const more = random() < 0.05 ? [noise(below(5))] : [];
    const sent = pick(wires).send(frame, ...more);
    if (i % 500 === 0) {
      await sent;
      await live.ping();
    }
  }
  await unharmed();
});

test(`bytes that are no ZeroMQ, and frames beyond the largest (SEED=${seed})`, async () => {
  const port = Number(new URL(daemon.endpoint).port);
  for (let i = 0; i < 40 * LONG; i++) {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => socket.destroy());
    socket.end(noise(below(2000)));
    await new Promise((resolve) => socket.once('close', resolve).resume());
  }
  const wire = new Wire(daemon.endpoint);
  open.push(wire);
  // It is cut off, and begins again by itself.
  await wire.send(Buffer.alloc(64 * 1024 + 64 * 1024 + 1, 1));
  await until('the connection is back', async () => {
    await wire.send('[GETPUBKEY]');
    return wire.frames.some((frame) => frame.toString().startsWith('[PUBKEY]'));
  });
  await unharmed();
});

test(`HELOs with anything in them, signed and not (SEED=${seed})`, async () => {
  const wires = Array.from({ length: 6 }, () => new Wire(daemon.endpoint));
  open.push(...wires);
  const fields = ['v', 'ciphers', 'sid', 'cid', 'jwk', 'x', 'n', 'ts', 'box', 'e', 'kty', '__proto__'];
  for (let i = 0; i < 800 * LONG; i++) {
    const plan = { ...pick(crowd.slice(0, 3)), router };
    const change = Object.fromEntries(Array.from({ length: 1 + below(2) }, () => [pick(fields), anything()]));
    const forms = [
      () => hello({ ...plan, fields: change }).frame,
      () => hello({ ...plan, fields: { jwk: { ...plan.key.jwk, ...change } } }).frame,
      () => hello({ ...plan, bytesOf: (body) => mutated(Buffer.from(JSON.stringify(body))) }).frame,
      () => hello({ ...plan, boxText: String(mutated(Buffer.from(`[HELO] [${plan.identity}]`))).slice(0, 200) }).frame,
      () => mutated(Buffer.from(hello(plan).frame)),
    ];
    const sent = pick(wires).send(pick(forms)());
    if (i % 50 === 0) {
      await sent;
      await live.ping();
    }
  }
  await unharmed();
});

test(`records that are broken in any place end their session, and nothing else (SEED=${seed})`, async () => {
  for (let i = 0; i < 30 * LONG; i++) {
    const who = crowd[3 + (i % 5)] as Who;
    // A key may begin six sessions at once and one a second then.
    let client: Client | undefined;
    await until('a handshake', async () => {
      client = await Client.connect(daemon, who).catch(() => undefined);
      return client !== undefined;
    });
    const session = client as Client;
    await session.ping();
    const record = sealRecord(session.c2s.parts(), noise(below(300)));
    const broken = mutated(record);
    const frame = broken.equals(record) || broken[0] !== 1 ? record.subarray(0, -1) : broken;
    await session.wire.send(frame);
    await session.isOver();
    await session.close();
  }
  await unharmed();
});

test(`every message has one answer, whatever it holds (SEED=${seed})`, async () => {
  const actions = ['PING', 'GETLOG', 'PUTLOG', 'FOLLOW', 'CANCEL', 'GETTHUMBPRINT', 'INFORMATION', 'ECHO', 'STEPS'];
  const rare = ['CONSTATUS', 'REGISTERNODE', 'SETLOGS', 'KILL', 'LOADPLUGIN', 'KEYS', 'LOCKED', 'ping', '', '_'];
  const bases = [
    (t: string) => `[PUTLOG] [${newToken()}] [] {"token":"${t}","code":10,"data":{"a":[1,"é"]},"$":{"hold":true}}`,
    (t: string) => `[GETLOG] [] [central] {"token":"${t}","code":0,"id":0,"ctime":1,"etime":1,"limit":3}`,
    (t: string) => `[ECHO] [${t}] [] {"a":{"b":[null,1.5,"\\u0041"]},"$":{"deadline":9999999999}}`,
    (t: string) => `[FOLLOW] [] [] {"token":"${t}","id":0}`,
    (t: string) => `[CANCEL] [${newToken()}] [] {"token":"${t}"}`,
    (t: string) => `[KILL] [${newToken()}] [] [probe] [${t}]`,
  ];
  const sessions: Client[] = [];
  for (const who of crowd.slice(8, 11)) {
    await until('a handshake', async () => {
      const made = await Client.connect(daemon, who).catch(() => undefined);
      if (made) sessions.push(made);
      return made !== undefined;
    });
  }
  open.push(...sessions);
  for (const session of sessions) {
    for (let round = 0; round < 30 * LONG; round++) {
      const messages = Array.from({ length: 60 }, () => {
        const token = random() < 0.7 ? `f${below(40)}` : newToken();
        if (random() < 0.6) return mutated(Buffer.from(pick(bases)(token)));
        const action = pick(random() < 0.8 ? actions : rare);
        return Buffer.from(`[${action}] [${newToken()}] [] ${JSON.stringify(anything())}`);
      });
      session.heard.length = 0;
      const last = newToken();
      const lines = [...messages, Buffer.from(`[PING] [${last}] []`)];
      await session.send(...lines);
      const answers = () => session.heard.filter(({ verb }) => verb === 'ACK' || verb === 'PONG');
      await until(
        `${lines.length} answers to\n${messages.join('\n')}\nand not\n${answers()
          .map(({ text }) => text)
          .join('\n')}`,
        () => session.fault !== undefined || answers().length >= lines.length,
      );
      expect(session.fault).toBeUndefined();
      expect(answers()).toHaveLength(lines.length);
      expect(answers().filter(({ text }) => text.includes('"INTERNAL"'))).toEqual([]);
    }
    await session.close();
  }
  await unharmed();
});

test('a handshake without its AUTH is forgotten after ten seconds', async () => {
  await until('ten seconds are over', () => Date.now() - waitingSince > 11_500, 15_000);
  expect(await waiting.wire.ask(waiting.c2s.seal(auth(waiting.handshake, waiting.who.key)))).toBe('[NOSESSION] []');
  await unharmed();
  const newcomer = await Client.connect(daemon, crowd[11] as Who);
  open.push(newcomer);
  expect((await newcomer.ping()).code).toBe(0);
});
