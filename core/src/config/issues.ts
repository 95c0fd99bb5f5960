import { SECRET_FORMAT, SECRET_REFERENCE_FORMAT, SECRET_REMEDY } from '@centreond/plugin-sdk/json-schema';
import type { ErrorObject } from 'ajv/dist/2020.js';
import type { z } from 'zod';
import { type Problem, problem } from '../errors.ts';
import { describe, kindOf, near } from '../words.ts';
import { TEXT_FORMATS, UNIQUE_KEYWORD } from './formats.ts';
import type { LeafCode, LeafIssue } from './leaves.ts';
import { formatPath, type Path, type Source } from './source.ts';

const SECRET_FORMATS: ReadonlySet<unknown> = new Set([SECRET_FORMAT, SECRET_REFERENCE_FORMAT]);

const KINDS: Record<string, string> = {
  array: 'a list',
  boolean: 'true or false',
  int: 'a whole number',
  integer: 'a whole number',
  null: 'nothing',
  number: 'a number',
  object: 'a mapping',
  record: 'a mapping',
  string: 'text',
};

/** zod's issues with `input`, which `source` holds, as problems. `schema` is its JSON Schema. */
export function zodProblems(
  issues: readonly z.core.$ZodIssue[],
  source: Source,
  input: unknown,
  schema: unknown,
): Problem[] {
  const tell = new Telling(source, describe, schema);
  return issues.flatMap((issue) => {
    const path = issue.path.filter((part) => typeof part !== 'symbol');
    if (issue.code === 'unrecognized_keys') {
      const known = keysOf(schemaAt(schema, path));
      return issue.keys.map((key) => tell.unknownKey(path, key, known));
    }
    const leaf = issue.code === 'custom' ? (issue.params as LeafIssue) : undefined;
    if (valueAt(input, path) === undefined) {
      const kind = issue.code === 'invalid_type' ? issue.expected : '';
      return tell.missing(path, leaf?.expected ?? KINDS[kind]);
    }
    if (leaf) return tell.badValue(path, leaf.reason, leaf.problem);
    switch (issue.code) {
      case 'invalid_type':
        return tell.wrongType(path, KINDS[issue.expected] ?? issue.expected);
      case 'invalid_value':
        return tell.noChoice(path, issue.values);
      case 'too_small':
        return tell.badValue(path, bound('min', issue.minimum, issue.origin));
      case 'too_big':
        return tell.badValue(path, bound('max', issue.maximum, issue.origin));
      case 'invalid_key':
        return tell.badValue(path, issue.issues[0]?.message ?? issue.message);
      default:
        return tell.badValue(path, issue.message);
    }
  });
}

/**
 * Ajv's errors with the value of `source` at `base`. Values are not repeated: a plugin's settings may hold what nobody is
 * to read. Of a choice between forms, only the errors with the form that fits best are told.
 */
export function ajvProblems(errors: readonly ErrorObject[], source: Source, base: Path): Problem[] {
  const tell = new Telling(source, kindOf);
  const best = bestForms(errors);
  // A format has the better words for what a pattern says beside it.
  const formatted = new Set(best.filter(({ keyword }) => keyword === 'format').map(({ instancePath }) => instancePath));
  const told = best.filter(({ keyword, instancePath }) => keyword !== 'pattern' || !formatted.has(instancePath));
  return told.map((error) => {
    const path = [...base, ...pathOf(error.instancePath)];
    const { params, parentSchema = {} } = error;
    switch (error.keyword) {
      case 'additionalProperties':
      case 'unevaluatedProperties': {
        const key = String(params.additionalProperty ?? params.unevaluatedProperty);
        return tell.unknownKey(path, key, keysOf(parentSchema));
      }
      case 'required': {
        const key = String(params.missingProperty);
        const { type, enum: values }: { type?: unknown; enum?: unknown } = parentSchema.properties?.[key] ?? {};
        if (Array.isArray(values)) return tell.missing([...path, key], `one of ${values.join(', ')}`);
        return tell.missing([...path, key], typeof type === 'string' ? KINDS[type] : undefined);
      }
      case 'type': {
        const types: unknown[] = [params.type].flat();
        return tell.wrongType(path, [...new Set(types.map((t) => KINDS[String(t)] ?? t))].join(' or '));
      }
      case 'enum':
        return tell.noChoice(path, params.allowedValues);
      case 'const':
        return tell.noChoice(path, [params.allowedValue], parentSchema.description);
      case 'minItems':
      case 'maxItems':
      case 'minLength':
      case 'maxLength': {
        const [, word = '', of = ''] = /^(min|max)(.*)$/.exec(error.keyword) ?? [];
        return tell.badValue(path, bound(word, params.limit, of));
      }
      case 'format':
        return tell.badValue(path, SECRET_FORMATS.has(params.format) ? SECRET_REMEDY : formatFault(error));
      case UNIQUE_KEYWORD: {
        const other = formatPath([...path.slice(0, -2), params.other, params.key]);
        return tell.badValue(path, `is the same as ${other}; give each its own`);
      }
      case 'anyOf':
      case 'oneOf':
        return tell.badValue(path, 'fits none of the forms that it may have');
      default:
        return tell.badValue(path, error.message ?? error.keyword);
    }
  });
}

function formatFault({ params, data, message = 'has a wrong format' }: ErrorObject): string {
  return TEXT_FORMATS[String(params.format)]?.(String(data)) ?? message;
}

