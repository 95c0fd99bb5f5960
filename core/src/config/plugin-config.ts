import { isSecretReference, SECRET_FORMAT } from '@centreond/plugin-sdk/json-schema';
import { reasonOf } from '@centreond/protocol';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { type Problem, problem } from '../errors.ts';
import type { PluginEntry } from './entry.ts';
import { ajvProblems } from './issues.ts';
import { MANIFEST_FILE, type Manifest } from './manifest.ts';

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
  ajv.addFormat(SECRET_FORMAT, { type: 'string', validate: isSecretReference });
  try {
    const validate = ajv.compile(schema);
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
