import type { ActionManifest, JsonSchema, Manifest } from '@centreond/plugin-sdk/internal';
import { fieldsOf, typeText } from './fields.ts';

export { type Field, fieldsOf } from './fields.ts';

/** A part of a plugin's description: a heading, a paragraph, or a table whose first row is the heading. */
export type Part =
  | {
      readonly heading: string;
      readonly level: 1 | 2 | 3 /** Whether the heading starts with a name to be set as code. */;
      readonly name?: string;
    }
  | { readonly text: string }
  | { readonly rows: readonly (readonly string[])[] };

const DOES = { read: 'reads', write: 'writes', destructive: 'may destroy' } as const;

/** All that a manifest says of a plugin, in the order in which one reads it. From it come the CLI's text and the Markdown. */
export function descriptionOf(manifest: Manifest): Part[] {
  const { type, title, actions, emits, listens, codes, codeTitles, config, kill, isolation, instances, unexpressed } =
    manifest;
  const parts: Part[] = [{ heading: title, level: 1, name: type }, ...actions.flatMap(actionParts)];
  if (config)
    parts.push(
      { heading: 'Config', level: 2 },
      ...schemaParts(config, 'no settings'),
      ...checked(unexpressed, 'config'),
    );
  if (Object.keys(codes).length > 0) {
    const titles = codeTitles && ((name: string) => codeTitles[name] ?? '');
    const rows = Object.entries(codes).map(([name, code]) => [String(code), name, ...(titles ? [titles(name)] : [])]);
    const head = ['CODE', 'NAME', ...(titles ? ['SAYS'] : [])];
    parts.push({ heading: 'Codes of its rows', level: 2 }, { rows: [head, ...rows] });
  }
  for (const { name, schema } of emits) {
    parts.push({ heading: 'an event that it emits', level: 2, name }, ...schemaParts(schema, 'nothing'));
    parts.push(...checked(unexpressed, `events.${name}`));
  }
  parts.push({ heading: 'How it runs', level: 2 });
  const lines = [
    isolation === 'core' ? "In the daemon's own process (allowCore: true lets it)." : instancesText(instances),
  ];
  lines.push(
    kill
      ? `KILL lets it release what it holds within ${kill.graceSeconds} s, then ends it.`
      : 'KILL ends it at once: it has no kill handler.',
  );
  if (manifest.placement === 'one')
    lines.push('Of the routers of a cluster one runs it at a time; another takes over when that one is lost.');
  if (listens.length > 0) lines.push(`It listens to ${[...new Set(listens.map(({ event }) => event))].join(', ')}.`);
  parts.push({ text: lines.join(' ') });
  return parts;
}

/** A plugin's description as Markdown, ending in a line break. */
export function manifestMarkdown(manifest: Manifest): string {
  return `${descriptionOf(manifest).map(markdown).join('\n\n')}\n`;
}

function markdown(part: Part): string {
  if ('text' in part) return escaped(part.text);
  if ('heading' in part) {
    const name = part.name === undefined ? '' : `\`${part.name}\`: `;
    return `${'#'.repeat(part.level)} ${name}${escaped(part.heading)}`;
  }
  const [head = [], ...rows] = part.rows;
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  // The first column holds names and codes.
  const body = rows.map(([first = '', ...rest]) => line([`\`${first}\``, ...rest.map(escaped)]));
  return [line(head.map((cell) => cell.toLowerCase())), line(head.map(() => '---')), ...body].join('\n');
}

function escaped(text: string): string {
  return text.replaceAll(/[<>*_`]/g, '\\$&');
}

function actionParts(action: ActionManifest): Part[] {
  const { name, title, description, access, effects, idempotent, inFlight, timeoutSeconds, concurrency, reply, runs } =
    action;
  const traits = [
    `For ${access.join(', ')}`,
    DOES[effects],
    idempotent ? 'idempotent' : 'not idempotent',
    ...(runs === 'here' ? ['runs on the router that is asked, and works on the node that TARGET names'] : []),
    ...(inFlight === 'requeue' ? ['runs again after a crash'] : []),
    ...(reply === 'ack' ? ['answered in the ACK'] : []),
    `at most ${timeoutSeconds} s`,
    `${concurrency} at once`,
  ];
  return [
    { heading: title, level: 2, name },
    ...(description === undefined ? [] : [{ text: description }]),
    { text: `${traits.join('; ')}.` },
    { heading: 'Input', level: 3 },
    ...schemaParts(action.input, 'nothing'),
    { heading: 'Output', level: 3 },
    ...schemaParts(action.output, 'nothing'),
    ...checked(action.unexpressed, ''),
  ];
}

function schemaParts(schema: JsonSchema, none: string): Part[] {
  const fields = fieldsOf(schema);
  if (fields.length === 0) {
    const type = typeText(schema, schema);
    return [
      {
        text:
          type === 'object'
            ? `${none[0]?.toUpperCase()}${none.slice(1)}.`
            : `${type[0]?.toUpperCase()}${type.slice(1)}.`,
      },
    ];
  }
  const rows = fields.map(({ path, type, required, fallback, description }) => [
    path,
    type,
    fallback ?? (required ? 'required' : 'optional'),
    description,
  ]);
  return [{ rows: [['FIELD', 'TYPE', 'DEFAULT', 'ABOUT'], ...rows] }];
}

/** What only the plugin itself can check, of the parts whose path starts with `prefix`. */
function checked(unexpressed: readonly string[], prefix: string): Part[] {
  const ours = unexpressed.filter((each) => each.startsWith(prefix));
  if (ours.length === 0) return [];
  const rows = ours.map((each) => [each.slice(0, each.indexOf(': ')), each.slice(each.indexOf(': ') + 2)]);
  return [{ rows: [['FIELD', 'WHAT ONLY THE PLUGIN CHECKS'], ...rows] }];
}

function instancesText(instances: Manifest['instances']): string {
  if ('pool' in instances) return instances.pool === 1 ? 'In one process.' : `In ${instances.pool} processes.`;
  const { key, start, idleSeconds } = instances;
  const when = start === 'eager' ? 'all of them at the start' : 'each when it is first asked for';
  const idle = idleSeconds === undefined ? '' : `; one that had nothing to do for ${idleSeconds} s ends`;
  return `In one process per ${key}, ${when}${idle}; ${key} is the ID of KILL.`;
}
