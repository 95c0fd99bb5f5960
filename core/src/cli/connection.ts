import { readFile } from 'node:fs/promises';
import net from 'node:net';
import { CentreondError, isCentreondError, reasonOf } from '@centreond/plugin-sdk';
import { type Client, connect } from '@centreond/plugin-sdk/client';
import { type Config, loadConfig } from '../config.ts';
import { placeOf } from '../errors.ts';
import { EXIT, type Globals } from './exit.ts';

const CONNECT_LIMIT_MS = 10_000;

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

/** The config that the options name or that is found from here. Throws a CliError that lists its mistakes. */
export async function configOf(globals: Globals): Promise<Config> {
  const { config, problems } = await loadConfig({ file: globals.config, cwd: process.cwd() });
  if (config) return config;
  const lines = problems.map((problem) => `${placeOf(problem)} ${problem.code} ${problem.message}`);
  throw new CliError(
    'CONFIG',
    lines.join('\n'),
    problems[0]?.code === 'CONFIG_NO_SUCH_FILE' ? EXIT.usage : EXIT.failed,
  );
}

/** Connects: to the external door of --connect, else to the daemon of the config on this machine. Throws a CliError. */
export async function openClient(globals: Globals): Promise<Client> {
  if (globals.connect) return openRemote(globals, globals.connect);
  const { core } = await configOf(globals);
  if (!(await answers(core.socket))) {
    const message = `No daemon serves ${core.dataDir}. Start it (\`centreond start\`), or name another with --connect.`;
    throw new CliError('NO_DAEMON', message, EXIT.noDaemon);
  }
  return connect({ address: `ipc://${core.socket}`, timeoutMs: CONNECT_LIMIT_MS });
}

async function openRemote({ key, identity, router }: Globals, address: string): Promise<Client> {
  if (!key || !identity || !router) {
    throw new CliError('USAGE', '--connect needs --key FILE, --identity ID and --router FINGERPRINT.', EXIT.usage);
  }
  let pem: string;
  try {
    pem = await readFile(key, 'utf8');
  } catch (error) {
    const message = `The key ${key} cannot be read: ${reasonOf(error)}. \`centreond keys generate ${key}\` makes one.`;
    throw new CliError('KEY_UNREADABLE', message, EXIT.usage);
  }
  try {
    return await connect({ address, key: pem, identity, router, timeoutMs: CONNECT_LIMIT_MS });
  } catch (error) {
    const refused = isCentreondError(error) && error.code !== 'NOT_CONNECTED';
    throw new CliError(
      isCentreondError(error) ? error.code : 'FAILED',
      reasonOf(error),
      refused ? EXIT.failed : EXIT.noDaemon,
    );
  }
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
