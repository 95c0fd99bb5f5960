// npm run bench:fleet -- [--nodes 5000] [--idle 20] [--write 20] [--one-address] [--json] [--profile FOLDER]
// A router with many nodes, which are emulated: see README.md beside this file.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Client, connect } from '@centreond/client';
import { seconds as took } from '../daemon-process.ts';
import { median, quantile } from '../fleet/report.ts';
import { cpuMicros } from './cpu.ts';
import { EmulatedFleet } from './emulated-fleet.ts';
import { emulatedId } from './emulated-orders.ts';
import { pssOf } from './pss.ts';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '5000' },
    /** For how many seconds the idle router is looked at. */
    idle: { type: 'string', default: '20' },
    /** For how many seconds each node writes a row a second. */
    write: { type: 'string', default: '20' },
    /** All nodes behind one NAT. */
    'one-address': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    /** Where each thread of the daemon leaves a CPU profile. */
    profile: { type: 'string' },
  },
});
const count = Number(values.nodes);
const idleSeconds = Number(values.idle);
const writeSeconds = Number(values.write);
const UP_LIMIT_MS = 300_000;
/** After a restart those that are back by then are counted. */
const BACK_LIMIT_MS = 120_000;
const SETTLE_MS = 5000;
const CALL_ROUNDS = 3;
/** As core/src/cli/call-each.ts: requests that are not accepted yet. */
const AT_ONCE = 100;

const fleet = new EmulatedFleet(count, values['one-address']);
const { daemon } = fleet;

/** What `work` takes, in seconds, and what CPU time the router and the nodes use meanwhile. */
async function measured(work: () => Promise<unknown>) {
  const cpu = () => ({
    router: cpuMicros(daemon.pid),
    nodes: fleet.pids.reduce((sum, pid) => sum + cpuMicros(pid), 0),
  });
  const before = cpu();
  const seconds = await took(work);
  const after = cpu();
  return { seconds, routerMicros: after.router - before.router, nodesMicros: after.nodes - before.nodes };
}

