/** A JSON value. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

interface Described {
  readonly title?: string;
  readonly description?: string;
  /** The schema's default. */
  readonly initial?: Json;
}
export interface TextField extends Described {
  readonly kind: 'text';
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly format?: string;
}
export interface NumberField extends Described {
  readonly kind: 'number';
  readonly isWhole: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly above?: number;
  readonly below?: number;
}
export interface FlagField extends Described {
  readonly kind: 'flag';
}
/** One of several values. */
export interface OptionField extends Described {
  readonly kind: 'option';
  readonly values: readonly Json[];
}
/** One value only. */
export interface FixedField extends Described {
  readonly kind: 'fixed';
  readonly value: Json;
}
export interface ListField extends Described {
  readonly kind: 'list';
  readonly item: Field;
  readonly minItems: number;
  readonly maxItems: number;
}
export interface GroupField extends Described {
  readonly kind: 'group';
  readonly members: readonly Member[];
}
export interface Member {
  readonly name: string;
  readonly isNeeded: boolean;
  readonly field: Field;
}
/** An object whose keys the caller chooses. */
export interface PairsField extends Described {
  readonly kind: 'pairs';
  readonly keyPattern?: string;
  readonly value: Field;
}
/** One of several shapes. */
export interface ChoiceField extends Described {
  readonly kind: 'choice';
  readonly options: readonly { readonly label: string; readonly field: Field }[];
}
/** What no other field can show: JSON as text. */
export interface RawField extends Described {
  readonly kind: 'raw';
}
export type Field =
  | TextField
  | NumberField
  | FlagField
  | OptionField
  | FixedField
  | ListField
  | GroupField
  | PairsField
  | ChoiceField
  | RawField;

type Schema = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const textIn = (schema: Schema, key: string) => (typeof schema[key] === 'string' ? schema[key] : undefined);
const numberIn = (schema: Schema, key: string) => (typeof schema[key] === 'number' ? schema[key] : undefined);
const listIn = (schema: Schema, key: string): readonly unknown[] | undefined =>
  Array.isArray(schema[key]) ? schema[key] : undefined;

/** The form of a JSON Schema. What it cannot express becomes a raw field, which takes any JSON. */
export function fieldOf(schema: unknown, root: unknown = schema, seen: readonly string[] = []): Field {
  if (!isObject(schema)) return { kind: 'raw' };
  const described = describedBy(schema);
  const reference = textIn(schema, '$ref');
  if (reference !== undefined) {
    // What contains itself is not drawn to the end.
    if (seen.includes(reference)) return { ...described, kind: 'raw' };
    return { ...fieldOf(resolved(reference, root), root, [...seen, reference]), ...described };
  }
  const inner = (part: unknown) => fieldOf(part, root, seen);
  if ('const' in schema) return { ...described, kind: 'fixed', value: schema.const as Json };
  const values = listIn(schema, 'enum');
  if (values) return { ...described, kind: 'option', values: values as Json[] };
  const shapes = listIn(schema, 'oneOf') ?? listIn(schema, 'anyOf');
  if (shapes) return { ...described, ...choiceOf(shapes.map(inner)) };
  if (listIn(schema, 'allOf')) return { ...described, kind: 'raw' };
  const types = listIn(schema, 'type');
  if (types) return { ...described, ...choiceOf(types.map((type) => inner({ ...schema, type }))) };
  return { ...described, ...plainField(schema, inner) };
}