/** Of the errors with the forms of an anyOf or oneOf, keeps those with the form that was probably meant. */
function bestForms(errors: readonly ErrorObject[]): ErrorObject[] {
  // What a form of a discriminated union has against the value is told by itself.
  const kept = new Set(errors.filter(({ keyword }) => keyword !== 'if'));
  for (const choice of errors) {
    if (!kept.has(choice) || (choice.keyword !== 'anyOf' && choice.keyword !== 'oneOf')) continue;
    const prefix = `${choice.schemaPath}/`;
    const inside = [...kept].filter((error) => error.schemaPath.startsWith(prefix));
    const forms = [...Map.groupBy(inside, (error) => error.schemaPath.slice(prefix.length).split('/')[0]).values()];
    for (const error of inside) kept.delete(error);
    const here = (error: ErrorObject) => error.instancePath === choice.instancePath;
    const [best] = forms
      .filter((form) => !form.some((error) => here(error) && ['type', 'const', 'enum'].includes(error.keyword)))
      .map((form) => ({ form, misses: form.filter(({ keyword }) => keyword === 'const').length }))
      .toSorted((a, b) => a.misses - b.misses || a.form.length - b.form.length);
    if (!best && !inside.every((error) => here(error) && error.keyword === 'type')) continue;
    kept.delete(choice);
    const types = { ...choice, keyword: 'type', params: { type: inside.map(({ params }) => params.type) } };
    for (const error of best?.form ?? [types]) kept.add(error);
  }
  return [...kept];
}

/** Makes the problems of one source, whichever validator found the mistakes. */
class Telling {
  constructor(
    private readonly source: Source,
    /** How a value is shown. */
    private readonly show: (value: unknown) => string,
    /** The JSON Schema of the whole source, to say where else a key belongs. */
    private readonly root?: unknown,
  ) {}

  unknownKey(path: Path, key: string, known: readonly string[]): Problem {
    const close = near(key, known) ?? placeOfKey(this.root, key);
    const details = { where: formatPath(path), key, near: close, known };
    return problem('CONFIG_UNKNOWN_KEY', this.source.keyAt([...path, key]), details);
  }

  missing(path: Path, expected: string | undefined): Problem {
    const hint = expected === undefined ? 'Add it.' : `It takes ${expected}.`;
    return problem('CONFIG_MISSING_KEY', this.source.at(path), { where: formatPath(path), hint });
  }

  wrongType(path: Path, expected: string): Problem {
    const found = this.show(valueAt(this.source.value, path));
    return problem('CONFIG_WRONG_TYPE', this.source.at(path), { where: formatPath(path), expected, found });
  }

  /** `meaning` is what the schema says of the only value, if it says it. */
  noChoice(path: Path, values: readonly unknown[], meaning?: unknown): Problem {
    const value = valueAt(this.source.value, path);
    const words = values.map((one) => (typeof one === 'object' ? JSON.stringify(one) : String(one)));
    const close = typeof value === 'string' ? near(value, words) : undefined;
    const one = words.length > 1 ? 'one of ' : '';
    const found = this.show === kindOf && typeof value === 'string' ? '' : `, not ${this.show(value)}`;
    const hint = close === undefined ? '' : `; did you mean ${close}?`;
    const what = typeof meaning === 'string' ? `: ${meaning}` : '';
    return this.badValue(path, `must be ${one}${words.join(', ')}${found}${hint}${what}`);
  }

  badValue(path: Path, reason: string, code: LeafCode = 'CONFIG_BAD_VALUE'): Problem {
    return problem(code, this.source.at(path), { where: formatPath(path), reason });
  }
}

const COUNTED: Record<string, string> = {
  array: 'entries',
  Items: 'entries',
  string: 'characters',
  Length: 'characters',
};

function bound(word: string, limit: unknown, of: string): string {
  const counted = COUNTED[of];
  if (counted !== undefined && word === 'min' && Number(limit) === 1) return 'must not be empty';
  const verb = counted === undefined ? 'be' : 'have';
  return `must ${verb} at ${word === 'min' ? 'least' : 'most'} ${[limit, counted].join(' ').trim()}`;
}

function schemaAt(schema: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (node, part) => (typeof part === 'number' ? valueAt(node, ['items']) : valueAt(node, ['properties', part])),
    schema,
  );
}

/** The keys that a JSON Schema names, but for those that start with $. */
function keysOf(schema: unknown): string[] {
  return Object.keys(valueAt(schema, ['properties']) ?? {}).filter((key) => !key.startsWith('$'));
}

/** Where else in the file a key of this name belongs. */
function placeOfKey(schema: unknown, key: string, path: Path = []): string | undefined {
  for (const name of keysOf(schema)) {
    if (name === key && path.length > 0) return formatPath([...path, name]);
    const found = placeOfKey(schemaAt(schema, [name]), key, [...path, name]);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The value at `path` in `root`; undefined where there is none. */
export function valueAt(root: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, part) =>
      typeof value === 'object' && value !== null && Object.hasOwn(value, part)
        ? (value as Record<string | number, unknown>)[part]
        : undefined,
    root,
  );
}

/** The way that a JSON pointer leads. */
export function pathOf(pointer: string): Path {
  const parts = pointer.split('/').slice(1);
  return parts.map((part) => (/^\d+$/.test(part) ? Number(part) : part.replaceAll('~1', '/').replaceAll('~0', '~')));
}
