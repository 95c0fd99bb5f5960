import type { JsonSchema } from './schema.ts';

/** A value, or why there is none: the rest of a sentence. */
export type KeyOrFault = { readonly key: string } | { readonly fault: string };

/** Of a recursive schema, and of references that go in circles. */
const DEPTH_LIMIT = 32;

/**
 * The key that `data` has at `path`, the fields from the outermost to the key: a text that is not empty, or a number as text. Only own
 * properties of objects are looked at. `{ fault }` if there is no such value.
 */
export function keyAt(data: object, path: readonly string[]): KeyOrFault {
  let value: unknown = data;
  for (const [depth, field] of path.entries()) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return { fault: faultText(path, `its ${path.slice(0, depth).join('.')} is ${kindOf(value)}`) };
    }
    if (!Object.hasOwn(value, field)) return { fault: faultText(path, 'it is missing') };
    value = (value as Record<string, unknown>)[field];
  }
  if (typeof value === 'number') return { key: String(value) };
  if (typeof value === 'string' && value !== '') return { key: value };
  return { fault: faultText(path, `it is ${value === '' ? 'empty' : kindOf(value)}`) };
}

function faultText(path: readonly string[], what: string): string {
  return `its ${path.join('.')} names the instance that runs it and must be a text or a number, and ${what}`;
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/** Why no value of `input` has a key at `path`, or not each has one: as `its input's …`, or undefined. */
export function faultOfKeyPath(input: JsonSchema, path: readonly string[]): string | undefined {
  const whole = path.join('.');
  const role = "the key of the plugin's instances";
  if (path.includes('')) return `instances.key is '${whole}'; it names a field, or fields with dots between them`;
  let parts: readonly JsonSchema[] = [input];
  for (const [depth, field] of path.entries()) {
    const at = path.slice(0, depth).join('.');
    const around = at === '' ? 'its input' : `its input's field ${at}`;
    const held = parts.flatMap((part) => formsOf(part, input));
    const other = at === '' ? undefined : held.find((form) => kindsOf(form).some((kind) => kind !== 'object'));
    if (other)
      return `${around} can be ${article(kindsOf(other).find((kind) => kind !== 'object'))}, which has no field ${field}; ${whole} is ${role}`;
    const fields = held.map((form) => fieldOf(form, field));
    if (fields.length === 0 || fields.includes(undefined))
      return `${around} has no field ${field}, which is ${whole === field ? role : `part of ${whole}, ${role}`}`;
    if (!held.every((form) => requires(form, field))) {
      return `its input's field ${path.slice(0, depth + 1).join('.')} is ${depth + 1 < path.length ? `part of ${whole}, ` : ''}${role} and cannot be left out`;
    }
    parts = fields as JsonSchema[];
  }
  const kind = parts
    .flatMap((part) => formsOf(part, input))
    .flatMap(kindsOf)
    .find((one) => ['object', 'array', 'boolean', 'null'].includes(one));
  return kind && `its input's field ${whole} is ${article(kind)}; a key is text or a number`;
}

function article(kind: string | undefined): string {
  if (kind === 'null' || kind === undefined) return 'null';
  return `${/^[aeiou]/.test(kind) ? 'an' : 'a'} ${kind}`;
}

/** The forms that a value of `schema` may take: the branches of its unions, each with what holds for all of them. */
function formsOf(schema: JsonSchema, root: JsonSchema, depth = 0): JsonSchema[] {
  if (depth > DEPTH_LIMIT) return [schema];
  const { $ref, anyOf, oneOf, allOf, ...own } = schema;
  const referred = typeof $ref === 'string' ? referredBy($ref, root) : undefined;
  let forms: JsonSchema[] = [own];
  for (const also of [...(referred ? [referred] : []), ...listOf(allOf)]) {
    forms = both(forms, formsOf(also, root, depth + 1));
  }
  for (const union of [listOf(anyOf), listOf(oneOf)]) {
    if (union.length > 0)
      forms = both(
        forms,
        union.flatMap((branch) => formsOf(branch, root, depth + 1)),
      );
  }
  return forms;
}

/** Each of `a` together with each of `b`. */
function both(a: readonly JsonSchema[], b: readonly JsonSchema[]): JsonSchema[] {
  return a.flatMap((one) =>
    b.map((other) => ({
      ...one,
      ...other,
      properties: { ...recordOf(one.properties), ...recordOf(other.properties) },
      required: [
        ...(Array.isArray(one.required) ? one.required : []),
        ...(Array.isArray(other.required) ? other.required : []),
      ],
    })),
  );
}

function referredBy(reference: string, root: JsonSchema): JsonSchema | undefined {
  if (!reference.startsWith('#')) return undefined;
  let at: unknown = root;
  for (const part of reference.slice(1).split('/').slice(1)) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    at = Object.hasOwn(recordOf(at), name) ? recordOf(at)[name] : undefined;
  }
  return isSchema(at) ? at : undefined;
}

function fieldOf({ properties }: JsonSchema, field: string): JsonSchema | undefined {
  const known = recordOf(properties);
  const found = Object.hasOwn(known, field) ? known[field] : undefined;
  // `true`: every value.
  return found === true ? {} : isSchema(found) ? found : undefined;
}

function requires({ required }: JsonSchema, field: string): boolean {
  return Array.isArray(required) && required.includes(field);
}

/** The types that a form names; none if it names none. */
function kindsOf({ type, enum: values, const: one }: JsonSchema): string[] {
  const named = Array.isArray(type) ? type : [type];
  const kinds = named.filter((kind): kind is string => typeof kind === 'string');
  if (kinds.length > 0 || (values === undefined && one === undefined)) return kinds;
  return (Array.isArray(values) ? values : [one]).map((value) =>
    value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value,
  );
}

function listOf(value: unknown): readonly JsonSchema[] {
  return Array.isArray(value) ? value.filter(isSchema) : [];
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return isSchema(value) ? value : {};
}
