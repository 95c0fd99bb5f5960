import { styleText } from 'node:util';
import type { Loaded } from '../config/config.ts';
import { coreSecretProblems } from '../config/core-secrets.ts';
import { examine, type FoundPlugins } from '../config/discovery.ts';
import { configSchema } from '../config/editor-schema.ts';
import { surroundingProblems } from '../config/surroundings.ts';
import { coreActionNames } from '../core-actions.ts';
import { daemonOf } from '../data-folder/data-folder.ts';
import { unbindable } from '../doors/bindable.ts';
import { inOrder, type Problem, placeOf } from '../errors.ts';
import { cellsOf } from './cells.ts';
import { countText, hanging, shortPath, widthOf } from './print.ts';

export interface CheckOptions {
  /** The file of --config; searched for when left out. */
  config?: string | undefined;
  /** Prints one JSON object instead of lines. */
  json?: boolean;
  /** Prints the JSON Schema of the config file, with the settings of the plugins that it lists, instead of a report. */
  schema?: boolean;
  cwd?: string;
  /** Actions of the core's own, which no plugin may claim. */
  coreActions?: readonly string[];
  /** The folder of the machine's own config. */
  systemFolder?: string;
  /** Why the external door could not listen on an address now; see {@link unbindable}. */
  unbindable?: typeof unbindable;
  stdout?: NodeJS.WritableStream;
  stderr?: NodeJS.WritableStream;
}

type Report = Loaded & FoundPlugins;

/**
 * `centreond check`: reports every mistake of every config file and plugin, what of the machine they rely on is not there, and
 * shortly what is fine. Runs no plugin code and needs no daemon. The exit status: 0 fine (warnings or not), 1 with mistakes, 2 where --config names no config file.
 */
export async function check(options: CheckOptions): Promise<number> {
  const { config: file, systemFolder, coreActions = coreActionNames } = options;
  const { cwd = process.cwd(), stdout = process.stdout, stderr = process.stderr } = options;
  const examined = await examine({ file, cwd, systemFolder }, coreActions);
  const around = [
    ...examined.plugins.flatMap(({ entry, manifest }) => surroundingProblems(entry, manifest, process.env)),
    ...secretProblems(examined),
    ...(await doorProblems(examined, options.unbindable ?? unbindable)),
  ];
  const problems = inOrder([...examined.problems, ...around], examined.file);
  const report: Report = { ...examined, problems };
  if (options.schema) {
    stdout.write(jsonText(configSchema(report.found)));
    stderr.write(problemText(problems, cwd, stderr));
  } else if (options.json) stdout.write(jsonText(asJson(report)));
  else
    stdout.write(
      [problemText(problems, cwd, stdout), soundText(report, cwd, widthOf(stdout)), summary(report)]
        .filter((part) => part !== '')
        .join('\n'),
    );
  if (problems.some(({ code }) => code === 'CONFIG_NO_SUCH_FILE')) return 2;
  return problems.some(isError) ? 1 : 0;
}

/** What is wrong with the secrets that the settings of the core name. */
function secretProblems({ config, source }: Loaded): Problem[] {
  return config && source ? coreSecretProblems(config, source, process.env) : [];
}

/** Whether the external door can listen. A port that only root may use is a warning: the daemon's user is another, perhaps. */
async function doorProblems({ config, source }: Report, fits: typeof unbindable): Promise<Problem[]> {
  const listen = config?.core.external?.listen;
  if (listen === undefined || !source) return [];
  const { code, message } = (await fits(listen, await daemonOf(config?.core.dataDir ?? ''))) ?? {};
  if (code === undefined || message === undefined) return [];
  const severity = code === 'DOOR_FORBIDDEN' ? 'warning' : 'error';
  return [{ ...source.at(['core', 'external', 'listen']), code, message, severity }];
}

function asJson(report: Report): object {
  const { config, file, files, found, plugins, problems, scope } = report;
  return {
    ok: !problems.some(isError),
    file,
    files,
    problems,
    router: config && {
      id: config.core.id,
      dataDir: config.core.dataDir,
      listen: config.core.external?.listen ?? null,
      trust: config.clients.trust,
      authorized: config.clients.authorized.length,
    },
    plugins: found.map((plugin) => ({
      ok: plugins.includes(plugin),
      type: plugin.manifest.type,
      package: plugin.package,
      version: plugin.version,
      folder: plugin.folder,
      actions: plugin.manifest.actions.map(({ name }) => name),
    })),
    disabled: (scope?.plugins ?? []).filter(({ enable }) => !enable).map((entry) => entry.package),
  };
}

function problemText(problems: readonly Problem[], cwd: string, stream: NodeJS.WritableStream): string {
  const lineWidth = widthOf(stream) ?? Number.POSITIVE_INFINITY;
  const files = Map.groupBy(problems, ({ file }) => file);
  const blocks = [...files.values()].map((group) => {
    const places = group.map((at) => placeOf({ ...at, file: shortPath(at.file, cwd) }));
    const width = Math.max(...places.map((place) => place.length));
    return group
      .map(({ code, message, severity }, i) => {
        const color = severity === 'error' ? 'red' : 'yellow';
        const word = styleText(color, severity.padEnd(7), { stream });
        const name = styleText('bold', code, { stream });
        const place = places[i]?.padEnd(width) ?? '';
        const isTooLong = cellsOf(`${place}  ${severity.padEnd(7)}  ${code}  ${message}`) > lineWidth;
        if (!isTooLong) return `${place}  ${word}  ${name}  ${message}\n`;
        return `${place}  ${word}  ${name}\n${hanging('    ', message, lineWidth)}`;
      })
      .join('');
  });
  return blocks.join('\n');
}

/** What is fine, in a line each. */
function soundText(report: Report, cwd: string, width: number | undefined): string {
  const { config, files, plugins, scope } = report;
  const lines: [string, string][] = [];
  if (files.length > 0) lines.push(['config', files.map((file) => shortPath(file, cwd)).join(', ')]);
  if (config) {
    const { core, clients } = config;
    const known = `${clients.authorized.length} authorized`;
    lines.push(
      ['router', core.name === undefined ? core.id : `${core.id} (${core.name})`],
      ['data', shortPath(core.dataDir, cwd)],
      ['door', core.external ? `${core.external.listen}, trust ${clients.trust}, ${known}` : 'internal only'],
    );
  }
  for (const { manifest, version, package: name } of plugins) {
    const actions = manifest.actions.map((action) => action.name).join(' ');
    lines.push(['plugin', `${manifest.type}, ${name} ${version}: ${actions || 'no actions'}`]);
  }
  for (const entry of scope?.plugins ?? []) if (!entry.enable) lines.push(['plugin', `${entry.package}: not enabled`]);
  return lines.map(([what, text]) => hanging(what.padEnd(8), text, width)).join('');
}

function summary({ files, problems, plugins }: Report): string {
  const errors = problems.filter(isError).length;
  const warnings = problems.length - errors;
  const found = [
    ...(errors > 0 ? [countText(errors, 'error')] : []),
    ...(warnings > 0 ? [countText(warnings, 'warning')] : []),
  ].join(' and ');
  const checked = `${countText(files.length, 'file')} and ${countText(plugins.length, 'sound plugin')}`;
  return `${found || 'No mistakes'} in ${checked}.\n`;
}

function isError({ severity }: Problem): boolean {
  return severity === 'error';
}

function jsonText(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
