import { timeZoneOf } from '@centreond/plugin-sdk/schedule';
import { type Problem, problem } from '../errors.ts';
import type { PluginEntry } from './entry.ts';
import { FILE_FORMATS } from './formats.ts';
import { pathOf, valueAt } from './issues.ts';
import type { Manifest } from './manifest.ts';
import { filesOf, omittedOf } from './placed.ts';
import type { Environment } from './secret.ts';
import { formatPath } from './source.ts';

/**
 * What an entry's `config` relies on in this machine and does not find, as far as its schema says so: the files that it names, and the time
 * zone of its process. `environment` is that of the daemon, or only of somebody who asks in its place.
 */
export function surroundingProblems(entry: PluginEntry, manifest: Manifest, environment: Environment): Problem[] {
  return [...fileProblems(entry, manifest), ...timeZoneProblems(entry, manifest, environment)];
}

function fileProblems(entry: PluginEntry, manifest: Manifest): Problem[] {
  return filesOf(entry, manifest).flatMap(({ way, path, format }) => {
    const reason = FILE_FORMATS[format]?.(path);
    if (reason === undefined) return [];
    const at = [...entry.path, 'config', ...way];
    return [problem('FILE_UNUSABLE', entry.source.at(at), { where: formatPath(at), path, reason })];
  });
}

/** The time zone of the plugin's process, where the config relies on it: of many places the first is told. */
function timeZoneProblems(entry: PluginEntry, manifest: Manifest, environment: Environment): Problem[] {
  const { config, env, source, path } = entry;
  const zone = timeZoneOf({ ...environment, ...env });
  if (!('fault' in zone)) return [];
  const [first, ...others] = omittedOf(entry, manifest).filter(
    ({ sources }) =>
      sources.includes('TZ') &&
      !sources.some((from) => from.startsWith('/') && valueAt(config, pathOf(from)) !== undefined),
  );
  if (first === undefined) return [];
  const at = [...path, 'config', ...first.way];
  const more = others.length === 0 ? '' : ` (as in ${others.length} more of its kind)`;
  // Only the daemon knows its own environment.
  const severity = Object.hasOwn(env, 'TZ') ? 'error' : 'warning';
  const reason = `is omitted${more}, and ${zone.fault}; or name the time zone here`;
  return [problem('CONFIG_BAD_VALUE', source.at(at), { where: formatPath(at), reason }, severity)];
}
