import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess, ROOT } from '../daemon-process.ts';
import { Fleet } from './fleet.ts';
import { report, seconds } from './report.ts';
import { noSshd, Sshd } from './sshd.ts';

const MIB = 1024 * 1024;
const FOLDERS = process.env.LONG ? 50_000 : 300;
/** In each folder. */
const FILES_EACH = Number(process.env.FILES_EACH ?? 4);
/** Folders lie in groups: no folder has more entries. */
const GROUP = 250;
const LIMIT_MS = process.env.LONG ? 3_600_000 : 240_000;
const MEMORY_LIMIT = 300 * MIB;
const FILES = path.join(ROOT, 'plugins/files');

const folder = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'centreond-files-')));
const outbox = path.join(folder, 'outbox');
const inbox = path.join(folder, 'inbox');

beforeAll(() => {
  mkdirSync(inbox);
  for (let i = 0; i < FOLDERS; i++) {
    const below = path.join(outbox, 'tree', `${Math.floor(i / GROUP)}`, `a folder of the tree ${i}`);
    mkdirSync(below, { recursive: true });
    for (let j = 0; j < FILES_EACH; j++) writeFileSync(path.join(below, `a file of the folder ${j}`), `file ${i} ${j}`);
  }
}, LIMIT_MS);
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The most memory that each process of a daemon ever had, in bytes: its own first. */
function peaks(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return [pid, ...children].map((each) => {
    const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${each}/status`, 'utf8')) ?? [];
    return Number(kib) * 1024;
  });
}

/** Sends the tree to the node `id`. Each of the processes of the router and of the node has to stay below the limit. */
async function sendTree(client: Client, id: string, router: DaemonProcess, node?: DaemonProcess): Promise<void> {
  const began = Date.now();
  const files = [{ source: 'tree', destination: id }];
  const { data } = await client.call('SENDFILES', { files }, { target: id, timeoutMs: LIMIT_MS });
  const folders = FOLDERS + Math.ceil(FOLDERS / GROUP) + 1;
  expect(data).toMatchObject({ files: FOLDERS * FILES_EACH, folders });
  const ends = [peaks(router.pid), node ? peaks(node.pid) : []];
  const shown = ends.map((end) => end.map((each) => Math.round(each / MIB)).join(' + '));
  report(
    `${id}: ${folders} folders and ${FOLDERS * FILES_EACH} files in ${seconds(Date.now() - began)}; most MiB of each process: router ${shown[0]}, node ${shown[1]}`,
  );
  for (const each of ends.flat()) expect(each).toBeLessThan(MEMORY_LIMIT);
  const last = path.join(inbox, id, `${Math.floor((FOLDERS - 1) / GROUP)}`, `a folder of the tree ${FOLDERS - 1}`);
  expect(readFileSync(path.join(last, 'a file of the folder 0'), 'utf8')).toBe(`file ${FOLDERS - 1} 0`);
  expect(readdirSync(path.join(inbox, '.centreond-staging'))).toEqual([]);
}

describe.each(['pull', 'push'] as const)('a tree of many folders and small files, over a %s link,', (kind) => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start({
      [kind]: 1,
      central: { plugins: [{ package: FILES, config: { send: [outbox] } }] },
      poller: { plugins: [{ package: FILES, config: { receive: [inbox] } }] },
    });
  });
  afterAll(() => fleet?.close());

  test('arrives with less than 300 MiB in each process of either end', { timeout: LIMIT_MS }, async () => {
    const id = `${kind}-1`;
    await sendTree(fleet.alice, id, fleet.central, fleet.poller(id).machine);
  });
});

describe.skipIf(noSshd)('a tree of many folders and small files, over SSH,', () => {
  const sshd = noSshd ? undefined : new Sshd();
  const daemon = new DaemonProcess({});
  let client: Client;
  beforeAll(async () => {
    const server = await (sshd as Sshd).start();
    daemon.settings.plugins = [
      { package: FILES, config: { send: [outbox] } },
      { package: path.join(ROOT, 'plugins/ssh'), config: { nodes: [server.node('ssh-1', { roots: [inbox] })] } },
    ];
    const alice = daemon.client('alice');
    await daemon.start();
    client = await connect(daemon.door(alice));
  });
  afterAll(async () => {
    await client?.close();
    await daemon.dispose();
    await sshd?.dispose();
  });

  test('arrives with less than 300 MiB in each process of the router', { timeout: LIMIT_MS }, async () => {
    await sendTree(client, 'ssh-1', daemon);
  });
});
