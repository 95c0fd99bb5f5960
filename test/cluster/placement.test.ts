import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { noPostgres } from '../core/store/postgres-server.ts';
import { ROOT, until } from '../daemon-process.ts';
import { report, seconds } from '../fleet/report.ts';
import { Cluster } from './cluster.ts';
import type { Router } from './member.ts';
import { noNats } from './nats-server.ts';
import { Way } from './way.ts';

const SOLO = path.join(ROOT, 'test/fixtures/solo');
const ELSEWHERE_MS = 15_000;
const BACK_MS = 30_000;
/** Of the 4 s that a plugin may take to stop. */
const LINGERS_MS = 3000;

/** One process of the plugin: where it ran, and between which times. */
interface Turn {
  readonly router: string;
  readonly pid: string;
  readonly from: number;
  until: number;
}

describe.skipIf(noPostgres ?? noNats)('a plugin that one router of three runs at a time', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'centreond-placement-'));
  const beats = path.join(folder, 'beats');
  let cluster: Cluster;
  /** How each router reaches PostgreSQL. */
  const ways = new Map<string, Way>();
  /** A process that stood still, and went on: it knows nothing of that, until its router finds itself fenced and ends. */
  let stoodStill: { pid: string; at: number } | undefined;

  const turns = (): Turn[] => {
    const all = new Map<string, Turn>();
    const lines = existsSync(beats) ? readFileSync(beats, 'utf8').trim().split('\n') : [];
    for (const line of lines) {
      const [router = '', pid = '', at] = line.split(' ');
      if (pid === stoodStill?.pid && Number(at) > stoodStill.at) continue;
      const turn = all.get(pid) ?? { router, pid, from: Number(at), until: 0 };
      turn.until = Number(at);
      all.set(pid, turn);
    }
    return [...all.values()];
  };
  const running = (): Router => {
    const last = turns().at(-1);
    if (!last) throw new Error('it has run nowhere');
    return cluster.router(last.router);
  };
  /** Resolves with the turn that began on another router than `before`, or on any, since `since`. */
  const next = async (since: number, limitMs: number, before?: Router): Promise<Turn> => {
    const found = () => turns().find(({ from, router }) => from > since && router !== before?.id);
    await until('another router runs it', () => found() !== undefined, limitMs);
    return found() as Turn;
  };
  const answers = (router: Router) => cluster.client(router).call('WHERE', {}, { timeoutMs: 20_000 });

  beforeAll(async () => {
    const pluginsOf = (name: string) => [{ package: SOLO, config: { beats, name, lingersMs: LINGERS_MS } }];
    const way = async (id: string, port: number) => {
      const one = new Way(port);
      ways.set(id, one);
      return one.listen();
    };
    cluster = await Cluster.start({ routers: 3, pluginsOf, way });
  }, 120_000);
  afterAll(async () => {
    await cluster.close();
    for (const way of ways.values()) way.close();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    for (const router of cluster.routers) if (!router.running) await cluster.restart(router);
    await until('it runs', () => Date.now() - (turns().at(-1)?.until ?? 0) < 500, BACK_MS);
  }, 120_000);
  afterEach(() => {
    const all = turns();
    for (const [at, turn] of all.entries()) {
      for (const later of all.slice(at + 1)) {
        expect(later.from, `${later.router} runs it beside ${turn.router}`).toBeGreaterThan(turn.until);
      }
    }
  });

  test('is asked at each of them', async () => {
    const { id } = running();
    for (const router of cluster.routers) {
      expect(await answers(router)).toMatchObject({ ok: true, data: { where: `${id} solo` } });
    }
  });

  test('runs on another one within 15 s once that is killed, which takes what is asked meanwhile', async () => {
    const before = running();
    const [other] = cluster.routers.filter((router) => router !== before);
    const began = Date.now();
    await before.end('SIGKILL');
    const asked = answers(other as Router);
    const { router, from } = await next(began, ELSEWHERE_MS, before);
    report(`killed: runs elsewhere after ${seconds(from - began)}`);
    expect(await asked).toMatchObject({ ok: true, data: { where: `${router} solo` } });
  });

  test('runs on another one within 15 s once that stands still with all that it started', async () => {
    const before = running();
    const began = Date.now();
    before.pause();
    stoodStill = { pid: turns().at(-1)?.pid ?? '', at: Date.now() };
    const { from } = await next(began, ELSEWHERE_MS, before);
    report(`paused: runs elsewhere after ${seconds(from - began)}`);
    before.resume();
    await until('the router has ended by itself', () => !before.running, ELSEWHERE_MS);
  });

  test('runs on another one at once when that stops', async () => {
    const before = running();
    const began = Date.now();
    await before.end('SIGTERM');
    const { from } = await next(began, ELSEWHERE_MS, before);
    report(`stopped: runs elsewhere after ${seconds(from - began)}`);
  });

  test('runs on another one within 15 s once that is cut off from PostgreSQL, where it has ended before', async () => {
    const before = running();
    const began = Date.now();
    ways.get(before.id)?.cut();
    const { from } = await next(began, ELSEWHERE_MS, before);
    const [ended] = turns()
      .filter(({ router, from }) => router === before.id && from < began)
      .slice(-1);
    report(
      `cut off: ended after ${seconds((ended?.until ?? 0) - began)}, runs elsewhere after ${seconds(from - began)}`,
    );
    ways.get(before.id)?.join();
    await cluster.whenLinked();
  });

  test('never runs twice when PostgreSQL ends all connections, and runs again', async () => {
    for (let round = 0; round < 3; round++) {
      const began = Date.now();
      await cluster.postgres.kill();
      await cluster.postgres.start();
      const { from } = await next(began, ELSEWHERE_MS);
      report(`PostgreSQL killed: runs again after ${seconds(from - began)}`);
    }
  });

  test('ends where PostgreSQL does not answer, and runs once it does', async () => {
    const began = Date.now();
    cluster.postgres.pause();
    await until('it runs nowhere', () => Date.now() - (turns().at(-1)?.until ?? 0) > 1000, ELSEWHERE_MS);
    report(`PostgreSQL stands still: ended after ${seconds((turns().at(-1)?.until ?? 0) - began)}`);
    cluster.postgres.resume();
    const resumed = Date.now();
    const { from } = await next(resumed, BACK_MS);
    report(`PostgreSQL goes on: runs again after ${seconds(from - resumed)}`);
  });
});
