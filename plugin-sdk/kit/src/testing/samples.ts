import type { JsonSchema } from '@centreond/plugin-sdk/internal';
import { type RouterSchema, routerSchema } from '@centreond/plugin-sdk/json-schema';

/** An input that a JSON Schema refuses. */
export interface Wrong {
  /** Where it is wrong, as the manifest's `unexpressed` writes paths: `input.list[].name`. */
  readonly path: string;
  readonly what: string;
  readonly value: object;
}

const DEPTH_LIMIT = 6;
const WRONG_LIMIT = 300;
/** A key that no schema has. */
export const UNKNOWN_KEY = 'key-that-no-schema-has';

/** Texts that satisfy the formats and patterns that people write. */
const TEXTS = [
  'a',
  'A',
  '1',
  'a1',
  'ab',
  'A1',
  '/a',
  './a',
  'a=b',
  'a b',
  'a-b',
  'a.b',
  'a/b',
  '@a/b',
  'example.com',
  'a@example.com',
  'https://example.com/',
  'tcp://127.0.0.1:5555',
  '01890a5d-ac96-774b-bcce-b302099a8057',
  '6fa459ea-ee8a-4ca4-894e-db77e160355e',
  '2026-01-01T00:00:00Z',
  '2026-01-01T00:00:00',
  '2026-01-01',
  '00:00:00',
  '00:00',
  'P1D',
  '30s',
  '1KiB',
  '1.0.0',
  '127.0.0.1',
  '::1',
  '10.0.0.0/8',
  '2001:db8::/32',
  '00:00:5e:00:53:01',
  '#a0a0a0',
  '+15551234567',
  'AAAA',
  'a0'.repeat(32),
  'Zm9vYmFy',
  '01ARZ3NDEKTSV4RRFFQ69G5FAV',
  '* * * * *',
  '😀',
];

const WRONG_TYPES: readonly (readonly [string, unknown])[] = [
  ['null', null],
  ['boolean', true],
  ['number', 1.5],
  ['integer', 7],
  ['string', 'text'],
  ['array', []],
  ['object', {}],
];

/** Valid and wrong inputs for one JSON Schema, made from it alone. */
export class Samples {
  readonly #router: RouterSchema;

  constructor(private readonly root: JsonSchema) {
    this.#router = routerSchema(root);
  }

  /** The smallest valid object that could be made; undefined where the schema demands more than it is easy to guess. */
  minimal(): object | undefined {
    return this.#valid(false);
  }

  /** As `minimal`, with every optional field too. */
  full(): object | undefined {
    return this.#valid(true);
  }

  /** Inputs that are wrong in one place each, at every level that a valid one reaches. */
  wrong(root: string): Wrong[] {
    const found = new Map<string, Wrong>();
    for (const value of [this.full(), this.minimal()]) {
      if (value === undefined) continue;
      for (const wrong of this.#spoil(this.root, value, root, (spoilt) => spoilt)) {
        if (!isObject(wrong.value) || this.#router.check(wrong.value) === undefined) continue;
        found.set(JSON.stringify(wrong.value), { ...wrong, value: wrong.value });
        if (found.size >= WRONG_LIMIT) return [...found.values()];
      }
    }
    return [...found.values()];
  }

  /** Paths of the objects that take keys of any name besides those they list. */
  open(root: string): string[] {
    const found = new Set<string>();
    this.#open(this.root, root, found, 0);
    return [...found];
  }

  #valid(full: boolean): object | undefined {
    const value = this.#make(this.root, full, 0);
    return isObject(value) && this.#router.check(value) === undefined ? value : undefined;
  }

  #resolve(given: unknown): JsonSchema {
    let schema = given;
    for (let i = 0; i < DEPTH_LIMIT && isObject(schema) && typeof schema.$ref === 'string'; i++) {
      let target: unknown = this.root;
      for (const part of schema.$ref.split('/').slice(1)) {
        target = isObject(target) ? target[part.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined;
      }
      schema = target;
    }
    return isObject(schema) ? schema : {};
  }

