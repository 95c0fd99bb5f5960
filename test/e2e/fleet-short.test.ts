import type { HistoryRow } from '@centreond/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../daemon-process.ts';
import { runs } from '../faults/ledger.ts';
import { Fleet } from '../fleet/fleet.ts';

// The short part of `npm run test:fleet`.
let fleet: Fleet;
beforeAll(async () => {
  fleet = await Fleet.start({ pull: 1, push: 1 });
}, 120_000);
afterAll(async () => fleet?.close());

test.each(['pull', 'push'])(
  'a node linked by %s that is cut off runs what it has, once; when the wire is whole again, all of its rows come, in order',
  async (kind) => {
    const { id, machine, wire } = fleet.poller(`${kind}-1`);
    const rows: HistoryRow[] = [];
    const onRow = (row: HistoryRow) => {
      // In the middle of it.
      if (rows.push(row) === 30) wire.cut();
    };
    // Too slow for all of them to have come by then.
    wire.bytesPerSecond = 200_000;
    const steps = fleet.alice.call('STEPS', { rows: 5000 }, { target: id, token: `cut-${kind}`, onRow });
    const once = fleet.alice.call('ONCE', { ms: 300 }, { target: id, token: `once-${kind}` });
    const local = await fleet.local(machine);
    for await (const row of local.follow(`cut-${kind}`)) if (row.code === 2) break;
    await until('it was cut', () => rows.length >= 30);
    expect(rows.length).toBeLessThan(5000);
    wire.bytesPerSecond = Number.POSITIVE_INFINITY;
    await wire.heal();
    expect(await steps).toMatchObject({ ok: true, row: { node: id } });
    expect((await once).ok).toBe(true);
    const numbers = rows.filter(({ code }) => code === 50).map(({ data }) => (data as { step: number }).step);
    expect(numbers).toEqual(Array.from({ length: 5000 }, (_, i) => i + 1));
    expect(runs(machine)).toEqual(new Map([[`once-${kind}`, 1]]));
  },
);
