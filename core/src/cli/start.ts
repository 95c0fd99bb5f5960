import { execFile } from 'node:child_process';
import { isCentreondError, reasonOf } from '@centreond/plugin-sdk';
import { loadConfig } from '../config/config.ts';
import { type Daemon, startDaemon } from '../daemon.ts';
import { placeOf } from '../errors.ts';
import { type Log, openLog } from '../log.ts';
import { VERSION } from '../version.ts';
import { EXIT, type Globals } from './exit.ts';
import { boundYoungGeneration } from './young-generation.ts';

/** Nothing may keep the process beyond this once it was asked to stop. */
const STOP_LIMIT_MS = 10_000;

/**
 * Is the daemon, after it became a node where there is a join code: starts it, says on standard output what to type next, and stays until a signal ends it. SIGTERM and
 * SIGINT drain and stop, a second one stops at once; SIGHUP reads `clients` and the log level again.
 */
export async function start(globals: Globals & { join?: string }): Promise<number> {
  const file = globals.join === undefined ? globals.config : await join(globals, globals.join);
  const { config, problems } = await loadConfig({ file, cwd: process.cwd() });
  for (const problem of problems) process.stderr.write(`${placeOf(problem)} ${problem.code} ${problem.message}\n`);
  if (!config) return EXIT.failed;
  const log = openLog(config.core.log.level);
  boundYoungGeneration();
  let daemon: Daemon | undefined;
  const starting = startDaemon(config, log, (cause) => {
    log.fatal({ err: cause }, `centreond cannot go on: ${cause.message}. It exits, so that it is started again.`);
    daemon?.abandon();
    process.exit(EXIT.failed);
  });
  // Before anything is said to be ready: a signal may come at any moment.
  const stopped = stopOnSignal(starting, log);
  try {
    daemon = await starting;
  } catch (error) {
    process.stderr.write(
      `centreond cannot start: ${isCentreondError(error) ? `${error.code} ` : ''}${reasonOf(error)}\n`,
    );
    return EXIT.failed;
  }
  process.on('SIGHUP', () => {
    daemon.reload().then(
      (remarks) => {
        log.info('SIGHUP: read the configuration again');
        for (const remark of remarks) log.warn(remark);
      },
      (error: unknown) => log.error({ err: error }, `SIGHUP: nothing changed: ${reasonOf(error)}`),
    );
  });
  const { id, fingerprint, endpoint, plugins } = daemon;
  process.stdout.write(
    globals.json ? `${JSON.stringify({ id, fingerprint, endpoint, plugins, pid: process.pid })}\n` : greeting(daemon),
  );
  notify('--ready', `--status=router ${id}`);
  return stopped;
}

async function join(globals: Globals, code: string): Promise<string> {
  const { enrol } = await import('./enrol.ts');
  return enrol(globals, code);
}

/** Resolves with the exit code once the daemon, started or still starting, has stopped on a signal. */
function stopOnSignal(starting: Promise<Daemon>, log: Log): Promise<number> {
  return new Promise((resolve) => {
    let asked = false;
    let daemon: Daemon | undefined;
    const leave = () => {
      daemon?.abandon();
      process.exit(EXIT.failed);
    };
    const stop = async (signal: NodeJS.Signals) => {
      if (asked) {
        log.warn(`${signal} again: stopping at once`);
        leave();
      }
      asked = true;
      log.info(`${signal}: draining`);
      notify('--stopping');
      setTimeout(() => {
        log.error(`not stopped within ${STOP_LIMIT_MS / 1000} s: leaving`);
        leave();
      }, STOP_LIMIT_MS - 500).unref();
      try {
        daemon = await starting;
        await daemon.stop();
        resolve(EXIT.done);
      } catch (error) {
        log.error({ err: error }, `the stop failed: ${reasonOf(error)}`);
        resolve(EXIT.failed);
      }
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
}

function greeting({ id, fingerprint, endpoint, plugins, problems }: Daemon): string {
  const lines = [
    `centreond ${VERSION}, router ${id}, is ready.`,
    `  clients    ${endpoint ?? 'none: core.external is left out'}`,
    `  key        ${fingerprint}`,
    ...plugins.map(({ type, actions }) => `  plugin     ${type}: ${actions.join(', ') || 'no actions'}`),
    ...problems.map((problem) => `  not loaded ${placeOf(problem)} ${problem.message}`),
    'Type in another terminal, in this folder:',
    // Only what is there can be tried.
    plugins.some(({ actions }) => actions.includes('COMMAND'))
      ? "  npx centreond call COMMAND command='uname -a'"
      : '  npx centreond plugins',
    '',
  ];
  return lines.join('\n');
}

/** Tells systemd, where it started us with Type=notify. */
function notify(...args: string[]): void {
  if (process.env.NOTIFY_SOCKET) execFile('systemd-notify', [`--pid=${process.pid}`, ...args], () => {});
}
