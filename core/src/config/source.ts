import { reasonOf } from '@centreond/protocol';
import {
  type Document,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Pair,
  parseDocument,
  type Range,
  visit,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import { type Position, type Problem, placeOf, problem } from '../errors.ts';
import { Aliases } from './aliases.ts';

/** Keys and indexes that lead from a file's root to a value. */
export type Path = readonly (string | number)[];

/** The value of a config file together with the places its parts stand at. */
export interface Source {
  readonly file: string;
  /** What the file holds, as JSON; undefined where it does not parse. */
  readonly value: unknown;
  /** What is wrong with it as text. */
  readonly problems: readonly Problem[];
  /** Where the value at `path` stands; where there is none, the innermost value around it. */
  at(path: Path): Position;
  /** Where the key that `path` ends with stands. */
  keyAt(path: Path): Position;
}

/** `plugins[0].restart.max`, or `The file` for the root. */
export function formatPath(path: Path): string {
  let text = '';
  for (const part of path) text += typeof part === 'number' ? `[${part}]` : text === '' ? part : `.${part}`;
  return text === '' ? 'The file' : text;
}

/** Where a file begins: the place of what concerns all of it. */
export function startOf(file: string): Position {
  return { file, line: 1, column: 1 };
}

/** A source without positions (a module's export, a request's data): everything stands at line 1. */
export function plainSource(file: string, exported: unknown): Source {
  const at = () => startOf(file);
  const problems: Problem[] = [];
  const json = toJson(exported, [], (path, what) => {
    problems.push(problem('CONFIG_NOT_JSON', at(), { where: formatPath(path), what }));
  });
  const value = problems.length === 0 ? json : undefined;
  return { file, value, problems, at, keyAt: at };
}

/** Parses YAML or, for a file called .json, strict JSON. Never throws. */
export function parseSource(file: string, content: string): Source {
  const text = content.replace(/^\uFEFF/, '');
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, merge: true, prettyErrors: false, uniqueKeys: false });
  const place = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  const format = file.endsWith('.json') ? 'JSON' : 'YAML';
  const problems = [...document.errors, ...document.warnings].map(({ message, pos }) =>
    problem('CONFIG_SYNTAX', place(pos[0]), { format, reason: message.replace(/[.:]$/, '') }),
  );
  if (problems.length === 0 && format === 'JSON') problems.push(...jsonFaults(document, text, place));
  const aliases = new Aliases(document);
  if (problems.length === 0) problems.push(...contentFaults(document, aliases, place));
  let value: unknown;
  // A syntax error makes the value a guess, and what would be said of it noise.
  if (problems.every(({ code }) => code === 'CONFIG_DUPLICATE_KEY')) {
    try {
      value = document.toJS();
    } catch (error) {
      problems.push(problem('CONFIG_SYNTAX', place(0), { format, reason: reasonOf(error) }));
    }
  }
  const root = document.contents;
  const at = (path: Path) => walk(aliases, root, path, place) ?? place(0);
  return {
    file,
    value,
    problems,
    at,
    keyAt: (path) => {
      const key = findPair(aliases, nodeAt(aliases, root, path.slice(0, -1)), String(path.at(-1)))?.key;
      return isScalar(key) && key.range ? place(key.range[0]) : at(path);
    },
  };
}

const MAX_DEPTH = 32;
const PLAIN: unknown[] = [Object.prototype, null];

type Place = (offset: number) => Position;

const JSON_WORD = /^(true|false|null|-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?)$/;

/** What YAML takes and JSON does not: comments, trailing commas, bare words. */
function jsonFaults(document: Document.Parsed, text: string, place: Place): Problem[] {
  if (text.trim() === '') return [];
  try {
    JSON.parse(text);
    return [];
  } catch (error) {
    let bare: number | undefined;
    visit(document, {
      Scalar: (_, { type, source = '', range }) => {
        if (type === 'QUOTE_DOUBLE' || JSON_WORD.test(source)) return undefined;
        bare = range?.[0];
        return visit.BREAK;
      },
    });
    // V8 tells a position or shows a piece of the file, which a log need not hold.
    const [, reason = 'it does not parse'] =
      /^(.*?)(, .*is not valid JSON| in JSON| at position|$)/s.exec(reasonOf(error)) ?? [];
    const offset = /at position (\d+)/.exec(reasonOf(error))?.[1] ?? bare ?? 0;
    return [problem('CONFIG_SYNTAX', place(Number(offset)), { format: 'JSON', reason })];
  }
}

