import type { JsonSchema } from './schema.ts';

/** The forms of a union, each with the values that its discriminator may have there. */
interface Discriminated {
  readonly key: string;
  readonly forms: readonly { readonly values: readonly unknown[]; readonly isRequired: boolean }[];
}

/**
 * `schema` with each union whose forms differ by a constant (zod's discriminated unions do) as conditions on that constant. It
 * takes the same values; but of a wrong one only the mistakes with the form that it names are found, or that it names none.
 */
export function byDiscriminator(schema: JsonSchema): JsonSchema {
  return rewritten(schema, schema) as JsonSchema;
}

function rewritten(node: unknown, root: JsonSchema): unknown {
  if (Array.isArray(node)) return node.map((one) => rewritten(one, root));
  if (!isSchema(node)) return node;
  const parts = mapped(node, (part, keyword) => {
    if (VALUES.has(keyword)) return part;
    return MAPS.has(keyword) && isSchema(part) ? mapped(part, (one) => rewritten(one, root)) : rewritten(part, root);
  });
  for (const keyword of ['oneOf', 'anyOf']) {
    const union = discriminatedBy(node[keyword], root);
    if (union === undefined) continue;
    const { [keyword]: forms, allOf, ...rest } = parts;
    return { ...rest, allOf: [...listOf(allOf), ...conditions(union, listOf(forms))] };
  }
  return parts;
}

/** Keywords that hold values and no schemas. */
const VALUES: ReadonlySet<string> = new Set(['const', 'enum', 'default', 'examples']);
/** Keywords that hold schemas by names. */
const MAPS: ReadonlySet<string> = new Set([
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
  'dependentSchemas',
]);

function mapped(node: JsonSchema, of: (part: unknown, key: string) => unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(node).map(([key, part]) => [key, of(part, key)]));
}

function conditions({ key, forms }: Discriminated, written: readonly unknown[]): JsonSchema[] {
  const values = forms.flatMap((form) => form.values);
  const isRequired = forms.every((form) => form.isRequired);
  return [
    { type: 'object', properties: { [key]: { enum: values } }, ...(isRequired && { required: [key] }) },
    ...forms.map((form, i) => ({
      if: { type: 'object', properties: { [key]: { enum: form.values } }, ...(form.isRequired && { required: [key] }) },
      // biome-ignore lint/suspicious/noThenProperty: JSON Schema's word for it.
      then: written[i],
    })),
  ];
}

/** How the forms of a union differ, if all are objects with a constant of their own under one key. */
function discriminatedBy(union: unknown, root: JsonSchema): Discriminated | undefined {
  const written = listOf(union);
  if (written.length < 2) return undefined;
  const schemas = written.map((schema) => resolved(schema, root));
  if (!schemas.every((schema) => schema?.type === 'object')) return undefined;
  for (const key of Object.keys(propertiesOf(schemas[0]))) {
    const forms = schemas.map((schema) => ({
      values: constantsOf(propertiesOf(schema)[key]),
      isRequired: listOf(schema?.required).includes(key),
    }));
    const values = forms.flatMap((form) => form.values);
    const areApart = new Set(values).size === values.length && forms.every((form) => form.values.length > 0);
    // Two forms that may omit it could not be told apart.
    if (areApart && forms.filter((form) => !form.isRequired).length <= 1) return { key, forms };
  }
  return undefined;
}

/** The values that a schema says it takes alone: texts, numbers, true, false. */
function constantsOf(schema: unknown): readonly unknown[] {
  if (!isSchema(schema)) return [];
  const values = 'const' in schema ? [schema.const] : listOf(schema.enum);
  return values.every((value) => ['string', 'number', 'boolean'].includes(typeof value)) ? values : [];
}

/** Whether `schema`, a form of a union, has a constant where `value` has another. */
export function isOtherForm(schema: JsonSchema, value: object): boolean {
  return Object.entries(propertiesOf(schema)).some(([key, property]) => {
    const values = constantsOf(property);
    return values.length > 0 && Object.hasOwn(value, key) && !values.includes(Reflect.get(value, key));
  });
}

/** A schema, references within `root` followed; undefined for what is no schema. */
function resolved(schema: unknown, root: JsonSchema, hops = 0): JsonSchema | undefined {
  if (!isSchema(schema)) return undefined;
  const { $ref } = schema;
  if (typeof $ref !== 'string') return schema;
  if (!$ref.startsWith('#/') || hops > 10) return undefined;
  const way = $ref.slice(2).split('/');
  const target = way.reduce<unknown>(
    (at, part) => (isSchema(at) ? at[part.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined),
    root,
  );
  return resolved(target, root, hops + 1);
}

function propertiesOf(schema: JsonSchema | undefined): JsonSchema {
  return isSchema(schema?.properties) ? schema.properties : {};
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
