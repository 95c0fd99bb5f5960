import { reasonOf } from '@centreond/protocol';
import { unexpressedOf } from './unexpressed.ts';

/** The part of the Standard Schema and Standard JSON Schema interfaces (standardschema.dev) that centreond relies on. */

/** A JSON Schema, draft 2020-12. */
export type JsonSchema = { readonly [key: string]: unknown };

interface Issue {
  readonly message: string;
  readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined;
}
type Result<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: ReadonlyArray<Issue> };

/** A schema of any library that validates and describes itself as JSON Schema (zod from 4.2 does). */
export interface Schema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
    readonly validate: (value: unknown) => Result<Output> | Promise<Result<Output>>;
    readonly jsonSchema: {
      readonly input: (options: {
        readonly target: string;
        readonly libraryOptions?: Record<string, unknown>;
      }) => JsonSchema;
      readonly output: (options: {
        readonly target: string;
        readonly libraryOptions?: Record<string, unknown>;
      }) => JsonSchema;
    };
  };
}

/** What a schema accepts. */
export type InputOf<S extends Schema> = NonNullable<S['~standard']['types']>['input'];
/** What a schema yields once it has validated. */
export type OutputOf<S extends Schema> = NonNullable<S['~standard']['types']>['output'];

const TARGET = 'draft-2020-12';

/** By vendor: what makes a schema of it describe itself. */
const ADAPTERS: Readonly<Record<string, string>> = {
  valibot: 'wrap it in toStandardJsonSchema() of @valibot/to-json-schema 1.5 or newer',
  zod: 'update zod to 4.2 or newer',
  arktype: 'update arktype to 2.1.28 or newer',
};
const TO_FROM_JSON_SCHEMA = 'wrap it in fromJsonSchema() of @centreond/plugin-sdk/json-schema';

/**
 * Why `schema` cannot be used, as the rest of a sentence that names the adapter to use; undefined if it is a Standard Schema with
 * Standard JSON Schema.
 */
export function faultOfSchema(schema: unknown): string | undefined {
  if ((typeof schema !== 'object' && typeof schema !== 'function') || schema === null) return 'there is no schema';
  const standard: unknown = Reflect.get(schema, '~standard');
  if (typeof standard !== 'object' || standard === null) {
    // TypeBox marks its schemas '~kind' (1.x) or Symbol(TypeBox.Kind).
    const isTypeBox = '~kind' in schema || Symbol.for('TypeBox.Kind') in schema;
    if (isTypeBox) return `a TypeBox schema has no validator of its own; ${TO_FROM_JSON_SCHEMA}`;
    const isJsonSchema = 'type' in schema || '$schema' in schema || 'properties' in schema;
    if (isJsonSchema) return `a plain JSON Schema has no validator of its own; ${TO_FROM_JSON_SCHEMA}`;
    return 'it is no Standard Schema (standardschema.dev); use zod 4.2 or newer, or a library with Standard JSON Schema';
  }
  const { vendor, validate, jsonSchema } = standard as Readonly<Record<string, unknown>>;
  if (typeof validate !== 'function') return 'its ~standard.validate is not a function (standardschema.dev)';
  const { input, output } = (jsonSchema ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof input === 'function' && typeof output === 'function') return undefined;
  const adapter =
    ADAPTERS[String(vendor)] ?? `use the adapter of ${vendor} for Standard JSON Schema (standardschema.dev)`;
  return `the ${vendor} schema does not describe itself as JSON Schema; ${adapter}`;
}

/** One side of a schema as JSON Schema, and what that cannot say of it. */
export interface Description {
  readonly schema: JsonSchema;
  readonly unexpressed: readonly string[];
}

/**
 * Describes one side of `schema`. What JSON Schema cannot say is left open there and named with its path, which starts with
 * `root`; it throws nothing.
 */
export function describe(schema: Schema, side: 'input' | 'output', root: string = side): Description {
  const { vendor, jsonSchema } = schema['~standard'];
  const named = vendor === 'zod' ? unexpressedOf(schema, side, root) : [];
  const convert = (options: object) => withoutDialect(jsonSchema[side]({ target: TARGET, ...options }));
  try {
    const described = convert({});
    if (vendor !== 'zod')
      named.push(`${root}: ${vendor} does not tell what its schema demands beyond this JSON Schema`);
    return { schema: described, unexpressed: named };
  } catch (error) {
    if (named.length === 0) named.push(`${root}: ${reasonOf(error)}`);
    try {
      return { schema: convert({ libraryOptions: { unrepresentable: 'any' } }), unexpressed: named };
    } catch {
      return { schema: {}, unexpressed: named };
    }
  }
}

function withoutDialect(schema: JsonSchema): JsonSchema {
  const { $schema: _, '~standard': __, ...rest } = schema;
  return rest;
}

/** Validates with the schema's own code: the value, or a sentence that names each path and what is wrong there. */
export async function validate<S extends Schema>(
  schema: S,
  value: unknown,
): Promise<{ ok: true; value: OutputOf<S> } | { ok: false; reason: string }> {
  const pending = schema['~standard'].validate(value);
  const result = pending instanceof Promise ? await pending : pending;
  if (!result.issues) return { ok: true, value: result.value as OutputOf<S> };
  return { ok: false, reason: result.issues.map(issueText).join('; ') };
}

function issueText(issue: Issue): string {
  const path = (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.');
  return path === '' ? issue.message : `${path}: ${issue.message}`;
}
