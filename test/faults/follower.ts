// Follows a token in a process of its own, which a test can stop; prints how many rows came and whether each came once, in order.
import { connect } from '@centreond/client';

export interface Following {
  readonly door: { address: string; identity: string; key: string; router: string };
  readonly token: string;
  readonly rows: number;
}
export interface Followed {
  readonly rows: number;
  readonly bytes: number;
  readonly isOrdered: boolean;
}

const { door, token, rows } = JSON.parse(process.argv[2] as string) as Following;
const client = await connect({ ...door, timeoutMs: 60_000 });
let [count, bytes, last, isOrdered] = [0, 0, 0, true];
for await (const row of client.follow(token)) {
  if (count === 0) process.stdout.write('"follows"\n');
  const { step, text } = row.data as { step: number; text: string };
  isOrdered &&= row.id > last && step === count;
  last = row.id;
  bytes += text.length;
  if (++count === rows) break;
}
process.stdout.write(`${JSON.stringify({ rows: count, bytes, isOrdered } satisfies Followed)}\n`);
await client.close();
