import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Config, loadConfig, SYSTEM } from '../config/config.ts';
import { examine } from '../config/discovery.ts';
import { differenceFrom } from '../config/poller-config.ts';
import { pollerConfig } from '../config/templates.ts';
import { coreActionNames } from '../core-actions.ts';
import { daemonOf } from '../data-folder/data-folder.ts';
import { contentOf, moveAside, timeInName } from '../data-folder/replaced.ts';
import type { JoinCode } from '../doors/join-code.ts';
import { fault } from '../errors.ts';
import { readPrivateFile, writePrivateFile } from '../private-file.ts';
import { cliFault, configOf, misuse } from './connection.ts';
import { shortPath } from './print.ts';

/** Where a node is to live, or lives already. */
export interface NodeHome {
  readonly file: string;
  readonly dataDir: string;
  /** Its config, where it joined before. */
  readonly config: Config | undefined;
  /** Whether the config or the data of another daemon is there, to be moved aside. */
  readonly replaces: boolean;
  /** The config file of that daemon. */
  readonly former: string | undefined;
  /** Whether it is the place of the system's package: the system starts the daemon, as a user of its own. */
  readonly system: boolean;
}

export interface HomeOptions {
  /** The file of --config. */
  readonly config?: string;
  readonly replace?: boolean;
}

/**
 * Looks at what is there before anything is made or asked. Throws JOIN_FOLDER_TAKEN where another daemon lives, unless it may be
 * replaced, DATA_DIR_TAKEN while that runs, and what is wrong with the config that would be written.
 */
export async function findHome({ config: named, replace = false }: HomeOptions, joining: JoinCode): Promise<NodeHome> {
  const place = placeOf(named);
  const { file, dataDir, system } = place;
  let replaces = false;
  const taken = (where: string, what: string): void => {
    if (!replace) throw fault('JOIN_FOLDER_TAKEN', { path: shortPath(where), what, system, ...joining });
    replaces = true;
  };
  const former = existsSync(file) ? file : named === undefined ? await configHidden(file) : undefined;
  if (former === file) {
    const other = replace
      ? await loadConfig({ file, cwd: process.cwd() })
      : { config: await configOf({ config: file }) };
    const what = other.config ? differenceFrom(other.config, joining) : 'cannot be read';
    if (other.config && what === undefined) {
      return { ...place, dataDir: other.config.core.dataDir, config: other.config, replaces, former: undefined };
    }
    taken(file, what ?? '');
  } else if (former !== undefined) taken(former, 'is the config of a daemon that ran here');
  if (former !== undefined) await refuseWhileRunning(former);
  const whose = readPrivateFile(ownerFile(dataDir))?.text.trim();
  if (whose === undefined ? existsSync(path.join(dataDir, 'history.sdb')) : whose !== joining.identity) {
    const other = whose === undefined ? 'of another daemon' : `of ${whose}, not of ${joining.identity}`;
    taken(dataDir, `holds the key and history ${other}`);
  }
  await rehearse(place, joining);
  return { ...place, config: undefined, replaces, former };
}

/** Where --config says; else here, unless it is root where the system's package is and there is no centreond.yaml here. */
function placeOf(named: string | undefined): Pick<NodeHome, 'file' | 'dataDir' | 'system'> {
  const file = path.resolve(named ?? 'centreond.yaml');
  if (!/\.ya?ml$/.test(file)) {
    throw misuse(`--config ${named}: with --join it names the .yaml file to write.`);
  }
  const systemFile = path.join(SYSTEM.config, 'centreond.yaml');
  const isRoot = process.getuid?.() === 0;
  const system =
    file === systemFile || (named === undefined && !existsSync(file) && isRoot && existsSync(SYSTEM.config));
  return system
    ? { file: systemFile, dataDir: SYSTEM.data, system }
    : { file, dataDir: path.join(path.dirname(file), 'var'), system };
}

/** Throws DATA_DIR_TAKEN while a daemon runs with the config `file`. */
async function refuseWhileRunning(file: string): Promise<void> {
  const { scope } = await loadConfig({ file, cwd: process.cwd() });
  const pid = scope && (await daemonOf(scope.core.dataDir));
  if (scope && pid !== undefined) {
    throw fault('DATA_DIR_TAKEN', { path: scope.core.dataDir, holder: `The daemon with pid ${pid}` });
  }
}

/** The config of a daemon that ran here and that `file`, which is found before any other in its folder, would hide. */
async function configHidden(file: string): Promise<string | undefined> {
  const { file: other, scope } = await loadConfig({ cwd: path.dirname(file) });
  const here = other.startsWith(path.dirname(file) + path.sep);
  return here && scope && existsSync(scope.core.dataDir) ? other : undefined;
}

/** Has the config checked as it will be read, plugins included: a token must not be used for what cannot start. */
async function rehearse({ file, dataDir }: Pick<NodeHome, 'file' | 'dataDir'>, joining: JoinCode): Promise<void> {
  const folder = path.dirname(file);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const draft = path.join(folder, `.join-${process.pid}.yaml`);
  writeFileSync(draft, textOf({ file, dataDir }, joining), { mode: 0o600 });
  try {
    const { problems } = await examine({ file: draft, cwd: process.cwd() }, coreActionNames);
    const errors = problems
      .filter(({ severity }) => severity === 'error')
      .map((problem) => ({ ...problem, file: problem.file === draft ? file : problem.file }));
    if (errors.length > 0) throw cliFault('CONFIG', { problems: errors });
  } finally {
    rmSync(draft, { force: true });
  }
}

function textOf({ file, dataDir }: Pick<NodeHome, 'file' | 'dataDir'>, joining: JoinCode): string {
  const beside = path.join(path.dirname(file), 'var');
  return pollerConfig(joining, dataDir === beside ? './var' : dataDir);
}

/** Moves the config and the data of another daemon aside. Returns where they are. */
export function replaceOther({ former, dataDir }: NodeHome): string[] {
  const aside: string[] = [];
  const data = moveAside(dataDir, contentOf(dataDir));
  if (data !== undefined) aside.push(data);
  if (former !== undefined) {
    const place = `${former}.replaced-${timeInName()}`;
    renameSync(former, place);
    aside.push(place);
  }
  return aside;
}

/** Notes whose home it is, and writes its config. Returns whether there was none. */
export function writeHome(home: NodeHome, joining: JoinCode): boolean {
  // So that the key is known as this node's even where its config was taken away.
  writePrivateFile(ownerFile(home.dataDir), `${joining.identity}\n`, true);
  if (home.config || !writePrivateFile(home.file, textOf(home, joining), false)) return false;
  // As the package has it: the daemon's user reads it, and nothing in it is secret.
  if (home.system) chmodSync(home.file, 0o644);
  return true;
}

/** Names the node whose key is beside it. */
function ownerFile(dataDir: string): string {
  return path.join(dataDir, 'keys', 'router.identity');
}