function plainField(schema: Schema, inner: (part: unknown) => Field): Field {
  const type = textIn(schema, 'type') ?? (isObject(schema.properties) ? 'object' : undefined);
  if (type === 'string') {
    return defined({
      kind: 'text',
      pattern: textIn(schema, 'pattern'),
      minLength: numberIn(schema, 'minLength'),
      maxLength: numberIn(schema, 'maxLength'),
      format: textIn(schema, 'format'),
    });
  }
  if (type === 'number' || type === 'integer') {
    return defined({
      kind: 'number',
      isWhole: type === 'integer',
      minimum: numberIn(schema, 'minimum'),
      maximum: numberIn(schema, 'maximum'),
      above: numberIn(schema, 'exclusiveMinimum'),
      below: numberIn(schema, 'exclusiveMaximum'),
    });
  }
  if (type === 'boolean') return { kind: 'flag' };
  if (type === 'null') return { kind: 'fixed', value: null };
  if (type === 'array' && !listIn(schema, 'prefixItems')) {
    const minItems = numberIn(schema, 'minItems') ?? 0;
    const maxItems = numberIn(schema, 'maxItems') ?? Number.POSITIVE_INFINITY;
    return { kind: 'list', item: inner(schema.items), minItems, maxItems };
  }
  if (type === 'object') return objectField(schema, inner);
  return { kind: 'raw' };
}

function objectField(schema: Schema, inner: (part: unknown) => Field): Field {
  const properties = isObject(schema.properties) ? schema.properties : {};
  const needed = new Set(listIn(schema, 'required') ?? []);
  const names = Object.keys(properties);
  const rest = schema.additionalProperties;
  if (names.length === 0 && rest !== false) {
    const keyPattern = isObject(schema.propertyNames) ? textIn(schema.propertyNames, 'pattern') : undefined;
    return defined({ kind: 'pairs', keyPattern, value: inner(rest) });
  }
  const members = names.map((name): Member => {
    const isNeeded = needed.has(name);
    const field = inner(properties[name]);
    // One value that may be left out is a choice of one.
    const isOption = !isNeeded && field.kind === 'fixed';
    return {
      name,
      isNeeded,
      field: isOption ? { kind: 'option', values: [field.value], ...describedOf(field) } : field,
    };
  });
  return { kind: 'group', members };
}

function choiceOf(fields: readonly Field[]): Field {
  const [only] = fields;
  if (only && fields.length === 1) return only;
  const fixed = fields.flatMap((field) => (field.kind === 'fixed' ? [field.value] : []));
  if (fixed.length === fields.length) return { kind: 'option', values: fixed };
  return { kind: 'choice', options: fields.map((field) => ({ label: labelOf(field), field })) };
}

/** What a shape is called in a choice. */
function labelOf(field: Field): string {
  if (field.title !== undefined) return field.title;
  switch (field.kind) {
    case 'text':
      return 'text';
    case 'number':
      return field.isWhole ? 'whole number' : 'number';
    case 'flag':
      return 'yes or no';
    case 'option':
      return `one of ${field.values.map((value) => JSON.stringify(value)).join(', ')}`;
    case 'fixed':
      return field.value === null ? 'nothing (null)' : JSON.stringify(field.value);
    case 'list':
      return field.item.kind === 'raw' ? 'list' : `list of ${labelOf(field.item)}`;
    case 'group': {
      const mark = field.members.find(({ field: { kind } }) => kind === 'fixed');
      if (mark?.field.kind === 'fixed') return `${mark.name} ${JSON.stringify(mark.field.value)}`;
      return field.members.length === 0
        ? 'empty object'
        : `object with ${field.members.map(({ name }) => name).join(', ')}`;
    }
    case 'pairs':
      return 'keys and values';
    case 'choice':
      return field.options.map(({ label }) => label).join(' or ');
    case 'raw':
      return 'any JSON';
  }
}

function describedBy(schema: Schema): Described {
  return defined({
    title: textIn(schema, 'title'),
    description: textIn(schema, 'description'),
    initial: schema.default as Json | undefined,
  });
}

function describedOf({ title, description, initial }: Field): Described {
  return defined({ title, description, initial });
}

/** `value` without the keys that are undefined. */
function defined<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as T;
}

/** What `#/$defs/name` leads to in `root`; undefined if it leads nowhere. */
function resolved(reference: string, root: unknown): unknown {
  if (!reference.startsWith('#')) return undefined;
  const steps = reference.slice(1).split('/').slice(1);
  return steps.reduce<unknown>((at, step) => {
    const key = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
    return isObject(at) ? at[key] : undefined;
  }, root);
}
