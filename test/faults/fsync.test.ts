import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { connect } from '@centreond/client';
import { expect, test } from 'vitest';
import { daemonWithLedger } from './ledger.ts';

const strace = spawnSync('strace', ['-V']).status === 0;

/** The calls of a trace in the order in which they ended; `began` is the line on which each was entered. */
function callsOf(trace: string): { name: string; text: string; began: number; ended: number }[] {
  const unfinished = new Map<string, { text: string; began: number }>();
  const calls: { name: string; text: string; began: number; ended: number }[] = [];
  for (const [at, line] of trace.split('\n').entries()) {
    const match = /^(\d+) +(.*)$/.exec(line);
    if (!match) continue;
    const [, pid = '', rest = ''] = match;
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest);
    if (rest.endsWith('<unfinished ...>')) unfinished.set(pid, { text: rest, began: at });
    else if (resumed) {
      const begun = unfinished.get(pid);
      if (begun)
        calls.push({ name: resumed[1] ?? '', text: begun.text + (resumed[2] ?? ''), began: begun.began, ended: at });
    } else calls.push({ name: /^\w+/.exec(rest)?.[0] ?? '', text: rest, began: at, ended: at });
  }
  return calls;
}

const SENDS = /^(sendto|sendmsg|write|writev)$/;

/** What a trace says of a token, in places of the trace: of its row, of the sync that covers it, and of what was sent. */
function orderOf(trace: ReturnType<typeof callsOf>, action: string, token: string) {
  const sentFirst = (text: string) => trace.find((call) => SENDS.test(call.name) && call.text.includes(text))?.began;
  // The first write: a later transaction may write the same page again before this one is acknowledged.
  const row = trace.find(
    ({ name, text }) => name === 'pwrite64' && text.includes('history.sdb-wal') && text.includes(token),
  );
  const synced = trace.find(
    ({ name, text, began }) =>
      /^f(data)?sync$/.test(name) && text.includes('history.sdb-wal') && began >= (row?.ended ?? Infinity),
  );
  return { ack: sentFirst(`[ACK] [${token}]`), run: sentFirst(`[${action}] [${token}]`), synced: synced?.ended };
}

test.skipIf(!strace)('no ACK leaves, and nothing runs that may run once only, before its row is on disk', async () => {
  const daemon = daemonWithLedger();
  const file = path.join(daemon.folder, 'trace');
  try {
    const calls = 'trace=pwrite64,write,writev,fdatasync,fsync,sendto,sendmsg';
    await daemon.start(['strace', '-f', '-y', '-s', '300000', '-e', calls, '-o', file]);
    // The internal door is in clear, so that the trace shows which ACK leaves.
    const client = await connect({ address: daemon.socket, timeoutMs: 30_000 });
    const tokens = new Map<string, string[]>();
    for (const action of ['ECHO', 'ECHO_ONCE']) {
      const own = Array.from({ length: 60 }, (_, i) => `${action}-${i}-end`);
      tokens.set(action, own);
      for (const token of own.slice(0, 20)) await client.call(action, {}, { token });
      await Promise.all(own.slice(20).map((token) => client.call(action, {}, { token })));
      await Promise.all(own.map((token) => client.send(action, {}, { token }))); // each is a repeat now
    }
    await client.close();
    await daemon.end('SIGTERM');

    const trace = callsOf(readFileSync(file, 'utf8'));
    let early = 0;
    for (const [action, own] of tokens) {
      for (const token of own) {
        const { ack = -1, run = -1, synced = Infinity } = orderOf(trace, action, token);
        expect({ token, synced, isAcknowledgedAfter: synced < ack }).toMatchObject({ isAcknowledgedAfter: true });
        expect(run).toBeGreaterThan(0);
        if (run < synced) early++;
        if (action === 'ECHO_ONCE') expect({ token, ranAfter: synced < run }).toEqual({ token, ranAfter: true });
      }
    }
    expect(early).toBeGreaterThan(0); // what may run twice does not wait for the disk
  } finally {
    await daemon.dispose();
  }
});
