import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { connect } from '@centreond/plugin-sdk/client';
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

test.skipIf(!strace)('no ACK leaves before the fdatasync that covers its row (strace)', async () => {
  const daemon = daemonWithLedger();
  const file = path.join(daemon.folder, 'trace');
  try {
    const calls = 'trace=pwrite64,write,fdatasync,fsync,sendto,sendmsg';
    await daemon.start(['strace', '-f', '-y', '-s', '300000', '-e', calls, '-o', file]);
    // The internal door is in clear, so that the trace shows which ACK leaves.
    const client = await connect({ address: daemon.socket, timeoutMs: 30_000 });
    const tokens = Array.from({ length: 60 }, (_, i) => `traced-${i}-end`);
    for (const token of tokens.slice(0, 20)) await client.send('ECHO', {}, { token });
    await Promise.all(tokens.slice(20).map((token) => client.send('ECHO', {}, { token })));
    await client.close();
    await daemon.end('SIGTERM');

    const trace = callsOf(readFileSync(file, 'utf8'));
    for (const token of tokens) {
      const ack = trace.find(
        ({ name, text }) => /^(sendto|sendmsg|write)$/.test(name) && text.includes(`[ACK] [${token}]`),
      );
      // The first write: a later transaction may write the same page again before this one is acknowledged.
      const row = trace.find(
        ({ name, text }) => name === 'pwrite64' && text.includes('history.sdb-wal') && text.includes(token),
      );
      const sync = trace.find(
        ({ name, text, began, ended }) =>
          /^f(data)?sync$/.test(name) &&
          text.includes('history.sdb-wal') &&
          row &&
          ack &&
          began >= row.ended &&
          ended < ack.began,
      );
      expect({ token, acknowledged: !!ack, written: !!row, synced: !!sync }).toEqual({
        token,
        acknowledged: true,
        written: true,
        synced: true,
      });
    }
  } finally {
    await daemon.dispose();
  }
});
