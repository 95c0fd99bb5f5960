// The process of one plugin, or of several that share it. The host starts this file and greets each plugin; it is never started by hand.
import 'reflect-metadata';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Logger } from '@centreond/plugin-sdk';
import { isCentreondError, reasonOf } from '@centreond/protocol';
import { type Greeting, readGreetings } from './greeting.ts';
import { HostedPlugin } from './hosted-plugin.ts';
import { lineLogger } from './logger.ts';
import { loadOneCopy } from './one-copy.ts';
import { attributeOutput } from './output.ts';

/** After the host is gone: how long plugins may take to let go of what they hold. */
const ORPHAN_LIMIT_MS = 4000;

const writeError = process.stderr.write.bind(process.stderr);
const log = lineLogger(writeError);
const plugins = new Set<HostedPlugin>();
/** The plugin whose code runs. Only used where plugins share the process. */
const current = new AsyncLocalStorage<HostedPlugin>();
let isShared = false;
let ending = false;

function exit(exitCode: number): never {
  ending = true;
  process.exit(exitCode);
}

/** Lets every plugin release what it holds, then ends the process. */
async function end(exitCode: number, limitMs: number): Promise<void> {
  if (ending) return;
  ending = true;
  setTimeout(() => exit(exitCode), limitMs).unref();
  await Promise.all([...plugins].map((plugin) => plugin.end(limitMs)));
  exit(exitCode);
}

/** Ends one plugin, and the process with the last of them. */
async function stop(plugin: HostedPlugin, limitMs: number): Promise<void> {
  // Whatever it does then, unless another is to go on.
  const exitUnlessShared = () => [...plugins].every(({ isEnding }) => isEnding) && exit(0);
  setTimeout(exitUnlessShared, limitMs).unref();
  await plugin.end(limitMs);
  await plugin.leave(limitMs);
  plugins.delete(plugin);
  if (plugins.size === 0) exit(0);
}

/** Logs why the process ends. Where plugins share it, the host learns so which of them ended it. */
function logEnd(culprit: HostedPlugin | undefined, error: unknown, what: string, why: string): void {
  const own = culprit && isShared ? endingLog(culprit, why) : (culprit?.log ?? log);
  own.error({ err: error }, what);
}

/** A log whose lines tell the host that the plugin ended the process, and how. */
function endingLog({ greeting: { seat } }: HostedPlugin, ends: string): Logger {
  return lineLogger(writeError, seat === undefined ? undefined : { seat, ends });
}

async function host(greeting: Greeting): Promise<void> {
  const { seat } = greeting;
  const own = lineLogger(writeError, seat === undefined ? undefined : { seat });
  const plugin = new HostedPlugin(greeting, own, (limitMs) => void stop(plugin, limitMs));
  plugins.add(plugin);
  if (seat !== undefined && !isShared) shareProcess();
  try {
    await (isShared ? current.run(plugin, () => plugin.run()) : plugin.run());
    // Nothing that it does would reach the daemon any more.
    if (!plugin.isEnding) await end(1, ORPHAN_LIMIT_MS);
  } catch (error) {
    const reason = isCentreondError(error) ? `${error.code}: ${error.message}` : reasonOf(error);
    logEnd(plugin, error, reason, reason);
    process.exitCode = 1;
    if (!plugin.isEnding) await end(1, 1000);
  }
}

/** From now on what a plugin prints, and its call of `process.exit`, is known to be its own. */
function shareProcess(): void {
  isShared = true;
  const seat = () => current.getStore()?.greeting.seat;
  attributeOutput(process.stdout, seat);
  attributeOutput(process.stderr, seat);
  process.on('exit', (code) => {
    const culprit = current.getStore();
    if (ending || !culprit) return;
    const call = `process.exit(${code})`;
    endingLog(culprit, `it called ${call}`).error(`the process ends, since the plugin called ${call}`);
  });
}

// The host asks over the link; a signal meant for its whole terminal is the host's to answer.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => void end(0, ORPHAN_LIMIT_MS));

// A crash is one entry of the log, with its stack. A plugin that has a listener of its own decides itself.
process.on('uncaughtException', (error, origin) => {
  if (process.listenerCount('uncaughtException') > 1) return;
  const what =
    origin === 'unhandledRejection' ? 'nothing handled a rejected promise' : 'nothing caught what was thrown';
  const why = `${what}: ${reasonOf(error)}`;
  logEnd(current.getStore(), error, `the process ends, since ${why}`, why);
  exit(1);
});

loadOneCopy();
readGreetings(process.stdin, {
  greeted: (greeting) => void host(greeting),
  malformed: (error) => {
    log.error({ err: error }, `${error.code}: ${error.message}`);
    process.exitCode = 1;
    void end(1, 1000);
  },
  hostGone: () => void end(1, ORPHAN_LIMIT_MS),
});
