import type { JsonSchema } from '@centreond/plugin-sdk/internal';

/** One field of a schema, as a person reads it. */
export interface Field {
  /** `city`, `places[].city`, `env.*`. */
  readonly path: string;
  /** `integer from 1 to 9`, `'C' or 'F'`, `text[]`. */
  readonly type: string;
  readonly required: boolean;
  /** As JSON; undefined where there is none. */
  readonly fallback: string | undefined;
  readonly description: string;
}

const DEPTH_LIMIT = 8;

/** The fields of a JSON Schema, nested ones after the one that holds them. */
export function fieldsOf(schema: JsonSchema): Field[] {
  const fields: Field[] = [];
  collect(schema, '', { root: schema, fields, above: [] });
  return fields;
}

interface Walk {
  readonly root: JsonSchema;
  readonly fields: Field[];
  readonly above: readonly JsonSchema[];
}

function collect(given: unknown, path: string, walk: Walk): void {
  const schema = resolve(given, walk.root);
  if (walk.above.includes(schema) || walk.above.length > DEPTH_LIMIT) return; // recursive: its fields are listed above
  const inner: Walk = { ...walk, above: [...walk.above, schema] };
  const required = list(schema.required);
  for (const [key, part] of Object.entries(record(schema.properties))) {
    add(part, path === '' ? key : `${path}.${key}`, required.includes(key), inner);
  }
  const more = schema.additionalProperties;
  if (isSchema(more) && !('properties' in schema)) add(more, path === '' ? '*' : `${path}.*`, false, inner);
  else if (more !== false && 'properties' in schema && more !== undefined)
    add({}, path === '' ? '*' : `${path}.*`, false, inner);
  for (const item of [...list(schema.prefixItems), schema.items]) if (isSchema(item)) collect(item, `${path}[]`, inner);
  for (const option of [schema.anyOf, schema.oneOf, schema.allOf].flatMap(list)) collect(option, path, inner);
}

function add(given: unknown, path: string, required: boolean, walk: Walk): void {
  const schema = resolve(given, walk.root);
  const type = typeText(schema, walk.root);
  const other = walk.fields.findIndex((field) => field.path === path);
  const known = walk.fields[other];
  if (known) {
    // Of another option of the same union.
    const types = known.type.split(' or ');
    walk.fields[other] = { ...known, type: types.includes(type) ? known.type : `${known.type} or ${type}` };
    collect(schema, path, walk);
    return;
  }
  walk.fields.push({
    path,
    type,
    required,
    fallback: 'default' in schema ? JSON.stringify(schema.default) : undefined,
    description: typeof schema.description === 'string' ? schema.description : '',
  });
  collect(schema, path, walk);
}

/** What a schema takes, in words. */
export function typeText(given: unknown, root: JsonSchema, depth = 0): string {
  const schema = resolve(given, root);
  if (depth > DEPTH_LIMIT) return 'any';
  const nested = (part: unknown) => typeText(part, root, depth + 1);
  if ('const' in schema) return literal(schema.const);
  if (Array.isArray(schema.enum)) return schema.enum.map(literal).join(' or ');
  const options = list(schema.anyOf ?? schema.oneOf);
  if (options.length > 0) return [...new Set(options.map(nested))].join(' or ');
  if (Array.isArray(schema.allOf)) return [...new Set(schema.allOf.map(nested))].join(' and ');
  const types = (Array.isArray(schema.type) ? schema.type : [schema.type]).filter((type) => typeof type === 'string');
  if (types.length === 0) return 'properties' in schema ? 'object' : 'any';
  return types.map((type) => ofType(type, schema, nested)).join(' or ');
}

function ofType(type: string, schema: JsonSchema, nested: (part: unknown) => string): string {
  switch (type) {
    case 'string': {
      const pattern =
        typeof schema.pattern === 'string' && schema.format === undefined ? ` like ${schema.pattern}` : '';
      const format = typeof schema.format === 'string' ? ` (${schema.format})` : '';
      return `text${format}${length(schema.minLength, schema.maxLength, 'characters')}${pattern}`;
    }
    case 'integer':
    case 'number':
      return `${type}${bounds(schema)}`;
    case 'array': {
      if (Array.isArray(schema.prefixItems)) return `[${schema.prefixItems.map(nested).join(', ')}]`;
      const item = nested(schema.items);
      return `${item.includes(' ') ? `(${item})` : item}[]${length(schema.minItems, schema.maxItems, 'items')}`;
    }
    case 'object':
      return isSchema(schema.additionalProperties) && !('properties' in schema)
        ? `object of ${nested(schema.additionalProperties)}`
        : 'object';
    default:
      return type;
  }
}

function bounds({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: JsonSchema): string {
  const from = isBound(minimum) ? ` from ${minimum}` : isBound(exclusiveMinimum) ? ` above ${exclusiveMinimum}` : '';
  if (isBound(maximum)) return `${from}${from === '' ? ' up' : ''} to ${maximum}`;
  if (isBound(exclusiveMaximum)) return `${from} below ${exclusiveMaximum}`;
  return from.startsWith(' from') ? `${from} up` : from;
}

// What an integer can be at all is not worth saying.
function isBound(bound: unknown): bound is number {
  return typeof bound === 'number' && Math.abs(bound) !== Number.MAX_SAFE_INTEGER;
}

function length(least: unknown, most: unknown, unit: string): string {
  const from = typeof least === 'number' ? least : 0;
  if (typeof most !== 'number') return from === 0 ? '' : from === 1 ? ', not empty' : `, at least ${from} ${unit}`;
  if (from === most) return ` of ${most} ${unit}`;
  return from === 0 ? ` of up to ${most} ${unit}` : ` of ${from} to ${most} ${unit}`;
}

function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : JSON.stringify(value);
}

function resolve(given: unknown, root: JsonSchema): JsonSchema {
  let schema: unknown = given;
  for (let i = 0; i < DEPTH_LIMIT && isSchema(schema) && typeof schema.$ref === 'string'; i++) {
    let target: unknown = root;
    for (const part of schema.$ref.split('/').slice(1))
      target = record(target)[part.replaceAll('~1', '/').replaceAll('~0', '~')];
    schema = target;
  }
  return isSchema(schema) ? schema : {};
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function record(value: unknown): JsonSchema {
  return isSchema(value) ? value : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
