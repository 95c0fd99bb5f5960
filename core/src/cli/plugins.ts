import { descriptionOf, manifestMarkdown, type Part } from '@centreond/plugin-runtime/describe';
import type { Manifest } from '@centreond/plugin-sdk/internal';
import { reasonOf } from '@centreond/protocol';
import type { Config } from '../config/config.ts';
import { findPlugins } from '../config/discovery.ts';
import { coreManifest } from '../core-actions.ts';
import { placeOf } from '../errors.ts';
import type { PluginStatus } from '../router/executor.ts';
import { plain } from '../words.ts';
import { cliFault, configOf } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { healthLines, standbyLines } from './health-text.ts';
import { hanging, printJson, table, widthOf } from './print.ts';
import { runningPlugins } from './running.ts';

/**
 * The plugins of the config with their actions, or one with all its manifest says; from the manifests, so no daemon is needed. If
 * one runs, the text says how the plugins fare in it.
 */
export async function plugins(options: Globals & { readonly markdown?: boolean }, type?: string): Promise<number> {
  const core = coreManifest;
  if (type === core.type && options.json) {
    printJson(core); // without a config, so that `centreond-plugin types` can ask anywhere
    return EXIT.done;
  }
  const config = await configOf(options);
  const { plugins: found, problems } = findPlugins(
    config,
    core.actions.map(({ name }) => name),
  );
  for (const problem of problems) process.stderr.write(`${placeOf(problem)} ${problem.code} ${problem.message}\n`);
  const manifests = [core, ...found.map(({ manifest }) => manifest)];
  if (type !== undefined) {
    const manifest = manifests.find((one) => one.type === type);
    if (!manifest) {
      const known = manifests.map((one) => one.type).join(', ');
      throw cliFault('UNKNOWN_TYPE', { type, where: 'in the config', there: known });
    }
    if (options.json) printJson(manifest);
    else if (options.markdown) process.stdout.write(manifestMarkdown(manifest));
    else {
      process.stdout.write(manifestText(manifest));
      process.stdout.write(runningText((await running(config)).filter((one) => one.type === type)));
    }
    return EXIT.done;
  }
  if (options.json) printJson({ plugins: manifests, problems });
  else if (options.markdown) process.stdout.write(manifests.map(manifestMarkdown).join('\n'));
  else {
    const rows = manifests.flatMap((manifest) =>
      manifest.actions.map((action, i) => [
        i === 0 ? manifest.type : '',
        action.name,
        action.access.join(','),
        action.title,
      ]),
    );
    process.stdout.write(table([['PLUGIN', 'ACTION', 'FOR', 'DOES'], ...rows], widthOf(process.stdout)));
    const there = await running(config);
    const remarks = [...healthLines(there), ...standbyLines(there)];
    if (remarks.length > 0)
      process.stdout.write(`\n${remarks.map((line) => hanging('', line.trimEnd(), widthOf(process.stdout))).join('')}`);
  }
  return problems.some(({ severity }) => severity === 'error') ? EXIT.failed : EXIT.done;
}

/** How the plugins fare in the daemon of `config`; none if there is no daemon. Says on standard error if it does not answer. */
async function running(config: Config): Promise<readonly PluginStatus[]> {
  try {
    return (await runningPlugins(config)) ?? [];
  } catch (error) {
    process.stderr.write(`The daemon does not say how the plugins fare: ${reasonOf(error)}\n`);
    return [];
  }
}

/** How a plugin fares in the daemon, below what its manifest says. */
function runningText(plugins: readonly PluginStatus[]): string {
  return plugins
    .map(
      ({ type, version, state, reason, sharedWith = [] }) =>
        `\n${type} ${version} is ${state}${reason === undefined ? '' : `: ${reason}`}\n${sharedWith.length === 0 ? '' : `Its process is shared with ${sharedWith.join(', ')}: they end and restart together.\n`}`,
    )
    .concat(healthLines(plugins), plugins.map(metricsText))
    .join('');
}

function metricsText({ metrics }: PluginStatus): string {
  if (metrics.length === 0) return '';
  const rows = metrics.map(({ name, kind, value, title }) => [name, kind, String(value), plain(title)]);
  return `\n${table([['METRIC', 'KIND', 'VALUE', 'ABOUT'], ...rows])}`;
}

/** A plugin's description for a terminal. */
export function manifestText(manifest: Manifest): string {
  return descriptionOf(manifest).map(partText).join('');
}

function partText(part: Part): string {
  if ('heading' in part) {
    const text = part.name === undefined ? part.heading : `${part.name}: ${part.heading}`;
    return part.level === 3 ? `  ${text.toLowerCase()}\n` : `${part.level === 1 ? '' : '\n'}${text}\n`;
  }
  const lines = 'text' in part ? `${part.text}\n` : table(part.rows);
  return lines.replaceAll(/^(?=.)/gm, '    ');
}
