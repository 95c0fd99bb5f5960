// The mutants of a file, and the file with all of them in it: each is a branch that is taken while the mutant is active.
import { readFileSync } from 'node:fs';
import type { Ignorer, NodePath } from '@stryker-mutator/instrumenter';

export interface Mutant {
  readonly id: string;
  /** Line in the source, from 1. */
  readonly line: number;
  readonly mutator: string;
  /** The source text that the mutant replaces, and what stands in its place. */
  readonly original: string;
  readonly replacement: string;
}

export interface Mutated {
  readonly code: string;
  readonly mutants: readonly Mutant[];
  /** How many mutants the ignorer took away. */
  readonly ignored: number;
}

/** Functions whose texts only people read. */
const SENTENCE_CALLS = new Set(['broken', 'Error', 'Refused', 'refuse']);
/** Properties of an error's data, and parameters, that only people read. */
const SENTENCE_KEYS = new Set(['reason', 'remedy', 'what', 'by']);

function nameOf(node: unknown): string | undefined {
  const named = node as { name?: unknown; key?: { name?: unknown } } | undefined;
  return typeof named?.name === 'string' ? named.name : undefined;
}

function isText({ node, parentPath }: NodePath): boolean {
  if (node.type === 'StringLiteral' || node.type === 'TemplateLiteral') return true;
  return node.type === 'TemplateElement' && parentPath !== null;
}

/** Texts for people: an argument of a call in {@link SENTENCE_CALLS}, or the value of a key in {@link SENTENCE_KEYS}. */
const sentences: Ignorer = {
  shouldIgnore(path) {
    if (!isText(path)) return undefined;
    for (let at = path.parentPath; at; at = at.parentPath) {
      const { node } = at;
      if (node.type === 'CallExpression' || node.type === 'NewExpression') {
        return SENTENCE_CALLS.has(nameOf(node.callee) ?? '') ? 'a sentence' : undefined;
      }
      if (node.type === 'ObjectProperty' && SENTENCE_KEYS.has(nameOf(node.key) ?? '')) return 'a sentence';
      if (node.type === 'VariableDeclarator' && SENTENCE_KEYS.has(nameOf(node.id) ?? '')) return 'a sentence';
      if (node.type.endsWith('Statement') || node.type.startsWith('Function')) return undefined;
    }
    return undefined;
  },
};

/** Calls that write the log: `log.warn(…)`, `this.#options.log.error(…)`. */
const logLines: Ignorer = {
  shouldIgnore({ node }) {
    if (node.type !== 'CallExpression') return undefined;
    const callee = node.callee as { object?: { name?: unknown; property?: { name?: unknown } } };
    const name = callee.object?.name ?? callee.object?.property?.name;
    return name === 'log' ? 'a log line' : undefined;
  },
};

function textBetween(lines: readonly string[], start: Position, end: Position): string {
  if (start.line === end.line) return (lines[start.line] ?? '').slice(start.column, end.column);
  const between = lines.slice(start.line + 1, end.line);
  return [(lines[start.line] ?? '').slice(start.column), ...between, (lines[end.line] ?? '').slice(0, end.column)].join(
    '\n',
  );
}

interface Position {
  readonly line: number;
  readonly column: number;
}

/** Makes the mutants of a TypeScript file. */
export async function mutate(file: string): Promise<Mutated> {
  const { Instrumenter } = await import('@stryker-mutator/instrumenter');
  const quiet = { isDebugEnabled: () => false, debug: () => {}, info: () => {}, warn: console.warn };
  const content = readFileSync(file, 'utf8');
  const { files, mutants } = await new Instrumenter(quiet).instrument([{ name: file, mutate: true, content }], {
    plugins: null,
    excludedMutations: [],
    ignorers: [sentences, logLines],
    noHeader: false,
  });
  const [instrumented] = files;
  if (!instrumented) throw new Error(`${file} was not instrumented`);
  const lines = content.split('\n');
  const active = mutants.filter(({ status }) => status === undefined);
  return {
    code: instrumented.content,
    mutants: active.map(({ id, mutatorName, replacement, location: { start, end } }) => ({
      id,
      line: start.line + 1,
      mutator: mutatorName,
      original: textBetween(lines, start, end),
      replacement,
    })),
    ignored: mutants.length - active.length,
  };
}
