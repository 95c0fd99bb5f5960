import {
  byDiscriminator,
  isSecretReference,
  SECRET_FORMAT,
  SECRET_REFERENCE_FORMAT,
} from '@centreond/plugin-sdk/json-schema';
import { type JsonObject, reasonOf } from '@centreond/protocol';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { fault, type Problem, problem } from '../errors.ts';
import type { PluginEntry } from './entry.ts';
import { TEXT_FORMATS, UNIQUE } from './formats.ts';
import { ajvProblems, valueAt } from './issues.ts';
import { MANIFEST_FILE, type Manifest } from './manifest.ts';
import { placedConfig, secretsOf } from './placed.ts';
import { type Environment, readSecret } from './secret.ts';
import { formatPath } from './source.ts';

/**
 * Checks an entry's `config` against the schema that its manifest declares, each mistake at its own place in the file.
 * Fills in no defaults and repeats no values. The plugin's process checks again, by its own schema.
 */
export function validatePluginConfig(entry: PluginEntry, manifest: Manifest): Problem[] {
  const { config, source, path } = entry;
  const base = [...path, 'config'];
  // A plugin that declares no config takes an empty one.
  const schema = manifest.config ?? { additionalProperties: false };
  const ajv = new Ajv2020({ allErrors: true, strict: false, verbose: true, logger: false });
  for (const format of [SECRET_FORMAT, SECRET_REFERENCE_FORMAT])
    ajv.addFormat(format, { type: 'string', validate: isSecretReference });
  for (const [format, faultOf] of Object.entries(TEXT_FORMATS))
    ajv.addFormat(format, { type: 'string', validate: (text: string) => faultOf(text) === undefined });
  ajv.addKeyword(UNIQUE);
  try {
    const validate = ajv.compile(byDiscriminator(asWritten(schema)));
    if (validate(config)) return [];
    return ajvProblems(validate.errors ?? [], source, base);
  } catch (error) {
    return [
      problem('PLUGIN_BAD_MANIFEST', source.at([...path, 'package']), {
        package: entry.package,
        file: MANIFEST_FILE,
        reason: `its config schema does not compile: ${reasonOf(error)}`,
      }),
    ];
  }
}

/** `schema` with each secret as the file has it, a reference: what else the schema says of it holds for the value alone. */
function asWritten<T>(schema: T): T {
  if (Array.isArray(schema)) return schema.map(asWritten) as T;
  if (typeof schema !== 'object' || schema === null) return schema;
  if ('format' in schema && schema.format === SECRET_FORMAT) return { type: 'string', format: SECRET_FORMAT } as T;
  return Object.fromEntries(Object.entries(schema).map(([key, part]) => [key, asWritten(part)])) as T;
}

/** What is wrong with the secrets that an entry's `config` refers to; a variable that is not set is of the `unset` severity. */
export function secretProblems(
  entry: PluginEntry,
  manifest: Manifest,
  environment: Environment,
  unset: Problem['severity'],
): Problem[] {
  const { source, path } = entry;
  return secretsOf(entry, manifest).flatMap(({ way, reference }) => {
    const read = readSecret(reference, environment);
    if ('value' in read) return [];
    const at = [...path, 'config', ...way];
    const details = { where: formatPath(at), reference, reason: read.reason };
    return [problem('SECRET_UNUSABLE', source.at(at), details, read.isUnset ? unset : 'error')];
  });
}

/** A plugin's config as its process gets it, and the values of the secrets in it. */
export interface Settings {
  readonly config: JsonObject;
  readonly secrets: readonly string[];
}

/** The config of an entry with its secrets filled in, read now. Throws SECRET_UNUSABLE. */
export function settingsOf(entry: PluginEntry, manifest: Manifest, environment: Environment): Settings {
  const config = structuredClone(placedConfig(entry, manifest));
  const secrets = secretsOf(entry, manifest).map(({ way, reference }) => {
    const read = readSecret(reference, environment);
    if ('reason' in read) {
      const where = formatPath([...entry.path, 'config', ...way]);
      throw fault('SECRET_UNUSABLE', { where, reference, reason: read.reason });
    }
    const holder = valueAt(config, way.slice(0, -1)) as Record<string | number, unknown>;
    holder[way.at(-1) ?? ''] = read.value;
    return read.value;
  });
  return { config, secrets };
}