/** COMMAND to every node, as the command line sends it. Resolves when each terminal row is here. */
async function callAll(client: Client): Promise<void> {
  const ends: Promise<void>[] = [];
  let next = 0;
  const lane = async () => {
    for (let index = next++; index < count; index = next++) {
      await new Promise<void>((accepted) => {
        const options = { target: emulatedId(index), onRow: () => accepted() };
        const end = client.call('COMMAND', { command: 'true' }, options).then(({ ok, data }) => {
          if (!ok) throw new Error(`COMMAND failed at ${emulatedId(index)}: ${JSON.stringify(data)}`);
        });
        end.catch(() => accepted());
        ends.push(end);
      });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  await Promise.all(ends);
}

function openFiles(): number {
  return readdirSync(`/proc/${daemon.pid}/fd`).length;
}

async function figures() {
  const profiled = values.profile && `NODE_OPTIONS=--cpu-prof --cpu-prof-dir=${path.resolve(values.profile)}`;
  const wrapper = profiled ? ['env', profiled] : [];
  await fleet.start(wrapper);
  // What a start leaves behind is collected.
  await pause(SETTLE_MS);
  const empty = pssOf(daemon.pid);
  const connected = await measured(() => {
    fleet.connect();
    return fleet.whenUp(UP_LIMIT_MS);
  });
  await pause(SETTLE_MS);
  const idle = await measured(() => pause(idleSeconds * 1000));
  const kibPerNode = (pssOf(daemon.pid) - empty) / 1024 / count;
  const files = openFiles();

  const calls: Awaited<ReturnType<typeof measured>>[] = [];
  const client = await connect({ address: daemon.socket });
  for (let round = 0; round < CALL_ROUNDS; round++) calls.push(await measured(() => callAll(client)));
  await client.close();

  let streamed = { rows: 0, storedInTime: 0, lagsMs: [] as readonly number[] };
  const writing = await measured(async () => {
    streamed = await fleet.write(writeSeconds);
  });

  let startSeconds = 0;
  const killedAt = performance.now();
  await daemon.end(profiled ? 'SIGTERM' : 'SIGKILL');
  startSeconds = await took(() => daemon.start(wrapper));
  const nodesBack = await took(() => fleet.whenUp(BACK_LIMIT_MS).catch(() => undefined));
  const back = fleet.registered;
  const backSeconds = (performance.now() - killedAt) / 1000;
  const backMicros = cpuMicros(daemon.pid);
  await daemon.end('SIGTERM');

  const per = (micros: number, of: number) => Math.round(micros / of);
  return {
    nodes: count,
    connect: {
      seconds: round1(connected.seconds),
      routerMicrosPerNode: per(connected.routerMicros, count),
      nodeMicrosPerNode: per(connected.nodesMicros, count),
    },
    restart: {
      seconds: round1(backSeconds),
      nodes: back,
      routerStartSeconds: round1(startSeconds),
      nodesSeconds: round1(nodesBack),
      routerMicrosPerNode: per(backMicros, count),
    },
    call: {
      nodesPerSecond: Math.round(count / median(calls.map(({ seconds }) => seconds))),
      routerMicrosPerNode: per(median(calls.map(({ routerMicros }) => routerMicros)), count),
      nodeMicrosPerNode: per(median(calls.map(({ nodesMicros }) => nodesMicros)), count),
    },
    idle: {
      cpuPercent: round1(idle.routerMicros / idle.seconds / 1e4),
      nodesCpuPercent: round1(idle.nodesMicros / idle.seconds / 1e4),
    },
    memory: { kibPerNode: Math.round(kibPerNode), emptyMib: Math.round(empty / 2 ** 20) },
    streams: {
      rowsPerSecond: Math.round(streamed.storedInTime / writeSeconds),
      written: streamed.rows,
      stored: streamed.lagsMs.length,
      lagP50Ms: Math.round(quantile(streamed.lagsMs, 0.5)),
      lagP99Ms: Math.round(quantile(streamed.lagsMs, 0.99)),
      cpuPercent: round1(writing.routerMicros / writing.seconds / 1e4),
      routerMicrosPerRow: per(writing.routerMicros, streamed.rows),
    },
    openFiles: files,
  };
}

function round1(figure: number): number {
  return Math.round(figure * 10) / 10;
}

function print(result: Awaited<ReturnType<typeof figures>>): void {
  const { connect: first, restart, call, idle, memory, streams } = result;
  const line = (name: string, figure: string, wanted: string, more: string) =>
    process.stdout.write(`${name.padEnd(24)}${figure.padStart(14)}  ${wanted.padEnd(14)}${more}\n`);
  const cpu = (router: number, nodes: number) => `CPU a node: router ${router} µs, node ${nodes} µs`;
  line(`${count} nodes`, '', 'wanted', '');
  line('connected', `${first.seconds} s`, '', cpu(first.routerMicrosPerNode, first.nodeMicrosPerNode));
  line(
    'back after kill -9',
    `${restart.seconds} s`,
    '≤ 60 s',
    `${restart.nodes} of ${count}; router ready after ${restart.routerStartSeconds} s, nodes ${restart.nodesSeconds} s later; CPU a node: router ${restart.routerMicrosPerNode} µs`,
  );
  line(
    'call --target all',
    `${call.nodesPerSecond} nodes/s`,
    '≥ 1000 nodes/s',
    cpu(call.routerMicrosPerNode, call.nodeMicrosPerNode),
  );
  line('idle', `${idle.cpuPercent} %`, '≤ 25 %', `of a core; nodes ${idle.nodesCpuPercent} %`);
  line('memory of the router', `${memory.kibPerNode} KiB a node`, '≤ 100 KiB', `besides ${memory.emptyMib} MiB`);
  line(
    'a row a second each',
    `${streams.rowsPerSecond} rows/s`,
    `${count} rows/s`,
    `${streams.stored} of ${streams.written} stored; lag p50 ${streams.lagP50Ms} ms, p99 ${streams.lagP99Ms} ms; router ${streams.cpuPercent} % of a core, ${streams.routerMicrosPerRow} µs a row`,
  );
  line('open descriptors', String(result.openFiles), '', 'of the router');
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void fleet.dispose().finally(() => process.exit(1)));
}
try {
  const result = await figures();
  if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else print(result);
} finally {
  await fleet.dispose();
}
