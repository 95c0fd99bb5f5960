import { collectStartGarbage } from '@centreond/plugin-runtime/start-garbage';
import { isCentreondError, reasonOf } from '@centreond/protocol';
import { loadConfig } from '../config/config.ts';
import { type Daemon, startDaemon } from '../daemon.ts';
import { OPEN_FILES_WANTED, openFileLimits, SOFT_LIMIT, softLimitBefore } from '../doors/open-files.ts';
import { placeOf, sentence } from '../errors.ts';
import { type Log, type LogForm, openLog } from '../log.ts';
import { VERSION } from '../own-package.ts';
import { EXIT, type Globals } from './exit.ts';
import { type Notify, openNotify } from './notify.ts';
import { ownName } from './own-name.ts';
import { boundYoungGeneration } from './young-generation.ts';

/** Nothing may keep the process beyond this once it was asked to stop. */
const STOP_LIMIT_MS = 10_000;

export interface StartOptions extends Globals {
  readonly join?: string;
  readonly replace?: boolean;
  readonly log?: LogForm;
}

/**
 * Runs the daemon in the foreground, after making this machine a node if there is a join code; where the system's package is, that
 * is all. Says on standard output what to type next, tells systemd, and returns when a signal has ended it. SIGTERM and SIGINT
 * drain and stop, a second one stops at once; SIGHUP applies the configuration again, once the start is over.
 */
export async function start(globals: StartOptions): Promise<number> {
  const { join, replace, config: named, log: form } = globals;
  if (replace && join === undefined)
    throw (await import('./connection.ts')).misuse(
      '--replace is for --join CODE, which takes the place of what is there.',
    );
  const enrolled = join === undefined ? undefined : await (await import('./enrol.ts')).enrol(globals, join);
  if (enrolled?.system) {
    process.stderr.write('The system starts it, as a user of its own: systemctl start centreond\n');
    return EXIT.done;
  }
  const file = enrolled?.file ?? named;
  const { config, problems } = await loadConfig({ file, cwd: process.cwd() });
  for (const problem of problems) process.stderr.write(`${placeOf(problem)} ${problem.code} ${problem.message}\n`);
  if (!config) return EXIT.failed;
  const log = openLog(config.core.log.level, form);
  boundYoungGeneration();
  warnOfSurroundings(log);
  const notify = await openNotify(log);
  let daemon: Daemon | undefined;
  const starting = startDaemon(config, log, (cause) => {
    log.fatal({ err: cause }, `centreond cannot go on: ${cause.message}. It exits, so that it is started again.`);
    log.flush();
    daemon?.abandon();
    process.exit(EXIT.failed);
  });
  // Before anything is said to be ready: a signal may come at any moment.
  const stopped = stopOnSignal(starting, notify, log);
  reloadOnSignal(starting, notify, log);
  try {
    daemon = await starting;
  } catch (error) {
    process.stderr.write(
      `centreond cannot start: ${isCentreondError(error) ? `${error.code} ` : ''}${reasonOf(error)}\n`,
    );
    notify.close();
    return EXIT.failed;
  }
  const { id, fingerprint, endpoint, plugins } = daemon;
  process.stdout.write(
    globals.json ? `${JSON.stringify({ id, fingerprint, endpoint, plugins, pid: process.pid })}\n` : greeting(daemon),
  );
  notify.ready(statusOf(daemon));
  collectStartGarbage();
  return stopped;
}

function statusOf({ id, plugins, problems }: Daemon): string {
  const broken = problems.length === 0 ? '' : `, ${problems.length} not loaded`;
  return `router ${id}, ${plugins.length} plugins${broken}`;
}

/** What the system gives too little of, or nothing, and what to change. */
function warnOfSurroundings(log: Log): void {
  const limits = openFileLimits();
  if (limits) {
    const details = { limit: limits.soft, wanted: OPEN_FILES_WANTED };
    if (limits.soft < OPEN_FILES_WANTED)
      log.warn({ ...limits }, `OPEN_FILES_LOW ${sentence('OPEN_FILES_LOW', details)}`);
    // Plugins hand it on: what commands inherit is the limit from before Node raised it.
    process.env[SOFT_LIMIT] = String(softLimitBefore(process.env, limits, openFileLimits(process.ppid)));
  }
  if (process.pid !== 1) return;
  log.warn(
    'centreond runs as PID 1 and does not reap the orphans of commands: start it by an init (tini -- centreond start, or docker run --init)',
  );
}

/** SIGHUP: the first one waits for the start, and one at a time. */
function reloadOnSignal(starting: Promise<Daemon>, notify: Notify, log: Log): void {
  let reloading: Promise<unknown> = Promise.allSettled([starting]);
  process.on('SIGHUP', () => {
    reloading = reloading.then(async () => {
      const daemon = await starting;
      notify.reloading();
      try {
        const remarks = await daemon.reload();
        log.info('SIGHUP: read the configuration again');
        for (const remark of remarks) log.warn(remark);
      } catch (error) {
        log.error({ err: error }, `SIGHUP: nothing changed: ${reasonOf(error)}`);
      }
      notify.ready(statusOf(daemon));
    });
    reloading.catch(() => {}); // the start failed, which says so itself
  });
}

/** Resolves with the exit code once the daemon, started or still starting, has stopped on a signal. */
function stopOnSignal(starting: Promise<Daemon>, notify: Notify, log: Log): Promise<number> {
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
      notify.stopping();
      setTimeout(() => {
        log.error(`not stopped within ${STOP_LIMIT_MS / 1000} s: leaving`);
        leave();
      }, STOP_LIMIT_MS - 500).unref();
      try {
        daemon = await starting;
        await daemon.stop();
        notify.close();
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
      ? `  ${ownName()} call COMMAND command='uname -a'`
      : `  ${ownName()} plugins`,
    '',
  ];
  return lines.join('\n');
}
