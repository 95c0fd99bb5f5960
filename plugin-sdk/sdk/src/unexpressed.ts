/** What a zod schema demands or does and JSON Schema cannot say, found by walking the schema itself. */

type Def = Readonly<Record<string, unknown>>;

interface Walk {
  readonly found: Set<string>;
  readonly side: 'input' | 'output';
  /** The schemas above this one: a recursive schema is entered once. */
  readonly above: readonly unknown[];
}

const DEPTH_LIMIT = 32;

/** What JSON cannot hold, by the name that zod gives the type. */
const NOT_JSON: Readonly<Record<string, string>> = {
  date: 'a Date',
  bigint: 'a BigInt',
  map: 'a Map',
  set: 'a Set',
  symbol: 'a Symbol',
  undefined: 'undefined',
  void: 'undefined',
  nan: 'NaN',
  function: 'a function',
  file: 'a File',
  promise: 'a Promise',
};

/**
 * One sentence part for each thing that one side of a zod `schema` demands beyond its JSON Schema, each with its path, which
 * starts with `root`: `input.city: a refinement ('must be known')`. Runs no code of the schema but `lazy` getters and the
 * texts of its errors.
 */
export function unexpressedOf(schema: unknown, side: 'input' | 'output', root: string): string[] {
  const found = new Set<string>();
  visit(schema, root, { found, side, above: [] });
  return [...found];
}

function visit(schema: unknown, path: string, walk: Walk): void {
  const def = defOf(schema);
  if (!def || walk.above.includes(schema) || walk.above.length > DEPTH_LIMIT) return;
  const inner: Walk = { ...walk, above: [...walk.above, schema] };
  const name = (what: string) => walk.found.add(`${path}: ${what}`);
  const type = String(def.type);
  const atRouter = (what: string) => (walk.side === 'input' ? `; the router ${what}` : '');
  if (def.coerce === true && type in NOT_JSON) name(`${NOT_JSON[type]}, made of what comes (coerce)`);
  else if (def.coerce === true)
    name(`a ${type} made of what comes (coerce)${atRouter('takes only what is one already')}`);
  else if (type in NOT_JSON) name(`${NOT_JSON[type]}, which JSON cannot hold`);
  formatCheck(def, name);
  for (const check of Array.isArray(def.checks) ? def.checks : []) checkPart(defOf(check) ?? {}, name);

  switch (type) {
    case 'object':
      for (const [key, part] of Object.entries(record(def.shape))) visit(part, `${path}.${key}`, inner);
      visit(def.catchall, `${path}.*`, inner);
      break;
    case 'array':
      visit(def.element, `${path}[]`, inner);
      break;
    case 'tuple':
      for (const [i, part] of list(def.items).entries()) visit(part, `${path}[${i}]`, inner);
      visit(def.rest, `${path}[]`, inner);
      break;
    case 'record':
      visit(def.keyType, `${path}.<key>`, inner);
      visit(def.valueType, `${path}.*`, inner);
      break;
    case 'union':
      for (const option of list(def.options)) visit(option, path, inner);
      break;
    case 'intersection':
      visit(def.left, path, inner);
      visit(def.right, path, inner);
      break;
    case 'lazy':
      visit(typeof def.getter === 'function' ? def.getter() : undefined, path, inner);
      break;
    case 'pipe':
      pipe(def, path, inner, name, atRouter('takes only what fits the schema after it'));
      break;
    case 'catch':
      name(`a wrong value is replaced (catch)${atRouter('refuses it')}`);
      visit(def.innerType, path, inner);
      break;
    case 'transform':
      name('a transform');
      break;
    case 'custom':
      name(`a check of its own (custom or instanceof)${messageOf(def)}`);
      break;
    default:
      visit(def.innerType, path, inner);
  }
}

function pipe(def: Def, path: string, walk: Walk, name: (what: string) => void, note: string): void {
  const first = defOf(def.in)?.type === 'transform';
  const last = defOf(def.out)?.type === 'transform';
  if (first) name(`a preprocess${note}`);
  if (last || typeof def.transform === 'function') name('a transform');
  if (!first) visit(def.in, path, walk);
  if (!last) visit(def.out, path, walk);
}

function checkPart(check: Def, name: (what: string) => void): void {
  formatCheck(check, name);
  if (check.check === 'custom') name(`a refinement${messageOf(check)}`);
  else if (check.check === 'overwrite') name('it is rewritten before it is checked (trim, toLowerCase or the like)');
  else if (check.check === 'property') name(`a check of its property ${String(check.property)}`);
}

// A format without a pattern is a note in JSON Schema and holds nobody to it; a pattern there has no flags.
function formatCheck(def: Def, name: (what: string) => void): void {
  if (def.check !== 'string_format') return;
  if (!(def.pattern instanceof RegExp)) {
    if (!['includes', 'starts_with', 'ends_with'].includes(String(def.format)))
      name(`the format ${String(def.format)}`);
    return;
  }
  const flags = def.pattern.flags.replaceAll(/[uvdgy]/g, '');
  if (flags !== '') name(`the flags '${flags}' of its pattern; the router reads it without`);
}

function messageOf({ error }: Def): string {
  if (typeof error !== 'function') return '';
  try {
    const text: unknown = error({ code: 'custom', input: undefined, path: [] });
    return typeof text === 'string' ? ` ('${text}')` : '';
  } catch {
    return ''; // its text depends on the value
  }
}

function defOf(schema: unknown): Def | undefined {
  const zod = record(record(schema)._zod);
  return typeof zod.def === 'object' && zod.def !== null ? (zod.def as Def) : undefined;
}

function record(value: unknown): Def {
  return (typeof value === 'object' && value !== null) || typeof value === 'function' ? (value as Def) : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
