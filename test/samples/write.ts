// node test/samples/write.ts: freezes the data of a daemon of this version in a sample. Its folder holds the config file already, and
// nothing else: a sample is written once, when its version is released, and never again.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { connect } from '@centreond/client';
import { ROOT, until } from '../daemon-process.ts';
import { freeze, SAMPLES, SampleDaemon } from './sample.ts';

const { version } = JSON.parse(readFileSync(path.join(ROOT, 'core/package.json'), 'utf8')) as { version: string };
const FAR = 4_102_444_800;

if (existsSync(path.join(SAMPLES, version, 'history.sql'))) throw new Error(`the sample ${version} is there already`);
const daemon = new SampleDaemon(version);
try {
  await daemon.start();
  const client = await connect({ address: daemon.socket });
  for (const [key, identity, roles] of [
    ['C', 'bob', ['client']],
    ['D', 'carol', ['client', 'admin']],
    ['E', 'rome', ['node']],
    ['F', 'mallory', ['client']],
  ] as const) {
    await client.call('ACCEPTKEY', { fingerprint: `${key}${'A'.repeat(42)}`, identity, roles });
  }
  await client.call('REVOKEKEY', { key: 'mallory' });
  await client.call('COMMAND', { command: 'echo one' }, { token: 'finished' });
  await client.call('COMMAND', { command: 'no-such-program' }, { token: 'failed' });
  await client.call(
    'SHELL_COMMAND',
    { command: ['sh', '-c', 'echo out; echo err >&2; exit 3'] },
    { token: 'with-rows' },
  );
  await client.send('PUTLOG', { token: 'noted', code: 50, data: { text: 'ünïcode, and a "quote"' } });
  await client.send('COMMAND', { command: 'sleep 600' }, { token: 'open' });
  const data = { command: 'date', $: { hold: true, deadline: Math.floor(Date.now() / 1000) + 500_000 } };
  await client.send('COMMAND', data, { token: 'held', target: 'rome' });
  await client.call('ADDCRON', { id: 'nightly', schedule: '0 3 * * *', action: 'COMMAND', data: { command: 'true' } });
  await client.call('ADDCRON', { id: 'off', schedule: '@weekly', action: 'COMMAND', enabled: false });
  // Rows of another node: one is known by its own id there, one cannot be stored.
  const row = { token: 'of-paris', type: 'COMMAND', node: 'paris', code: 0, etime: 1_790_000_000, data: { n: 1 } };
  const rows = [row, { ...row, code: 2 }, { ...row, node: 'nobody' }].map((one, i) => ({ id: i + 4, ...one }));
  await client.send('SETLOGS', { epoch: 'e-of-paris', rows, last: 6 }, { target: 'paris' });
  await until('the sleep runs', async () => (await client.query({ token: 'open' })).length > 0);
  const kept = await daemon.kept();
  await client.close();
  await daemon.end('SIGKILL');
  freeze(daemon, version, kept);
  // What is held is held for longer than any test of a later version is away.
  const file = path.join(SAMPLES, version, 'history.sql');
  const sql = readFileSync(file, 'utf8');
  const deadline = /"deadline":[0-9]+/g;
  if (sql.match(deadline)?.length !== 1) throw new Error('it does not hold one deadline');
  writeFileSync(file, sql.replace(deadline, `"deadline":${FAR}`));
} finally {
  await daemon.dispose();
}
