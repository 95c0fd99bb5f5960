import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { connect } from '@centreond/client';
import { isCentreondError, reasonOf } from '@centreond/protocol';
import type { KeyPair } from '@centreond/protocol/channel';
import { type Config, loadConfig } from '../config/config.ts';
import { examine } from '../config/discovery.ts';
import { differenceFrom, linkIn } from '../config/poller-config.ts';
import { pollerConfig } from '../config/templates.ts';
import { coreActionNames } from '../core-actions.ts';
import { DataFolder } from '../data-folder/data-folder.ts';
import { type JoinCode, parseJoinCode } from '../doors/join-code.ts';
import { loadOrCreateKey } from '../doors/keys.ts';
import { fault } from '../errors.ts';
import { readPrivateFile, writePrivateFile } from '../private-file.ts';
import { cliFault, configOf, misuse } from './connection.ts';
import type { Globals } from './exit.ts';
import { shortPath } from './print.ts';

/** An attempt has 5 s. */
const CONNECT_LIMIT_MS = 6000;

/** Where a node is to live, or lives already. */
interface Home {
  readonly file: string;
  readonly dataDir: string;
  /** Its config, where it joined before. */
  readonly config: Config | undefined;
}

/**
 * Makes this machine the node that a join code speaks of: its key, the handshake that enrols it, then its config.
 * Resolves with the config file to start with. Each step finds what an earlier run did, so after a crash anywhere in
 * between it is simply run again. Throws a sentence where it cannot go on; nothing of another node is ever changed.
 */
export async function enrol(globals: Globals, code: string): Promise<string> {
  const joining = parseJoinCode(code);
  const { identity } = joining;
  const home = await findHome(globals, joining);
  const folder = await DataFolder.take(home.dataDir);
  try {
    const keyFile = folder.file('keys', 'router.pem');
    const keys = await loadOrCreateKey(keyFile);
    const router = await introduce(joining, keys, home);
    // So that the key is known as this node's even where its config was taken away.
    writePrivateFile(ownerFile(home.dataDir), `${identity}\n`, true);
    const isNew = !home.config && writePrivateFile(home.file, pollerConfig(joining), false);
    if (!home.config && !isNew) await readOwn(home.file, joining);
    const { thumbprint, created } = keys;
    if (router !== undefined) say(`${identity} is a node of the router ${router} (${joining.address}) now.`);
    say(`  key     ${thumbprint}, ${shortPath(keyFile)}${created ? ' (made now)' : ''}`);
    say(`  config  ${shortPath(home.file)}${isNew ? ' (written now)' : ''}`);
    const address = home.config && linkIn(home.config).address;
    if (address !== undefined && address !== joining.address) {
      say(
        `          it has the router at ${String(address)} and the line at ${joining.address}: change it there if need be`,
      );
    }
    return home.file;
  } finally {
    await folder.release();
  }
}

/** Looks at what is there before anything is made or asked. */
async function findHome({ config: named }: Globals, joining: JoinCode): Promise<Home> {
  const file = path.resolve(named ?? 'centreond.yaml');
  if (!/\.ya?ml$/.test(file)) {
    throw misuse(`--config ${named}: with --join it names the .yaml file to write.`);
  }
  if (existsSync(file)) {
    const config = await readOwn(file, joining);
    return { file, dataDir: config.core.dataDir, config };
  }
  if (named === undefined) await checkNoneServes(file, joining);
  const dataDir = path.join(path.dirname(file), 'var');
  const owner = readPrivateFile(ownerFile(dataDir))?.text.trim();
  if (owner === undefined ? existsSync(path.join(dataDir, 'history.sdb')) : owner !== joining.identity) {
    const whose = owner === undefined ? 'of another daemon' : `of ${owner}, not of ${joining.identity}`;
    throw fault('JOIN_FOLDER_TAKEN', {
      path: shortPath(dataDir),
      what: `holds the key and history ${whose}`,
      ...joining,
    });
  }
  await rehearse(file, joining);
  return { file, dataDir, config: undefined };
}

/** The config of a node that joined before. Throws JOIN_FOLDER_TAKEN for any other. */
async function readOwn(file: string, joining: JoinCode): Promise<Config> {
  const config = await configOf({ config: file });
  const what = differenceFrom(config, joining);
  if (what !== undefined) throw fault('JOIN_FOLDER_TAKEN', { path: shortPath(file), what, ...joining });
  return config;
}

/** The file would be found before any other in its folder: what a daemon has served from here must not be hidden by it. */
async function checkNoneServes(file: string, joining: JoinCode): Promise<void> {
  const { file: other, scope } = await loadConfig({ cwd: path.dirname(file) });
  if (!scope || !other.startsWith(path.dirname(file) + path.sep) || !existsSync(scope.core.dataDir)) return;
  throw fault('JOIN_FOLDER_TAKEN', {
    path: shortPath(other),
    what: 'is the config of a daemon that ran here',
    ...joining,
  });
}

/** Has the config checked as it will be read, plugins included: a token must not be used for what cannot start. */
async function rehearse(file: string, joining: JoinCode): Promise<void> {
  const folder = path.dirname(file);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const draft = path.join(folder, `.join-${process.pid}.yaml`);
  writeFileSync(draft, pollerConfig(joining), { mode: 0o600 });
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

/** The handshake with the token. Resolves with the router's id; undefined where it is not reached by who joined before. */
async function introduce(
  { identity, address, router, token }: JoinCode,
  key: KeyPair,
  { config }: Home,
): Promise<string | undefined> {
  try {
    await using client = await connect({ address, identity, key, router, join: token, timeoutMs: CONNECT_LIMIT_MS });
    return client.id;
  } catch (error) {
    const code = isCentreondError(error) ? error.code : '';
    if (code === 'HANDSHAKE_REFUSED') throw fault('JOIN_REFUSED', { address, identity, key: key.thumbprint });
    if (code !== 'NOT_CONNECTED') throw error;
    if (!config) throw fault('JOIN_UNREACHABLE', { address, identity, reason: reasonOf(error) });
    say(`${identity} joined before, and its router is not reached now; it starts and keeps trying. ${reasonOf(error)}`);
    return undefined;
  }
}

/** Names the node whose key is beside it. */
function ownerFile(dataDir: string): string {
  return path.join(dataDir, 'keys', 'router.identity');
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
