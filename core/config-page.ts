/** Writes config/README.md, the page of all keys of the config file, from the schema that checks it: `npm run docs`. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { configSchema } from './dist/config/editor-schema.js';
import { DURATION_PATTERN, SIZE_PATTERN } from './dist/config/units.js';

/** What is read of a schema. */
interface Part {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Part>>;
  readonly required?: readonly string[];
  readonly items?: Part;
}

/** A key that takes a value itself. */
interface Key {
  readonly path: string;
  readonly part: Part;
  readonly isRequired: boolean;
}

/** The keys below `part`, in the order of the schema. */
function keysIn(part: Part, above: string): Key[] {
  return Object.entries(part.properties ?? {}).flatMap(([name, inner]) => {
    const path = above === '' ? name : `${above}.${name}`;
    // A group that may be left out as a whole has a line of its own.
    const group = inner.default === undefined && above !== '' ? [{ path, part: inner, isRequired: false }] : [];
    if (inner.properties) return [...group, ...keysIn(inner, path)];
    if (inner.items?.properties) return keysIn(inner.items, `${path}[]`);
    return [{ path, part: inner, isRequired: part.required?.includes(name) ?? false }];
  });
}

/** What a key takes, for people. */
function typeText({ type, enum: words, pattern, minimum, maximum, items }: Part): string {
  if (words) return words.map((word) => `\`${word}\``).join(', ');
  if (pattern === DURATION_PATTERN) return 'duration';
  if (pattern === SIZE_PATTERN) return 'size';
  if (type === 'array') return `list of ${items?.enum ? typeText(items) : 'text'}`;
  if (type === 'integer') {
    const upTo = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? ' or more' : ` to ${maximum}`;
    return `${minimum}${upTo}`;
  }
  if (type === 'object') return 'mapping';
  return type === 'boolean' ? '`true`, `false`' : 'text';
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function defaultText({ part, isRequired }: Key): string {
  if (isRequired) return 'required';
  const value = part.default;
  if (value === undefined) return '';
  return typeof value === 'object' && value !== null ? 'none' : `\`${String(value)}\``;
}

function row(key: Key): string {
  const { path, part } = key;
  return `| \`${path}\` | ${cell(typeText(part))} | ${cell(defaultText(key))} | ${cell(part.description ?? '')} |`;
}

function section(name: string, part: Part): string {
  const keys = keysIn({ properties: { [name]: part } }, '');
  const about = part.description === undefined ? [] : [part.description, ''];
  return [
    `## ${name}`,
    '',
    ...about,
    '| key | takes | default | what it does |',
    '|---|---|---|---|',
    ...keys.map(row),
    '',
  ].join('\n');
}

/** The page. */
export function configPage(): string {
  const { $schema: _, ...parts } = (configSchema([]) as Part).properties ?? {};
  return [
    '# The config file',
    '',
    'Written by `npm run docs` from the schema that checks the file. The daemon looks for `centreond.yaml` in its folder, in `config` there,',
    'and in `/etc/centreond`; `--config FILE` names another. JSON, JavaScript and TypeScript serve too. Files in `conf.d` beside it',
    'add `plugins`. `centreond check` names every mistake with its place.',
    '',
    '- A key that is left out has its default; a required one has to be there where its group is. `[]` stands for each entry of a list.',
    '- A duration is a whole number and `ms`, `s`, `m`, `h` or `d`: `30s`. A size is one and `B`, `KiB`, `MiB` or `GiB`: `16MiB`.',
    '- SIGHUP applies `clients`, `plugins` and `core.log.level`; everything else takes a restart.',
    "- What stands below `plugins[].config` is the plugin's own: its README says what it takes, and `centreond check --schema` prints it.",
    '',
    'In this folder: `centreond.yaml`, a router; `poller.yaml`, a node; `centreond.schema.json`, by which an editor completes both;',
    '`centreond.service`, a systemd unit.',
    '',
    ...Object.entries(parts).map(([name, part]) => section(name, part)),
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(new URL('../config/README.md', import.meta.url), configPage());
}
