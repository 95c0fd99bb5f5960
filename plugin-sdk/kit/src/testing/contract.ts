import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { pluginOf } from '@centreond/plugin-runtime';
import type { PluginClass } from '@centreond/plugin-sdk';
import { MANIFEST_FILE, type Manifest, manifestOf } from '@centreond/plugin-sdk/internal';
import { CentreondError, failure, isCentreondError, reasonOf } from '@centreond/protocol';
import { describePlugin } from '../build/build.ts';
import { packageOf } from '../build/package.ts';
import { CALLER, checkActions, type Example, examplesOf } from './contract-actions.ts';
import { type Finding, Findings } from './findings.ts';
import { type HostOptions, type Leftovers, startHost, type TestHost } from './host.ts';
import { testPlugin } from './in-process.ts';
import { descendantsOf, signal, stillAlive } from './processes.ts';
import { Samples } from './samples.ts';

/** A way in which an instance ends while it works: by a signal, by KILL, or since the daemon stops. */
export type Ending = 'SIGKILL' | 'SIGTERM' | 'KILL' | 'stop';

/** How a plugin is checked. */
export interface ContractOptions extends HostOptions {
  /**
   * Valid inputs by action, to run it with; those of an action that is not named are made from its schema, and `[]` runs it
   * with none. The actions are run for real: give inputs that do no harm, and that take a while where the action can.
   */
  readonly examples?: Readonly<Record<string, readonly object[]>>;
  /** Actions whose input takes any key on purpose, and `config` where the config does. */
  readonly open?: readonly string[];
  /** How long a request may take to end after its abort; 6000 ms, the router's own patience, when left out. */
  readonly graceMs?: number;
  /** How long a run is waited for before it is aborted; 1000 ms when left out. */
  readonly runMs?: number;
  /** The ends that are tried midway; all when left out. */
  readonly endings?: readonly Ending[];
  /** How long is waited for what comes too late, after the last end; 200 ms when left out. */
  readonly settleMs?: number;
}

/** How long a process may take to end on SIGTERM: as long as the host waits before SIGKILL, and what its runtime takes. */
const SIGTERM_LIMIT_MS = 6000;
const MIDWAY_MS = 40;
const SETTLE_ROUNDS = 25;

/**
 * Holds a plugin to what the host relies on: a built package, in processes of its own, or a class, in this one (without what
 * only processes have). Every action gets wrong inputs at every level of its schema, runs, is aborted and is killed midway.
 *
 * Looks for: a stale manifest; inputs and a config that take unknown keys; wrong inputs that are taken; outputs that do not
 * fit; tokens that do not end within `graceMs` of an abort; rows after the end; processes and temporary files that stay behind;
 * a kill handler or `stop()` that exceeds its time; a start that fails, also after SIGKILL.
 *
 * Resolves with what it found, nothing where the plugin keeps the contract. Rejects only where there is no plugin to check.
 */
export async function checkPluginContract(
  plugin: string | PluginClass,
  options: ContractOptions = {},
): Promise<readonly Finding[]> {
  const findings = new Findings();
  if (typeof plugin !== 'string') await checkClass(plugin, manifestOf(plugin), findings, options);
  else {
    const manifest = await checkManifest(plugin, findings);
    if (manifest.isolation === 'core') {
      const { main } = await packageOf(plugin);
      await checkClass(pluginOf(await import(pathToFileURL(main).href), main), manifest, findings, options);
    } else await checkFolder(plugin, manifest, findings, options);
  }
  return findings.all;
}

/** As {@link checkPluginContract}, but rejects with CONTRACT_BROKEN, whose message lists what was found, a line each. */
export async function assertPluginContract(plugin: string | PluginClass, options: ContractOptions = {}): Promise<void> {
  const findings = await checkPluginContract(plugin, options);
  if (findings.length === 0) return;
  const name = typeof plugin === 'string' ? plugin : plugin.name;
  throw new CentreondError(
    'CONTRACT_BROKEN',
    [`${name} does not keep the contract:`, ...findings.map(({ code, message }) => `  ${code}: ${message}`)].join('\n'),
  );
}

/** The manifest that the package has, compared with what its class declares now. */
async function checkManifest(folder: string, findings: Findings): Promise<Manifest> {
  const declared = await describePlugin(folder);
  const file = path.join(folder, MANIFEST_FILE);
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined)
    throw failure('INVALID_PLUGIN', { plugin: folder, reason: `it has no ${MANIFEST_FILE}; build it first` });
  const manifest = JSON.parse(text) as Manifest;
  if (manifest.hash === declared.hash) return manifest;
  const part = (Object.keys(declared) as (keyof Manifest)[]).filter(
    (key) => key !== 'hash' && key !== 'sdk' && JSON.stringify(declared[key]) !== JSON.stringify(manifest[key]),
  );
  findings.add(
    'MANIFEST_STALE',
    `its class declares something else than ${file} (${part.join(', ')}); build it again, and let nothing in its declaration depend on time, environment or chance`,
  );
  return manifest;
}