  #make(given: unknown, full: boolean, depth: number): unknown {
    const schema = this.#resolve(given);
    if ('const' in schema) return schema.const;
    for (const list of [schema.enum, schema.examples]) if (Array.isArray(list) && list.length > 0) return list[0];
    if ('default' in schema) return schema.default;
    const options = list(schema.anyOf ?? schema.oneOf);
    if (options.length > 0) {
      for (const option of options) {
        const made = this.#make(option, full, depth);
        if (made !== undefined && made !== null) return made;
      }
      return this.#make(options[0], full, depth);
    }
    const all = list(schema.allOf).map((part) => this.#make(part, full, depth));
    const [type = all.length > 0 || 'properties' in schema || depth === 0 ? 'object' : 'string'] = typesOf(schema);
    switch (type) {
      case 'object':
        return Object.assign({}, ...all.filter(isObject), this.#object(schema, full, depth));
      case 'array':
        return this.#array(schema, full, depth);
      case 'integer':
      case 'number':
        return numberFor(schema, type);
      case 'boolean':
        return false;
      case 'null':
        return null;
      default:
        return textFor(schema);
    }
  }

  #object(schema: JsonSchema, full: boolean, depth: number): object {
    const made: Record<string, unknown> = {};
    const required = list(schema.required);
    for (const [key, part] of Object.entries(record(schema.properties))) {
      const wanted = required.includes(key) || (full && depth < DEPTH_LIMIT);
      const value = wanted ? this.#make(part, full, depth + 1) : undefined;
      if (value !== undefined) made[key] = value;
    }
    if (full && depth < DEPTH_LIMIT && isObject(schema.additionalProperties) && !('properties' in schema)) {
      made[textFor(this.#resolve(schema.propertyNames ?? {})) ?? 'a'] = this.#make(
        schema.additionalProperties,
        full,
        depth + 1,
      );
    }
    return made;
  }

  #array(schema: JsonSchema, full: boolean, depth: number): unknown[] {
    const items = list(schema.prefixItems).map((part) => this.#make(part, full, depth + 1));
    const wanted = Math.max(Number(schema.minItems ?? 0), full && depth < DEPTH_LIMIT && schema.items ? 1 : 0);
    while (items.length < wanted) items.push(this.#make(schema.items ?? {}, full, depth + 1));
    return items;
  }

  /** `value`, which is valid, spoilt in each way that `given` refuses; `whole` puts the spoilt part back into its place. */
  *#spoil(
    given: unknown,
    value: unknown,
    path: string,
    whole: (part: unknown) => unknown,
  ): Generator<{ path: string; what: string; value: unknown }> {
    const schema = this.#resolve(given);
    for (const option of [schema.anyOf, schema.oneOf, schema.allOf].flatMap(list)) {
      yield* this.#spoil(option, value, path, whole);
    }
    for (const [type, wrong] of WRONG_TYPES) yield { path, what: `it is ${type}`, value: whole(wrong) };
    if (typeof value === 'string') {
      yield { path, what: 'it is empty', value: whole('') };
      yield { path, what: 'it is none of the values or of another form', value: whole('\u0001 none of them') };
      if (typeof schema.maxLength === 'number') {
        yield { path, what: 'it is too long', value: whole('a'.repeat(schema.maxLength + 1)) };
      }
    } else if (typeof value === 'number') {
      for (const bound of [schema.minimum, schema.exclusiveMinimum].filter((each) => typeof each === 'number')) {
        yield { path, what: 'it is too small', value: whole(bound - 1) };
      }
      for (const bound of [schema.maximum, schema.exclusiveMaximum].filter((each) => typeof each === 'number')) {
        yield { path, what: 'it is too large', value: whole(bound + 1) };
      }
    } else if (Array.isArray(value)) yield* this.#spoilArray(schema, value, path, whole);
    else if (isObject(value)) yield* this.#spoilObject(schema, value, path, whole);
  }

  *#spoilArray(schema: JsonSchema, value: unknown[], path: string, whole: (part: unknown) => unknown) {
    if (typeof schema.minItems === 'number' && schema.minItems > 0) {
      yield { path, what: 'it has too few items', value: whole(value.slice(0, schema.minItems - 1)) };
    }
    if (typeof schema.maxItems === 'number' && schema.maxItems < 1000) {
      const items = Array.from({ length: schema.maxItems + 1 }, (_, i) => value[i] ?? value[0]);
      yield { path, what: 'it has too many items', value: whole(items) };
    }
    if (value.length === 0) return;
    const at = `${path}[]`;
    yield* this.#spoil(list(schema.prefixItems)[0] ?? schema.items, value[0], at, (part) =>
      whole([part, ...value.slice(1)]),
    );
  }

  *#spoilObject(
    schema: JsonSchema,
    value: Record<string, unknown>,
    path: string,
    whole: (part: unknown) => unknown,
  ): Generator<{ path: string; what: string; value: unknown }> {
    for (const key of Object.keys(value)) {
      const { [key]: _, ...rest } = value;
      yield { path: `${path}.${key}`, what: 'it is missing', value: whole(rest) };
    }
    yield { path, what: `it has a key that is not in the schema`, value: whole({ ...value, [UNKNOWN_KEY]: 1 }) };
    const properties = record(schema.properties);
    for (const [key, part] of Object.entries(value)) {
      const known = Object.hasOwn(properties, key);
      const at = known ? `${path}.${key}` : `${path}.*`;
      yield* this.#spoil(known ? properties[key] : schema.additionalProperties, part, at, (spoilt) =>
        whole({ ...value, [key]: spoilt }),
      );
    }
  }

  #open(given: unknown, path: string, found: Set<string>, depth: number): void {
    if (depth > DEPTH_LIMIT) return;
    const schema = this.#resolve(given);
    const deeper = (part: unknown, at: string) => this.#open(part, at, found, depth + 1);
    if ('properties' in schema) {
      const { additionalProperties: more, unevaluatedProperties } = schema;
      if (more !== false && unevaluatedProperties !== false) found.add(path);
      for (const [key, part] of Object.entries(record(schema.properties))) deeper(part, `${path}.${key}`);
    } else if (isObject(schema.additionalProperties)) deeper(schema.additionalProperties, `${path}.*`);
    for (const option of [schema.anyOf, schema.oneOf, schema.allOf].flatMap(list)) deeper(option, path);
    for (const part of [schema.items, ...list(schema.prefixItems)]) deeper(part, `${path}[]`);
  }
}

