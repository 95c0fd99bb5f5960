import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { reasonOf } from './errors.ts';
import type { JsonSchema } from './schema.ts';

/** A JSON Schema as the router reads it. */
export interface RouterSchema {
  /** Why the router cannot use the schema, if it cannot; `check` finds nothing then. */
  readonly fault: string | undefined;
  /** What the schema has against `value`, as one sentence part, or undefined. */
  check(value: unknown): string | undefined;
}

// One for all: making it costs more than compiling a schema. It keeps nothing, so that schemas cannot meet by `$id`.
let ajv: Ajv2020 | undefined;

/** Compiles `schema` with the settings that the router has: formats and unknown keywords bind nobody. */
export function routerSchema(schema: JsonSchema): RouterSchema {
  let validate: ValidateFunction;
  try {
    ajv ??= new Ajv2020({ strict: false, allErrors: true, validateFormats: false, addUsedSchema: false });
    validate = ajv.compile(schema);
  } catch (error) {
    return { fault: reasonOf(error), check: () => undefined };
  }
  return { fault: undefined, check: (value) => (validate(value) ? undefined : faultText(validate)) };
}

function faultText({ errors }: ValidateFunction): string {
  const texts = (errors ?? []).slice(0, 5).map(({ instancePath, params, keyword, message }) => {
    const at = instancePath === '' ? 'it' : instancePath.slice(1).replaceAll('/', '.');
    return `${at} ${keyword === 'additionalProperties' ? `must not have the key '${params.additionalProperty}'` : message}`;
  });
  return texts.join('; ');
}
