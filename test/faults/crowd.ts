// Many clients with a session each, in a process of its own. Ends with its standard input, and says then how many live and how often one was lost.
import { readFileSync } from 'node:fs';
import { type Client, connect } from '@centreond/client';

export interface Crowd {
  readonly address: string;
  readonly router: string;
  /** A file with a JSON list of identities and their keys. */
  readonly file: string;
}
export type CrowdSaid = { readonly open: number } | { readonly alive: number; readonly lost: number };

const { address, router, file } = JSON.parse(process.argv[2] as string) as Crowd;
const members = JSON.parse(readFileSync(file, 'utf8')) as { identity: string; key: string }[];
const clients: Client[] = [];
let lost = 0;
let next = 0;
await Promise.all(
  Array.from({ length: 16 }, async () => {
    for (let member = members[next++]; member; member = members[next++]) {
      const client = await connect({ ...member, address, router, timeoutMs: 120_000 });
      client.on('lost', () => lost++);
      clients.push(client);
    }
  }),
);
const say = (said: CrowdSaid) => process.stdout.write(`${JSON.stringify(said)}\n`);
say({ open: clients.length });
process.stdin.resume();
await new Promise((resolve) => process.stdin.once('end', resolve));
const alive = await Promise.all(clients.map(({ connected }) => connected));
say({ alive: alive.filter(Boolean).length, lost });
process.exit(0);
