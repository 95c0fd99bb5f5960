import { createHash } from 'node:crypto';
import { BEGINNING, type Counts, type History } from './history.ts';

/** What one side of a copy holds: how much, and a digest of all of it. */
export interface Digest extends Counts {
  /** SHA-256, in hexadecimal digits. */
  readonly sha256: string;
}

/**
 * Reads all of a history, requests and rows by ascending id, and computes a digest that does not depend on the driver. Calls
 * `step` with how many requests and rows it has read on.
 */
export async function digestOf(history: History, step: (records: number) => void): Promise<Digest> {
  const hash = createHash('sha256');
  const counts = { requests: 0, rows: 0, entries: 0, aside: 0, logs: 0, pins: 0 };
  const add = (kind: keyof Counts, values: readonly unknown[]) => {
    counts[kind]++;
    hash.update(`${kind} ${JSON.stringify(values)}\n`);
  };
  for (let after = BEGINNING; ; ) {
    const page = await history.requests(after);
    for (const r of page) {
      after = r.id;
      const texts = [r.owner, r.action, r.target, r.envelope, r.data];
      add('requests', [r.id, r.token, r.ctime, r.etime, r.log, ...texts, r.open, r.failed]);
    }
    if (page.length === 0) break;
    step(page.length);
  }
  for (let after = BEGINNING; ; ) {
    const page = await history.rows(after);
    for (const r of page) {
      after = r.id;
      const origin = [r.type, r.node, r.epoch, r.originId, r.apart];
      add('rows', [r.id, r.token, r.code, r.etime, r.ctime, r.data, ...origin]);
    }
    if (page.length === 0) break;
    step(page.length);
  }
  for (let after = { type: '', key: '' }; ; ) {
    const page = await history.entries(after);
    for (const { type, key, value } of page) add('entries', [type, key, value]);
    const last = page.at(-1);
    if (!last) break;
    after = last;
  }
  for (let after = BEGINNING; ; ) {
    const page = await history.aside(after);
    for (const r of page) {
      after = r.place;
      add('aside', [r.node, r.epoch, r.originId, r.ctime, r.reason, r.row]);
    }
    if (page.length === 0) break;
  }
  for (const { node, epoch, ctime, last } of await history.logs()) add('logs', [node, epoch, ctime, last]);
  for (const { identity, key, ctime } of await history.pins()) add('pins', [identity, key, ctime]);
  const { epoch, formerEpochs, purgedUpTo, purgeClock, lastId } = await history.facts();
  hash.update(JSON.stringify([epoch, formerEpochs, purgedUpTo, purgeClock, lastId]));
  return { ...counts, sha256: hash.digest('hex') };
}
