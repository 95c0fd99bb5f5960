import type { JsonSchema } from '@centreond/plugin-sdk/internal';

const DEPTH_LIMIT = 12;
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

/**
 * The TypeScript type of what a JSON Schema takes, with the descriptions of its fields as comments. What it cannot express
 * becomes `unknown`, so that a type never refuses what the schema takes.
 */
export function typeTextOf(schema: JsonSchema, indent = ''): string {
  return textOf(schema, { root: schema, indent, depth: 0, above: [] });
}

interface Place {
  readonly root: JsonSchema;
  readonly indent: string;
  readonly depth: number;
  /** The references that lead here: a recursive one ends in `unknown`. */
  readonly above: readonly string[];
}

function textOf(given: unknown, place: Place): string {
  if (!isSchema(given)) return given === false ? 'never' : 'unknown';
  const inner = { ...place, depth: place.depth + 1 };
  if (place.depth > DEPTH_LIMIT) return 'unknown';
  const { $ref } = given;
  if (typeof $ref === 'string') {
    if (place.above.includes($ref)) return 'unknown';
    return textOf(referred($ref, place.root), { ...inner, above: [...place.above, $ref] });
  }
  if ('const' in given) return literalText(given.const);
  if (Array.isArray(given.enum)) return joined(given.enum.map(literalText), ' | ');
  const { type, properties, items, prefixItems } = given;
  const own =
    'type' in given || properties || items || prefixItems
      ? joined(
          (Array.isArray(type) ? type : [type ?? kindOf(given)]).map((one) => plainText(one, given, inner)),
          ' | ',
        )
      : undefined;
  const parts = [
    ...(own === undefined ? [] : [own]),
    ...[given.anyOf, given.oneOf].filter(Array.isArray).map((options) =>
      joined(
        options.map((one) => textOf(one, inner)),
        ' | ',
      ),
    ),
    ...(Array.isArray(given.allOf) ? given.allOf.map((one) => textOf(one, inner)) : []),
  ].filter((part) => part !== 'unknown');
  return joined(parts, ' & ') || 'unknown';
}

function kindOf({ properties }: JsonSchema): string {
  return properties ? 'object' : 'array';
}

function plainText(type: unknown, schema: JsonSchema, place: Place): string {
  switch (type) {
    case 'string':
    case 'boolean':
    case 'null':
      return type;
    case 'number':
    case 'integer':
      return 'number';
    case 'array':
      return arrayText(schema, place);
    case 'object':
      return objectText(schema, place);
    default:
      return 'unknown';
  }
}

function arrayText({ prefixItems, items }: JsonSchema, place: Place): string {
  const rest = textOf(items ?? true, place);
  if (!Array.isArray(prefixItems)) return `readonly ${/[ |&]/.test(rest) ? `(${rest})` : rest}[]`;
  const fixed = prefixItems.map((one) => textOf(one, place));
  return `readonly [${[...fixed, ...(items === false ? [] : [`...(${rest})[]`])].join(', ')}]`;
}

function objectText(schema: JsonSchema, place: Place): string {
  const { properties, required, additionalProperties: more } = schema;
  const fields = isSchema(properties) ? Object.entries(properties) : [];
  const isOpen = more !== undefined && more !== false;
  if (fields.length === 0) {
    if (more === false) return 'Record<string, never>';
    return isSchema(more)
      ? `{ readonly [key: string]: ${textOf(more, place)} }`
      : '{ readonly [key: string]: unknown }';
  }
  const inner = { ...place, indent: `${place.indent}  ` };
  const must = Array.isArray(required) ? required : [];
  const lines = fields.map(([name, field]) => {
    const about = isSchema(field) && typeof field.description === 'string' ? field.description : undefined;
    const comment = about === undefined ? '' : `${commentText(about)}\n${inner.indent}`;
    const key = IDENTIFIER.test(name) ? name : JSON.stringify(name);
    return `${inner.indent}${comment}readonly ${key}${must.includes(name) ? '' : '?'}: ${textOf(field, inner)};`;
  });
  // Another type than the named fields have would refuse these.
  if (isOpen) lines.push(`${inner.indent}readonly [key: string]: unknown;`);
  return `{\n${lines.join('\n')}\n${place.indent}}`;
}

/** `text` as a doc comment on one line. */
export function commentText(text: string): string {
  return `/** ${text.replaceAll(/\s+/g, ' ').replaceAll('*/', '*\\/')} */`;
}

function literalText(value: unknown): string {
  return typeof value === 'object' && value !== null ? 'unknown' : JSON.stringify(value);
}

function joined(parts: readonly string[], by: string): string {
  const different = [...new Set(parts)];
  return different.length > 1
    ? different.map((part) => (/ [|&] /.test(part) ? `(${part})` : part)).join(by)
    : (different[0] ?? '');
}

function referred(pointer: string, root: JsonSchema): unknown {
  let target: unknown = root;
  for (const part of pointer.split('/').slice(1)) {
    target = isSchema(target) ? target[part.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined;
  }
  return target;
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
