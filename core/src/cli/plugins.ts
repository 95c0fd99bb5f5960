import { descriptionOf, manifestMarkdown, type Part } from '@centreond/plugin-runtime/describe';
import type { Manifest } from '@centreond/plugin-sdk/internal';
import { findPlugins } from '../config/discovery.ts';
import { coreManifest } from '../core-actions.ts';
import { placeOf } from '../errors.ts';
import { cliFault, configOf } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { printJson, table } from './print.ts';

/** The plugins of the config with their actions, or one with all its manifest says; from the manifests, so no daemon is needed. */
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
    else process.stdout.write(manifestText(manifest));
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
    process.stdout.write(table([['PLUGIN', 'ACTION', 'FOR', 'DOES'], ...rows]));
  }
  return problems.some(({ severity }) => severity === 'error') ? EXIT.failed : EXIT.done;
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
