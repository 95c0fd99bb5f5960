import { readFile } from 'node:fs/promises';
import net from 'node:net';
import { type Client, connect, type RouterAddress } from '@centreond/client';
import { CentreondError, isCentreondError, type Json, reasonOf } from '@centreond/protocol';
import { type Config, loadConfig } from '../config/config.ts';
import { type CoreErrorCode, type CoreErrorDetails, sentence } from '../errors.ts';
import { EXIT, type Globals } from './exit.ts';

const LOCAL_LIMIT_MS = 10_000;
/** A router refuses a key that comes more than once a second, too, in the same words. So one refusal is not the last word. */
const REFUSALS_MS = 2000;

/** A failure of the command line itself, with the exit code that it means. */
export class CliError extends CentreondError {
  constructor(
    code: string,
    message: string,
    readonly exit: number,
  ) {
    super(code, message);
  }
}

/** Makes the failure of `code` of the core's table. */
export function cliFault<C extends CoreErrorCode>(
  code: C,
  details: CoreErrorDetails<C>,
  exit: number = EXIT.failed,
): CliError {
  return new CliError(code, sentence(code, details), exit);
}

/** Wrong usage of the command line; `reason` says what, and what to write instead. */
export function misuse(reason: string): CliError {
  return cliFault('USAGE', { reason }, EXIT.usage);
}

/** The config that the options name or that is found from here. Throws a CliError that lists its mistakes. */
export async function configOf(globals: Globals): Promise<Config> {
  const { config, problems } = await loadConfig({ file: globals.config, cwd: process.cwd() });
  if (config) return config;
  const isNamed = problems[0]?.code === 'CONFIG_NO_SUCH_FILE';
  throw cliFault('CONFIG', { problems }, isNamed ? EXIT.usage : EXIT.failed);
}

/** Connects: to the external door of --connect, or the first of several that answers, else to the daemon of the config on this machine. Throws a CliError. */
export async function openClient(globals: Globals): Promise<Client> {
  if (globals.connect) return openRemote(globals, globals.connect);
  const { core } = await configOf(globals);
  if (!(await answers(core.socket))) {
    throw cliFault('NO_DAEMON', core, EXIT.noDaemon);
  }
  return connect({ address: `ipc://${core.socket}`, timeoutMs: LOCAL_LIMIT_MS });
}

/** Calls an action. Resolves with its output; throws a CliError where it failed. */
export async function outputOf(client: Client, action: string, data: object): Promise<Json> {
  const outcome = await client.call(action, data);
  if (outcome.ok) return outcome.data;
  const { error, message } = outcome.data as { error: string; message: string };
  throw new CliError(error, message, EXIT.failed);
}

async function openRemote({ key, identity, router }: Globals, connected: string): Promise<Client> {
  if (!key || !identity || !router) {
    throw misuse('--connect needs --key FILE, --identity ID and --router FINGERPRINT.');
  }
  const routers = routersIn(connected, router);
  let pem: string;
  try {
    pem = await readFile(key, 'utf8');
  } catch (error) {
    throw cliFault('KEY_UNREADABLE', { path: key, reason: reasonOf(error) }, EXIT.usage);
  }
  try {
    const timing = { refusals: REFUSALS_MS, backOffMax: REFUSALS_MS / 4 };
    return await connect({ routers, key: pem, identity, timing });
  } catch (error) {
    const refused = isCentreondError(error) && error.code !== 'NOT_CONNECTED';
    throw new CliError(
      isCentreondError(error) ? error.code : 'FAILED',
      reasonOf(error),
      refused ? EXIT.failed : EXIT.noDaemon,
    );
  }
}

/** The routers that --connect and --router name, an address and a fingerprint each, with commas between. Throws a CliError. */
export function routersIn(connect: string, router: string): RouterAddress[] {
  const wordsOf = (list: string) => list.split(',').map((word) => word.trim());
  const [addresses, fingerprints] = [wordsOf(connect), wordsOf(router)];
  if (addresses.length !== fingerprints.length) {
    throw misuse(
      `--connect names ${addresses.length} and --router ${fingerprints.length}: give a fingerprint for each address, in the same order, with commas between.`,
    );
  }
  return addresses.map((address, i) => ({ address, fingerprint: fingerprints[i] ?? '' }));
}

/** Whether somebody listens on a socket file. */
export function answers(file: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(file);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
