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

/** The `format` by which a schema marks a string as a reference to a secret: the value itself is refused, and not repeated. */
export const SECRET_FORMAT = 'centreond-secret';
export const SECRET_REMEDY = 'is a secret: write file:PATH or env:NAME, never the value';

/** Whether `text` refers to a secret (`file:PATH` or `env:NAME`). */
export function isSecretReference(text: string): boolean {
  return /^(file:.+|env:[A-Za-z_][A-Za-z0-9_]*)$/.test(text);
}

/** Compiles schemas for a while: making one costs five times as much as compiling a schema. */
let ajv: Ajv2020 | undefined;
/** Schemas that one compiler takes. It holds on to each of them, whatever is removed from it, for as long as itself. */
const SCHEMAS = 50;
let compiled = 0;

/** A compiler that knows no other schema, so that two cannot meet by `$id`. */
function compiler(): Ajv2020 {
  if (compiled++ % SCHEMAS === 0) ajv = undefined;
  ajv ??= new Ajv2020({ strict: false, allErrors: true, addUsedSchema: false, logger: false }).addFormat(
    SECRET_FORMAT,
    {
      type: 'string',
      validate: isSecretReference,
    },
  );
  return ajv;
}

/** Compiles `schema` as router and test kit do: unknown keywords, and all formats but that of a secret, bind nobody. */
export function routerSchema(schema: JsonSchema): RouterSchema {
  let validate: ValidateFunction;
  try {
    validate = compiler().compile(schema);
  } catch (error) {
    return { fault: reasonOf(error), check: () => undefined };
  } finally {
    ajv?.removeSchema(schema);
  }
  return { fault: undefined, check: (value) => (validate(value) ? undefined : faultText(validate)) };
}

function faultText({ errors }: ValidateFunction): string {
  const texts = (errors ?? []).slice(0, 5).map(({ instancePath, params, keyword, message }) => {
    const at = instancePath === '' ? 'it' : instancePath.slice(1).replaceAll('/', '.');
    if (keyword === 'additionalProperties') return `${at} must not have the key '${params.additionalProperty}'`;
    return `${at} ${keyword === 'format' ? SECRET_REMEDY : message}`;
  });
  return texts.join('; ');
}