function checkConfig({ config }: Manifest, findings: Findings, { open = [] }: ContractOptions): void {
  if (!config || open.includes('config')) return;
  for (const at of new Samples(config).open('config')) findings.unknownKeys(at, undefined);
}

async function checkClass(
  target: PluginClass,
  manifest: Manifest,
  findings: Findings,
  options: ContractOptions,
): Promise<void> {
  checkConfig(manifest, findings, options);
  await checkActions(manifest, findings, options, async () => {
    const tested = await testPlugin(target, options);
    return { router: tested.router, leftovers: async () => ({ processes: [], files: [] }), end: () => tested.stop() };
  });
  const examples = examplesOf(manifest, options);
  const tested = await testPlugin(target, options);
  for (const { action, input } of examples) tested.send(action, input, CALLER);
  if (!(await tested.kill())) findings.killIgnored(manifest);
}

async function checkFolder(
  folder: string,
  manifest: Manifest,
  findings: Findings,
  options: ContractOptions,
): Promise<void> {
  checkConfig(manifest, findings, options);
  const start = async (when: string): Promise<TestHost | undefined> => {
    try {
      return await startHost(folder, options);
    } catch (error) {
      if (isCentreondError(error) && error.code === 'MANIFEST_STALE') findings.add('MANIFEST_STALE', error.message);
      else findings.add('START_FAILED', `it does not start${when}: ${reasonOf(error)}`);
      return undefined;
    }
  };
  await checkActions(manifest, findings, options, async () => {
    const host = await start('');
    return host && { router: host.router, leftovers: () => host.leftovers(), end: () => host.dispose() };
  });
  // A start that fails here fails everywhere below.
  if (findings.has('START_FAILED') || findings.has('MANIFEST_STALE')) return;
  const examples = examplesOf(manifest, options);
  const { endings = ['SIGKILL', 'SIGTERM', 'KILL', 'stop'] } = options;
  const tried = async (ending: Ending, when: string): Promise<void> => {
    const host = await start(when);
    if (!host) return;
    try {
      await endMidway(host, ending, examples, findings);
    } finally {
      await host.dispose();
    }
  };
  // First, so that the starts after it show what a plugin makes of its own sudden end.
  if (endings.includes('SIGKILL')) await tried('SIGKILL', '');
  await Promise.all(endings.filter((each) => each !== 'SIGKILL').map((each) => tried(each, ' again after SIGKILL')));
}

/** Ends the instance while every example runs, and looks at what it left. */
async function endMidway(
  host: TestHost,
  ending: Ending,
  examples: readonly Example[],
  findings: Findings,
): Promise<void> {
  const before = await host.leftovers();
  const tokens = examples.map(({ action, input }) => host.send(action, input, CALLER));
  await wait(MIDWAY_MS);
  await END[ending](host, findings);
  for (const [i, { action }] of examples.entries()) {
    const ends = host.rows.filter((row) => row.token === tokens[i] && (row.code === 1 || row.code === 2));
    if (ends.length !== 1)
      findings.add('NO_END', `${action}: its token has ${ends.length} terminal rows after ${ending}`, action);
  }
  if (ending === 'SIGKILL') return;
  const { processes, files } = await settled(host);
  findings.left(
    processes,
    files.filter((file) => !before.files.includes(file)),
    `after ${ending}`,
  );
}

const END: Readonly<Record<Ending, (host: TestHost, findings: Findings) => Promise<void>>> = {
  async SIGTERM(host, findings) {
    host.signal('SIGTERM');
    const ended = await Promise.race([host.gone.then(() => true), wait(SIGTERM_LIMIT_MS, false, { ref: false })]);
    if (ended) return;
    const seconds = SIGTERM_LIMIT_MS / 1000;
    findings.add(
      'SIGTERM_IGNORED',
      `its process is still there ${seconds} s after SIGTERM; do not block the event loop`,
    );
    await host.kill('SIGKILL');
  },
  async SIGKILL(host, findings) {
    const started = await descendantsOf(host.pid);
    await host.kill('SIGKILL');
    await host.reap();
    await wait(MIDWAY_MS);
    for (const { pid, command } of await stillAlive(started)) {
      findings.escaped(command);
      signal(pid, 'SIGKILL');
    }
  },
  async KILL(host, findings) {
    if (!(await host.kill())) findings.killIgnored(host.manifest);
  },
  async stop(host, findings) {
    if (await host.stop()) return;
    findings.add('STOP_IGNORED', 'it did not end by itself when the daemon stopped; let stop() end what it started');
  },
};

/** What is left once those that are being killed with the group are gone. */
async function settled(host: TestHost): Promise<Leftovers> {
  for (let i = 0; ; i++) {
    const left = await host.leftovers();
    if (left.processes.length === 0 || i === SETTLE_ROUNDS) return left;
    await wait(MIDWAY_MS);
  }
}
