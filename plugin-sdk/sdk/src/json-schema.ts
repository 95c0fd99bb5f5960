import { reasonOf } from '@centreond/protocol';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { byDiscriminator } from './discriminated.ts';
import type { JsonSchema, Schema } from './schema.ts';

export { byDiscriminator, isOtherForm } from './discriminated.ts';

/** A JSON Schema as the router reads it. */
export interface RouterSchema {
  /** Why the router cannot use the schema, if it cannot; `check` finds nothing then. */
  readonly fault: string | undefined;
  /** What the schema has against `value`, as one sentence part, or undefined. */
  check(value: unknown): string | undefined;
}

/**
 * The `format` by which a config schema marks a string as a secret. The config file holds a reference (`file:PATH` or `env:NAME`); the
 * plugin is given the value.
 */
export const SECRET_FORMAT = 'centreond-secret';
/**
 * The `format` by which a schema marks a string as a reference to a secret, which the plugin reads by itself, each time that it needs it. A
 * text that is no reference is refused, and not repeated.
 */
export const SECRET_REFERENCE_FORMAT = 'centreond-secret-reference';
export const SECRET_REMEDY = 'is a secret: write file:PATH or env:NAME, never the value';

/** Whether `text` refers to a secret (`file:PATH` or `env:NAME`). */
export function isSecretReference(text: string): boolean {
  return /^(file:.+|env:[A-Za-z_][A-Za-z0-9_]*)$/.test(text);
}

/** What a check of a value finds: its first mistake, or all of them. */
type Extent = 'first' | 'all';

/** Compile schemas for a while: making one costs five times as much as compiling a schema. */
const compilers: Record<Extent, { ajv: Ajv2020 | undefined; schemas: number }> = {
  first: { ajv: undefined, schemas: 0 },
  all: { ajv: undefined, schemas: 0 },
};
/** Schemas that one compiler takes. It holds on to each of them, whatever is removed from it, for as long as itself. */
const SCHEMAS = 50;
/** Of a value with more keys and elements only the first mistake is told: 50,000 of them take 60 ms to find. */
const LARGE = 1000;
/** Mistakes that one answer names. */
const TOLD = 5;

/** Compiles a schema apart from all others, so that two cannot meet by `$id`. Throws what is wrong with it. */
function compile(schema: JsonSchema, extent: Extent): ValidateFunction {
  const compiler = compilers[extent];
  if (compiler.schemas++ % SCHEMAS === 0) compiler.ajv = undefined;
  compiler.ajv ??= new Ajv2020({
    strict: false,
    allErrors: extent === 'all',
    // For what a schema says of itself.
    verbose: extent === 'all',
    addUsedSchema: false,
    logger: false,
  }).addFormat(SECRET_REFERENCE_FORMAT, { type: 'string', validate: isSecretReference });
  const { ajv } = compiler;
  const told = byDiscriminator(schema);
  try {
    return ajv.compile(told);
  } finally {
    ajv.removeSchema(told);
  }
}

/** Compiles `schema` as router and test kit do: unknown keywords, and all formats but that of a reference to a secret, bind nobody. */
export function routerSchema(schema: JsonSchema): RouterSchema {
  let first: ValidateFunction;
  try {
    first = compile(schema, 'first');
  } catch (error) {
    return { fault: reasonOf(error), check: () => undefined };
  }
  let all: ValidateFunction | undefined;
  const check = (value: unknown) => {
    if (first(value)) return undefined;
    if (sizeOf(value, LARGE) > LARGE) return faultText(first);
    all ??= compile(schema, 'all');
    all(value);
    const text = faultText(all);
    // They hold the value.
    all.errors = null;
    return text;
  };
  return { fault: undefined, check };
}

/** How many keys and elements a JSON value has; counts no further than past `limit`. */
function sizeOf(value: unknown, limit: number): number {
  if (typeof value !== 'object' || value === null) return 0;
  let size = 0;
  for (const key in value) {
    size += 1 + sizeOf((value as Record<string, unknown>)[key], limit - size);
    if (size > limit) break;
  }
  return size;
}

function faultText({ errors }: ValidateFunction): string {
  // What a form of a union has against the value is told by itself.
  const own = (errors ?? []).filter(({ keyword }) => keyword !== 'if');
  const texts = constantsFirst(own).map(({ instancePath, params, keyword, message, parentSchema }) => {
    const at = instancePath === '' ? 'it' : instancePath.slice(1).replaceAll('/', '.');
    if (keyword === 'enum') return `${at} must be one of ${(params.allowedValues as unknown[]).map(String).join(', ')}`;
    if (keyword === 'additionalProperties') return `${at} must not have the key '${params.additionalProperty}'`;
    if (keyword === 'const') {
      const meaning: unknown = parentSchema?.description;
      return `${at} must be ${JSON.stringify(params.allowedValue)}${typeof meaning === 'string' ? `: ${meaning}` : ''}`;
    }
    return `${at} ${keyword === 'format' ? SECRET_REMEDY : message}`;
  });
  return texts.slice(0, TOLD).join('; ');
}

/** A value of another kind than the only one that fits has much else wrong: its kind is told first. In a choice of forms each has its own. */
function constantsFirst(errors: readonly ErrorObject[]): readonly ErrorObject[] {
  const rank = ({ keyword, schemaPath }: ErrorObject) =>
    keyword === 'const' && !/\/(?:any|one)Of\//.test(schemaPath) ? 0 : 1;
  return errors.toSorted((a, b) => rank(a) - rank(b));
}

/**
 * A schema that a plugin may declare with, of a plain JSON Schema (a TypeBox schema is one). It checks as the router does, and
 * changes nothing: defaults are not filled in. Give the type that it describes: `fromJsonSchema<Static<typeof T>>(T)`. Throws a
 * TypeError if `schema` cannot be compiled.
 */
export function fromJsonSchema<T>(schema: object): Schema<T> {
  const plain = JSON.parse(JSON.stringify(schema)) as JsonSchema;
  const { fault, check } = routerSchema(plain);
  if (fault !== undefined) throw new TypeError(`This JSON Schema cannot be used: ${fault}.`);
  return {
    '~standard': {
      version: 1,
      vendor: 'json-schema',
      validate: (value) => {
        const message = check(value);
        return message === undefined ? { value: value as T } : { issues: [{ message }] };
      },
      jsonSchema: { input: () => plain, output: () => plain },
    },
  };
}
