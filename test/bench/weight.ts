// npm run bench:weight [-- --json]
// What an idle router, also with its plugins in a shared process, and an idle poller take: proportional memory of all their processes, and how long they start and stop.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import Database from 'better-sqlite3';
import { DaemonProcess, processesWith, ROOT, seconds, until } from '../daemon-process.ts';
import { quantile } from '../fleet/report.ts';
import { makeTables } from '../plugins/acl-tables.ts';
import { pssOf } from './pss.ts';

const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
const ROUNDS = 5;
/** A daemon is idle when it has been left alone for so long. */
const IDLE_MS = 10_000;
const plugin = (name: string) => path.join(ROOT, 'plugins', name);

interface Weight {
  readonly processes: number;
  /** Proportional set size of all processes: pages that they share count once. */
  readonly pssMb: number;
  readonly startMs: number;
  readonly stopMs: number;
}

/** The process `pid` and all that came from it. */
function family(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(family)];
}

const ms = (work: () => Promise<unknown>) => seconds(work).then((taken) => taken * 1000);
const median = (all: readonly number[]) => Math.round(quantile([...all], 0.5));

async function weigh(daemon: DaemonProcess): Promise<Weight> {
  const [starts, stops]: [number[], number[]] = [[], []];
  let [processes, pssMb] = [0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    starts.push(await ms(() => daemon.start()));
    if (round === 0) {
      await pause(IDLE_MS);
      const pids = family(daemon.pid);
      processes = pids.length;
      pssMb = Math.round(pids.reduce((sum, pid) => sum + pssOf(pid), 0) / 1e6);
    }
    stops.push(await ms(() => daemon.end('SIGTERM')));
  }
  return { processes, pssMb, startMs: median(starts), stopMs: median(stops) };
}

/** A process that does nothing, from its start to its end: what Node.js itself takes. */
function bareNode(): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, ['-e', '0'], (error) => (error ? reject(error) : resolve()));
  });
}

const central = new DaemonProcess();
const sharing = new DaemonProcess();
const poller = new DaemonProcess({ core: { id: 'lyon' } });
try {
  const file = path.join(central.folder, 'organisations.sdb');
  makeTables(file, 'keyed');
  const database = new Database(file);
  database.pragma('journal_mode = WAL');
  database.close();
  central.settings.plugins = [
    ...['action', 'cron', 'files', 'proxy'].map((name) => ({ package: plugin(name) })),
    { package: plugin('acl'), config: { database: file } },
  ];
  sharing.settings.plugins = central.settings.plugins.map((entry) => ({ ...entry, process: 'shared' }));
  const bare: number[] = [];
  for (let round = 0; round < ROUNDS; round++) bare.push(await ms(bareNode));
  const result = {
    bareNodeMs: median(bare),
    central: await weigh(central),
    sharing: await weigh(sharing),
    poller: await weighPoller(),
  };
  if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else {
    const row = (name: string, { processes, pssMb, startMs, stopMs }: Weight) =>
      `${name.padEnd(46)}${String(processes).padStart(10)}${String(pssMb).padStart(9)}${String(startMs).padStart(10)}${String(stopMs).padStart(9)}\n`;
    process.stdout.write(
      `${''.padEnd(46)}${'processes'.padStart(10)}${'PSS MB'.padStart(9)}${'start ms'.padStart(10)}${'stop ms'.padStart(9)}\n` +
        row('router with action, cron, files, proxy, acl', result.central) +
        row('the same plugins in a shared process', result.sharing) +
        row('poller with action, pull', result.poller) +
        `node -e 0, from start to end: ${result.bareNodeMs} ms\n`,
    );
  }
} finally {
  await poller.dispose();
  await sharing.dispose();
  await central.dispose();
}

/** A poller whose router is there. */
async function weighPoller(): Promise<Weight> {
  poller.writeConfig();
  const { fingerprint } = JSON.parse((await poller.cli('keys', 'show', '--json')).stdout) as { fingerprint: string };
  central.clients.push({ identity: 'lyon', fingerprint, roles: ['node'] });
  await central.start();
  const router = { address: central.endpoint, fingerprint: central.fingerprint };
  poller.settings.plugins = [
    { package: plugin('action') },
    { package: plugin('pull'), allowCore: true, config: { router } },
  ];
  const weight = await weigh(poller);
  await central.end('SIGTERM');
  await until('nothing of the poller is left', () => processesWith(poller.folder).length === 0);
  return weight;
}
