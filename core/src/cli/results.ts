import { cellsOf } from './cells.ts';
import { type Column, tableLines } from './columns.ts';
import type { Color, View } from './painted.ts';
import { countText, list, msText } from './print.ts';
import { type Outcome, WORDS } from './tally.ts';

/**
 * What several nodes said, equal outputs once; then a line for each node: how it went, how long it took, and its token, if it has
 * one. `finished` is the word for what went well.
 */
export function resultsText(outcomes: readonly Outcome[], finished: string, view: View): string {
  const asked = outcomes.filter(({ fate }) => fate !== 'unsent' && fate !== 'lacking');
  const said = asked.filter(({ text = '' }) => text !== '');
  const groups = [...Map.groupBy(said, foldedText).values()];
  const parts = groups.map(
    (group) =>
      `${headOf(
        group.map(({ node }) => node),
        view.width,
      )}\n${textOf(group)}`,
  );
  const table = asked.length === 0 ? '' : `${tableText(asked, finished, view)}\n`;
  return [...parts, table].filter((part) => part !== '').join('\n');
}

/** The nodes of a group: as many as a line holds, all where nothing bounds it. */
function headOf(nodes: readonly string[], width: number | undefined): string {
  if (nodes.length === 1) return nodes[0] as string;
  const head = `${countText(nodes.length, 'node')}: `;
  let shown = nodes.length;
  while (width !== undefined && shown > 1 && cellsOf(`${head}${list(nodes, shown)}`) > width) shown--;
  return `${head}${list(nodes, shown)}`;
}

/** What a group said: of several refusals, which name their nodes, that with NODE in the place of the name. */
function textOf(group: readonly Outcome[]): string {
  const [first] = group;
  if (!first) return '';
  return group.length === 1 ? (first.text ?? '') : foldedText(first);
}

/** What is equal of what several nodes said. */
function foldedText({ node, fate, text = '' }: Outcome): string {
  if (fate === 'finished' || fate === 'failed') return text;
  const name = new RegExp(`(?<![\\w.-])${node.replaceAll('.', '\\.')}(?![\\w-])`, 'g');
  return text.replaceAll(name, 'NODE');
}

function tableText(outcomes: readonly Outcome[], finished: string, { width, paint }: View): string {
  const byNode = outcomes.toSorted((a, b) => (a.node < b.node ? -1 : 1));
  const columns: readonly Column<Outcome>[] = [
    { heading: 'NODE', least: 12, cutAt: 'middle', piece: ({ node }) => node },
    {
      heading: 'RESULT',
      least: 8,
      piece: (outcome) => ({ text: wordOf(outcome, finished), color: COLORS[outcome.fate] ?? 'red' }),
    },
    { heading: 'TOOK', goes: 1, piece: ({ tookMs }) => (tookMs === undefined ? '-' : msText(Math.round(tookMs))) },
    // Wide enough for a token that was made here: it is copied from here.
    ...(outcomes.some(({ token }) => token !== undefined)
      ? [{ heading: 'TOKEN', least: 36, cutAt: 'middle', piece: ({ token = '-' }: Outcome) => token } as const]
      : []),
  ];
  return tableLines(columns, byNode, width, paint).join('\n');
}

const COLORS: Readonly<Partial<Record<Outcome['fate'], Color>>> = { finished: 'green', late: 'yellow', left: 'yellow' };

function wordOf({ fate, why = '' }: Outcome, finished: string): string {
  if (fate === 'finished') return finished;
  return why === '' && fate !== 'lacking' ? WORDS[fate] : why;
}
