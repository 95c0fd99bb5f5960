import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { JsonObject, State } from '@centreond/plugin-sdk';
import { z } from 'zod';

/** STATE's keys have 255 characters at most. */
const PLAIN_TOKEN_CHARACTERS = 160;

const Entry = z.object({
  token: z.string(),
  action: z.string(),
  /** Of action and data: the same token for another request is refused. */
  digest: z.string(),
  /** Who has taken it: an object of a process. */
  by: z.object({ object: z.string(), pid: z.int(), born: z.string() }),
});
export type Entry = z.output<typeof Entry>;

/** The ledgers of this process that are open. */
const OPEN = new Set<string>();

/**
 * What a node was given and has not finished, on disk: a token that is in it was taken and never runs again. Each ledger is of
 * one object of one process; what another left behind shows when that is gone.
 */
export class Ledger {
  readonly #object = randomUUID();
  readonly #born = bornOf(process.pid);
  readonly #prefix: string;

  constructor(
    node: string,
    private readonly state: State,
  ) {
    this.#prefix = `ssh/${node}/`;
    OPEN.add(this.#object);
  }

  #key(token: string): string {
    const plain = token.length <= PLAIN_TOKEN_CHARACTERS;
    // No token has a slash.
    return this.#prefix + (plain ? token : `sha256/${createHash('sha256').update(token).digest('hex')}`);
  }

  /** The entry of a token, if it was taken before. */
  async find(token: string): Promise<Entry | undefined> {
    return Entry.safeParse(await this.state.get(this.#key(token))).data;
  }

  /** Puts a request down as taken by this ledger; resolves when it is on disk. */
  async take(token: string, action: string, digest: string): Promise<void> {
    const by = { object: this.#object, pid: process.pid, born: this.#born };
    const entry: Entry = { token, action, digest, by };
    await this.state.set(this.#key(token), entry);
  }

  /** Forgets a request whose end the core has. */
  async forget(token: string): Promise<void> {
    await this.state.delete(this.#key(token));
  }

  /** What others took: `orphans` by those that are gone, `others` by those that still see to it. */
  async left(): Promise<{ orphans: Entry[]; others: number }> {
    const entries = (await this.state.list(this.#prefix))
      .map(({ value }) => Entry.safeParse(value).data)
      .filter((entry) => entry !== undefined && entry.by.object !== this.#object) as Entry[];
    const orphans = entries.filter(({ by }) => !isOpen(by));
    return { orphans, others: entries.length - orphans.length };
  }

  /** Whether an entry is this ledger's own. */
  owns({ by }: Entry): boolean {
    return by.object === this.#object;
  }

  /** From here on what is in it belongs to nobody. */
  close(): void {
    OPEN.delete(this.#object);
  }
}

/** What tells requests under one token apart. */
export function digestOf(action: string, data: JsonObject): string {
  return createHash('sha256')
    .update(JSON.stringify([action, data]))
    .digest('base64url');
}

function isOpen({ object, pid, born }: Entry['by']): boolean {
  if (pid === process.pid) return OPEN.has(object);
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it is there, and belongs to another user.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  // A process of the same number is another where it was born at another time; only Linux tells.
  return bornOf(pid) === born;
}

function bornOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
