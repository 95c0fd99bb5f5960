import { dirname, resolve } from 'node:path';
import { fault, type Problem, problem } from '../errors.ts';
import type { Config } from './entry.ts';
import { type Environment, isReference, readSecret } from './secret.ts';
import type { Source } from './source.ts';

/** The settings of the core that may name a secret. */
const SETTINGS = ['core.store.url', 'core.cluster.credentials'] as const;
type Setting = (typeof SETTINGS)[number];

/** What a setting of the core names, with the path of a file in full; undefined where it names no secret. */
function referenceAt({ file: from, core }: Config, where: Setting): string | undefined {
  const text = where === 'core.store.url' ? core.store.url : core.cluster?.credentials;
  if (text === undefined || !isReference(text)) return undefined;
  const name = /^file:(.*)$/s.exec(text)?.[1];
  // Relative to the config file, as other paths are.
  return name === undefined ? text : `file:${resolve(dirname(from), name)}`;
}

/** The secret that a setting of the core names, read now; undefined where it names none. Throws SECRET_UNUSABLE. */
export function coreSecretOf(config: Config, where: Setting, environment: Environment): string | undefined {
  const reference = referenceAt(config, where);
  if (reference === undefined) return undefined;
  const read = readSecret(reference, environment);
  if ('reason' in read) throw fault('SECRET_UNUSABLE', { where, reference, reason: read.reason });
  return read.value;
}

/** What is wrong with those secrets. A variable that is not set here is a warning: only the daemon knows its own environment. */
export function coreSecretProblems(config: Config, source: Source, environment: Environment): Problem[] {
  return SETTINGS.flatMap((where) => {
    const reference = referenceAt(config, where);
    const read = reference === undefined ? undefined : readSecret(reference, environment);
    if (reference === undefined || read === undefined || 'value' in read) return [];
    const details = { where, reference, reason: read.reason };
    return [problem('SECRET_UNUSABLE', source.at(where.split('.')), details, read.isUnset ? 'warning' : 'error')];
  });
}
