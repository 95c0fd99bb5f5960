// The process of one instance. The host starts this file and sends its greeting; it is never started by hand.
import 'reflect-metadata';
import { setSourceMapsSupport } from 'node:module';
import { pathToFileURL } from 'node:url';
import { declarationOf, type Instances, manifestOf } from '@centreond/plugin-sdk/internal';
import { failure, formatMessage, isCentreondError, parseReply, reasonOf } from '@centreond/protocol';
import { construct, type Lifecycle, pluginOf, servicesOver } from './construct.ts';
import { readGreeting } from './greeting.ts';
import { InternalLink } from './link.ts';
import { lineLogger } from './logger.ts';
import type { LinkMetrics } from './metrics.ts';
import { loadOneCopy } from './one-copy.ts';
import { RowWindow } from './row-window.ts';
import { InstanceRuntime } from './runtime.ts';
import { LinkTransport } from './services.ts';
import { collectStartGarbage } from './start-garbage.ts';

/** After the host is gone: how long the plugin may take to let go of what it holds. */
const ORPHAN_LIMIT_MS = 4000;

const log = lineLogger((line) => process.stderr.write(line));
let ending = false;
let rows: RowWindow | undefined;
let runtime: InstanceRuntime | undefined;
let plugin: Lifecycle | undefined;
let metrics: LinkMetrics | undefined;

function poolOf(instances: Instances | undefined): number {
  return instances && 'pool' in instances ? instances.pool : 1;
}

/** Lets the plugin release what it holds, then ends the process, whatever the plugin does. */
async function end(exitCode: number, limitMs: number, farewell: () => Promise<void>): Promise<void> {
  if (ending) return;
  ending = true;
  setTimeout(() => process.exit(exitCode), limitMs).unref();
  rows?.release();
  runtime?.abortAll(failure('INTERRUPTED', { token: 'this request' }));
  try {
    await plugin?.stop?.();
    const limit = Date.now() + limitMs - 200;
    while ((runtime?.inFlight ?? 0) > 0 && Date.now() < limit) await new Promise((resolve) => setTimeout(resolve, 10));
  } catch (error) {
    log.error({ err: error }, `stop() threw: ${reasonOf(error)}`);
  }
  await farewell();
  process.exit(exitCode);
}

// The host asks over the link; a signal meant for its whole terminal is the host's to answer.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => void end(0, ORPHAN_LIMIT_MS, async () => {}));

// A crash is one entry of the log, with its stack. A plugin that has a listener of its own decides itself.
process.on('uncaughtException', (error, origin) => {
  if (process.listenerCount('uncaughtException') > 1) return;
  const what =
    origin === 'unhandledRejection' ? 'nothing handled a rejected promise' : 'nothing caught what was thrown';
  log.error({ err: error }, `the process ends, since ${what}: ${reasonOf(error)}`);
  process.exit(1);
});

try {
  const greeting = await readGreeting(process.stdin, () => void end(1, ORPHAN_LIMIT_MS, async () => {}));
  loadOneCopy();
  // From here on: the maps of this process's own modules would take megabytes.
  setSourceMapsSupport(true, { nodeModules: true, generatedCode: false });
  const target = pluginOf(await import(pathToFileURL(greeting.main).href), greeting.main);
  const link = new InternalLink(greeting.endpoint, greeting.maxMessage);
  rows = new RowWindow(link, greeting.rowBound);
  const declared = declarationOf(target).options;
  const transport = new LinkTransport({
    wire: link,
    maxMessage: greeting.maxMessage,
    log,
    plugin: { ...declared, type: greeting.type },
  });
  // The door is entered first, so that a plugin can use its transport from its constructor on; requests come after READY.
  link.send(formatMessage('HELLO', '', '', { ticket: greeting.ticket }));
  const receiving = link.receive((bytes) => {
    if (runtime?.receive(bytes)) return;
    const message = parseReply(bytes.toString());
    if (message.action === 'STOP') {
      const { limitMs } = JSON.parse(message.data) as { limitMs: number };
      void end(0, limitMs, async () => {
        metrics?.flush();
        link.send(formatMessage('STOPPED', '', ''));
        // It returns as soon as the daemon has all; the process ends after limitMs whatever it does.
        await link.close(limitMs);
      });
    } else if (message.action === 'STORED') rows?.stored(Number(message.token), Number(message.target));
    else transport.receive(message);
  });
  const instance = { id: greeting.instance, of: poolOf(declared.instances), type: greeting.type };
  const services = servicesOver(transport, log, { instance });
  metrics = services.metrics;
  plugin = await construct(target, greeting.config, services);
  runtime = new InstanceRuntime(plugin, rows, log, greeting.maxMessage, greeting.as);
  const ready = { pid: process.pid, hash: manifestOf(target).hash };
  await plugin.start?.();
  link.send(formatMessage('READY', '', '', ready));
  collectStartGarbage();
  await receiving;
  // Nothing that it does would reach the daemon any more.
  await end(1, ORPHAN_LIMIT_MS, async () => {});
} catch (error) {
  log.error({ err: error }, isCentreondError(error) ? `${error.code}: ${error.message}` : reasonOf(error));
  process.exitCode = 1;
  await end(1, 1000, async () => {});
}
