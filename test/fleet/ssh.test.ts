import path from 'node:path';
import { type Client, connect, type HistoryRow } from '@centreond/plugin-sdk/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess, processesWith, ROOT, until } from '../daemon-process.ts';
import { keygen, noSshd, Sshd } from './sshd.ts';

const at = { target: 'web-7' };
let naps = 0;
/** A number of seconds that no other sleep on this machine has. */
const nap = (): string => `${2000 + naps++}.${process.pid}`;

describe.skipIf(noSshd)('an SSH node', () => {
  const daemon = new DaemonProcess({});
  const sshd = noSshd ? undefined : new Sshd();
  let server: Sshd;
  let alice: Client;

  beforeAll(async () => {
    server = await (sshd as Sshd).start();
    keygen(path.join(daemon.folder, 'stranger'));
    daemon.settings.plugins = [
      {
        package: path.join(ROOT, 'plugins/proxy'),
        restart: { max: 100, within: '1s' },
        config: {
          nodes: [
            server.node('web-7', { name: 'Web 7' }),
            server.node('impostor', { hostKey: `SHA256:${'A'.repeat(43)}` }),
            server.node('locked', { key: './stranger' }),
            server.node('old', { hostKey: server.hostKey('rsa') }),
          ],
        },
      },
    ];
    const who = daemon.client('alice');
    await daemon.start();
    alice = await connect(daemon.door(who));
    await isUp('web-7');
  });
  afterAll(async () => {
    await alice?.close();
    await daemon.dispose();
    await sshd?.dispose();
  });

  type Node = Record<string, unknown>;
  const node = async (id: string): Promise<Node | undefined> =>
    ((await alice.send('CONSTATUS')).data.nodes as Node[]).find((each) => each.id === id);
  const isUp = (id: string) => until(`${id} is up`, async () => (await node(id))?.state === 'up', 20_000);
  const command = (data: object) => alice.call('COMMAND', data, at);

  test('runs a command: rows as on a daemon, output as it comes, one end', async () => {
    const rows: HistoryRow[] = [];
    const data = { command: ['sh', '-c', 'echo out; echo err >&2; exit 3'] };
    const outcome = await alice.call('COMMAND', data, { ...at, onRow: (row) => rows.push(row) });
    expect(outcome).toMatchObject({
      ok: true,
      data: { exitCode: 3, signal: null, stdout: 'out\n', stderr: 'err\n', truncated: false },
      row: { node: 'web-7', type: 'COMMAND', code: 2 },
    });
    const here = rows.filter(({ node: where }) => where === 'web-7');
    expect(here.map(({ code }) => code)).toEqual([0, 100, 100, 2]);
    expect(here[0]?.data).toEqual({ owner: 'central/alice', target: 'web-7' });
    expect(here.slice(1, 3).map((row) => row.data)).toEqual(
      expect.arrayContaining([
        { stream: 'stdout', chunk: 'out\n' },
        { stream: 'stderr', chunk: 'err\n' },
      ]),
    );
    await until('the proxy keeps nothing of it', async () => true);
  });
});