function textFor(schema: JsonSchema): string | undefined {
  const {
    minLength = 0,
    maxLength = Number.POSITIVE_INFINITY,
    pattern,
  } = schema as { minLength?: number; maxLength?: number; pattern?: string };
  const fits = typeof pattern === 'string' ? new RegExp(pattern, 'u') : undefined;
  const preferred = TEXTS.find((text) => schema.format === FORMATS[text]);
  for (const text of preferred === undefined ? TEXTS : [preferred, ...TEXTS]) {
    const padded = text.padEnd(minLength, 'a');
    if (padded.length <= maxLength && (fits?.test(padded) ?? true)) return padded;
  }
  return maxLength === 0 && (fits?.test('') ?? true) ? '' : undefined;
}

/** Which of the texts is the example of a format that binds without a pattern. */
const FORMATS: Readonly<Record<string, string>> = {
  'https://example.com/': 'uri',
  'a@example.com': 'email',
  '2026-01-01T00:00:00Z': 'date-time',
  '6fa459ea-ee8a-4ca4-894e-db77e160355e': 'uuid',
};

function numberFor(schema: JsonSchema, type: 'integer' | 'number'): number {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema as Record<
    string,
    number | undefined
  >;
  const step = multipleOf ?? (type === 'integer' ? 1 : 0.5);
  const least = minimum ?? (exclusiveMinimum === undefined ? undefined : exclusiveMinimum + step);
  const most = maximum ?? (exclusiveMaximum === undefined ? undefined : exclusiveMaximum - step);
  const near = least !== undefined && least > 0 ? least : most !== undefined && most < 0 ? most : 0;
  return multipleOf === undefined ? near : Math.ceil(near / multipleOf) * multipleOf;
}

function typesOf({ type }: JsonSchema): readonly string[] {
  const types = Array.isArray(type) ? (type as string[]) : typeof type === 'string' ? [type] : [];
  return types.toSorted((a, b) => Number(a === 'null') - Number(b === 'null'));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return isObject(value) ? value : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
