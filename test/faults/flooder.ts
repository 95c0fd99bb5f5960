// One client that asks too much, in a process of its own; prints what came of it as one line of JSON.
import { connect } from '@centreond/client';

export interface Flood {
  readonly door: { address: string; identity: string; key: string; router: string };
  readonly action: string;
  readonly data: Record<string, unknown>;
  /** Length of `note` in DATA; none where it is 0. */
  readonly noteBytes: number;
  readonly count: number;
  readonly atOnce: number;
}

export interface Flooded {
  readonly accepted: number;
  /** Refusals by their code. */
  readonly refused: Record<string, number>;
  readonly seconds: number;
}

const { door, action, data, noteBytes, count, atOnce } = JSON.parse(process.argv[2] as string) as Flood;
const client = await connect({ ...door, timeoutMs: 60_000 });
const asked = noteBytes > 0 ? { ...data, note: 'x'.repeat(noteBytes) } : data;
const refused: Record<string, number> = {};
let accepted = 0;
let next = 0;
const startedAt = performance.now();
await Promise.all(
  Array.from({ length: atOnce }, async () => {
    while (next++ < count) {
      try {
        await client.send(action, asked);
        accepted++;
      } catch (error) {
        const { code } = error as { code?: string };
        if (code === undefined) throw error;
        refused[code] = (refused[code] ?? 0) + 1;
      }
    }
  }),
);
const flooded: Flooded = { accepted, refused, seconds: (performance.now() - startedAt) / 1000 };
process.stdout.write(`${JSON.stringify(flooded)}\n`);
await client.close();
