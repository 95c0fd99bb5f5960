import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { noPostgres } from '../core/store/postgres-server.ts';
import { ROOT } from '../daemon-process.ts';
import { report } from '../fleet/report.ts';
import { noNats } from './nats-server.ts';

const run = promisify(execFile);
const LIMIT_MS = 1_200_000;
/** The short form prints its figures. The long one, for a machine that does nothing else, is held to them. */
const isLong = Boolean(process.env.LONG);
const rounds = ['--rounds', isLong ? '5' : '1'];

const Rates = z.record(z.string(), z.object({ ratio: z.number() }));
const Fleet = z.object({
  nodes: z.int(),
  restart: z.object({ seconds: z.number(), nodes: z.int() }),
  call: z.object({ nodesPerSecond: z.number() }),
  idle: z.object({ cpuPercent: z.number() }),
  memory: z.object({ kibPerNode: z.number() }),
});

/** What a bench prints with --json. */
async function figures(script: string, ...args: string[]): Promise<unknown> {
  const file = path.join(ROOT, 'test/bench', script);
  const { stdout } = await run(process.execPath, [file, '--json', ...args], { cwd: ROOT, timeout: LIMIT_MS });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}

function hold(what: string, figure: number, limit: { least: number } | { most: number }): void {
  const isMost = 'most' in limit;
  const bound = isMost ? limit.most : limit.least;
  report(`${what}: ${figure} (promised: ${isMost ? '≤' : '≥'} ${bound})`);
  if (!isLong) return;
  if (isMost) expect(figure, what).toBeLessThanOrEqual(bound);
  else expect(figure, what).toBeGreaterThanOrEqual(bound);
}

describe.skipIf(noPostgres ?? noNats)('what it costs', { timeout: LIMIT_MS }, () => {
  test('a router on PostgreSQL ends half as many requests as on SQLite, or more', async () => {
    const { postgres } = z.object({ postgres: Rates }).parse(await figures('postgres.ts', ...rounds));
    for (const [name, { ratio }] of Object.entries(postgres)) hold(`${name}, PostgreSQL/SQLite`, ratio, { least: 0.5 });
    expect(Object.keys(postgres)).toEqual(['1x100', '1x1000']);
  });

  test('a request costs a second router of a cluster as much CPU time as the first', async () => {
    const { cost } = z.object({ cost: Rates }).parse(await figures('cost.ts', ...rounds));
    for (const [name, { ratio }] of Object.entries(cost)) hold(`${name}, second/first router`, ratio, { most: 1.1 });
    expect(Object.keys(cost)).toEqual(['1x100', '1x1000']);
  });

  test('a router carries 5,000 nodes', async () => {
    const short = ['--nodes', '250', '--idle', '5', '--write', '1'];
    const told = Fleet.parse(await figures('fleet.ts', ...(isLong ? ['--nodes', '5000'] : short)));
    const { nodes, restart, call, idle, memory } = told;
    expect(restart.nodes).toBe(nodes);
    hold(`${nodes} nodes back after kill -9, s`, restart.seconds, { most: 60 });
    hold(`call to ${nodes} nodes, nodes/s`, call.nodesPerSecond, { least: 1000 });
    // What a router needs by itself is shared by few nodes here.
    hold(`memory with ${nodes} nodes, KiB a node`, memory.kibPerNode, { most: 100 });
    hold(`idle with ${nodes} nodes, % of a core`, idle.cpuPercent, { most: 25 });
  });
});