/** What parses and yet cannot be meant: a key twice, a value that JSON has not, an alias of nothing. */
function contentFaults(document: Document.Parsed, aliases: Aliases, place: Place): Problem[] {
  const problems: Problem[] = [];
  const refuse = (node: { range?: Range | null | undefined }, where: string, what: string) =>
    problems.push(problem('CONFIG_NOT_JSON', place(node.range?.[0] ?? 0), { where, what }));
  const typed = (node: YAMLMap | YAMLSeq) => {
    if (node.tag && !/:(map|seq)$/.test(node.tag)) refuse(node, 'The value', "of a type of YAML's own");
  };
  visit(document, {
    Map: (_, map) => {
      typed(map);
      const seen = new Map<string, Position>();
      for (const { key } of map.items) {
        if (!isScalar(key)) {
          refuse(isNode(key) ? key : map, 'The key', 'no word');
          continue;
        }
        const name = String(key.value);
        const at = place(key.range?.[0] ?? 0);
        const first = seen.get(name);
        if (name === '__proto__') refuse(key, 'The key __proto__', 'a name with a meaning of its own in JavaScript');
        else if (!first) seen.set(name, at);
        else problems.push(problem('CONFIG_DUPLICATE_KEY', at, { key: name, first: placeOf(first) }));
      }
    },
    Seq: (_, seq) => typed(seq),
    Scalar: (_, node) => {
      const { value } = node;
      if (typeof value === 'number' && !Number.isFinite(value)) refuse(node, 'The value', 'an infinite number or none');
      else if (!['string', 'number', 'boolean'].includes(typeof value) && value !== null && !isMergeKey(value))
        refuse(node, 'The value', "of a type of YAML's own");
    },
    Alias: (_, alias) => {
      const isCircular = aliases.isCircular(alias);
      if (!alias.range || (aliases.targetOf(alias) && !isCircular)) return;
      const reason = isCircular
        ? `*${alias.source} stands inside of what it is an alias of`
        : `no anchor &${alias.source} stands before this alias`;
      problems.push(problem('CONFIG_SYNTAX', place(alias.range[0]), { format: 'YAML', reason }));
    },
  });
  return problems;
}

function findPair(aliases: Aliases, node: unknown, key: string): Pair | undefined {
  const map = aliases.resolved(node);
  if (!isMap(map)) return undefined;
  // The last of two equal keys is the one whose value counts.
  const own = map.items.findLast((pair) => isScalar(pair.key) && String(pair.key.value) === key);
  return own ?? findMerged(aliases, map, key);
}

function isMergeKey(value: unknown): boolean {
  return typeof value === 'symbol' ? value.description === '<<' : value === '<<';
}

function findMerged(aliases: Aliases, map: YAMLMap, key: string): Pair | undefined {
  for (const pair of map.items) {
    if (!isScalar(pair.key) || !isMergeKey(pair.key.value)) continue;
    const merged = aliases.resolved(pair.value);
    for (const from of isSeq(merged) ? merged.items : [merged]) {
      const found = findPair(aliases, from, key);
      if (found) return found;
    }
  }
  return undefined;
}

function child(aliases: Aliases, node: unknown, part: string | number) {
  const parent = aliases.resolved(node);
  if (isSeq(parent)) return parent.items[Number(part)];
  return findPair(aliases, parent, String(part))?.value;
}

function nodeAt(aliases: Aliases, root: unknown, path: Path): unknown {
  return path.reduce<unknown>((node, part) => child(aliases, node, part), root);
}

function walk(aliases: Aliases, root: unknown, path: Path, place: Place): Position | undefined {
  for (let length = path.length; length >= 0; length--) {
    const node = nodeAt(aliases, root, path.slice(0, length));
    // An empty value has a range of its own, just behind its key's colon.
    if (isNode(node) && node.range) return place(node.range[0]);
  }
  return undefined;
}

function toJson(value: unknown, path: Path, refuse: (path: Path, what: string) => void): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) refuse(path, 'an infinite number or none');
    return value;
  }
  if (typeof value !== 'object') {
    refuse(path, `of the type ${typeof value}`);
    return null;
  }
  if (path.length > MAX_DEPTH) {
    refuse(path, 'nested too deep');
    return null;
  }
  if (Array.isArray(value)) return value.map((item, i) => toJson(item, [...path, i], refuse));
  if (!PLAIN.includes(Object.getPrototypeOf(value))) refuse(path, `an instance of ${value.constructor.name}`);
  const out: [string, unknown][] = [];
  for (const [key, item] of Object.entries(value))
    if (item !== undefined) out.push([key, toJson(item, [...path, key], refuse)]);
  return Object.fromEntries(out);
}
