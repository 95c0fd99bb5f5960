import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';
import { type JsonSchema, longNameOf, MANIFEST_FILE, manifestAs, TYPE_PATTERN } from '@centreond/plugin-sdk/internal';
import { failure, isAction, reasonOf } from '@centreond/protocol';
import { commentText, typeTextOf } from './type-text.ts';

const RUN = promisify(execFile);
/** The packages whose names of actions and events can be added to, the one to take first. */
const AUGMENTED = ['@centreond/plugin-sdk', '@centreond/client'] as const;
const CORE_LIMIT_MS = 30_000;
const LARGEST_MANIFEST = 16 * 1024 * 1024;

/** What the declaration file takes from a manifest. */
interface Declared {
  readonly type: string;
  readonly actions: readonly {
    readonly name: string;
    readonly title: string;
    readonly input: JsonSchema;
    readonly output: JsonSchema;
    readonly reply: 'row' | 'ack';
  }[];
  readonly emits: readonly { readonly name: string; readonly schema: JsonSchema }[];
}

/** A type that the config gives to the plugin that declares `type`. */
export interface NamedType {
  readonly as: string;
  readonly type: string;
}

/** What was written. */
export interface Typed {
  /** The declaration file, absolute. */
  readonly file: string;
  /** The types of the plugins whose actions and events are in it. */
  readonly plugins: readonly string[];
  /** Why names that are not in the file still compile, if they do. */
  readonly open: string | undefined;
}

/**
 * Writes the declaration file of all actions and events of the plugins that are installed in `folders`, or are there, and of the
 * router's own actions. `file` is `src/centreond.d.ts` of the first folder if omitted, or `centreond.d.ts` if it has no `src`.
 * Without @centreond/core in any of the folders the router's own actions are unknown, so unknown names compile then. Throws
 * INVALID_PLUGIN for a manifest that cannot be read. Writing again writes the same bytes. `names` are types that the config gives to
 * plugins (`as`), each with the type that the plugin declares: their actions are in the file under both names.
 */
export async function writeTypes(
  folders: readonly string[],
  file?: string,
  names: readonly NamedType[] = [],
): Promise<Typed> {
  const [first = '.'] = folders;
  const out = path.resolve(
    file ?? path.join(first, existsSync(path.join(first, 'src')) ? 'src' : '', 'centreond.d.ts'),
  );
  const found = new Map<string, Declared>();
  let core: string | undefined;
  for (const folder of folders) {
    for (const at of await manifestsOf(path.resolve(folder))) {
      const declared = await declaredBy(at);
      if (!found.has(declared.type)) found.set(declared.type, declared);
    }
    core ??= coreOf(folder);
  }
  for (const { as, type } of names) found.set(as, declaredAs(as, type, found));
  const plugins = [...found.values()].sort((a, b) => (a.type < b.type ? -1 : 1));
  if (core !== undefined) plugins.unshift(await declaredByCore(core));
  await writeFile(`${out}.new`, declarationText(plugins, augmentedIn(path.dirname(out)), core === undefined));
  await rename(`${out}.new`, out);
  const open =
    core === undefined
      ? `@centreond/core is not installed in ${folders.join(', ')}, so the actions of the router itself are unknown`
      : undefined;
  return { file: out, plugins: plugins.map(({ type }) => type), open };
}

/** What the plugin of `type` declares under the type `as`. Throws INVALID_PLUGIN if it cannot have that type. */
function declaredAs(as: string, type: string, found: ReadonlyMap<string, Declared>): Declared {
  const refuse = (reason: string) => failure('INVALID_PLUGIN', { plugin: `--as ${as}=${type}`, reason });
  const declared = found.get(type);
  if (!declared) throw refuse(`no installed plugin has the type ${type}; there is ${[...found.keys()].join(', ')}`);
  if (!TYPE_PATTERN.test(as)) throw refuse(`a type is [a-z][a-z0-9-]{0,63}, and ${as} is not`);
  if (found.has(as)) throw refuse(`an installed plugin has the type ${as} already`);
  // Its events keep their names.
  const named = { ...manifestAs(declared, as), emits: [] };
  const long = longNameOf(named);
  if (long !== undefined) throw refuse(`the action ${long} would have ${long.length} characters, and 64 is the most`);
  return named;
}

/** The manifests in `folder` itself and in its `node_modules`, and in those of the folders above it. */
async function manifestsOf(folder: string): Promise<string[]> {
  const packages = [folder];
  for (let at = folder; ; at = path.dirname(at)) {
    const modules = path.join(at, 'node_modules');
    for (const name of await namesIn(modules)) {
      if (!name.startsWith('@')) packages.push(path.join(modules, name));
      else
        for (const scoped of await namesIn(path.join(modules, name))) packages.push(path.join(modules, name, scoped));
    }
    if (at === path.dirname(at)) break;
  }
  return packages.map((one) => path.join(one, MANIFEST_FILE)).filter((one) => existsSync(one));
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => !name.startsWith('.')).sort();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(String((error as NodeJS.ErrnoException).code))) return [];
    throw error;
  }
}

async function declaredBy(file: string): Promise<Declared> {
  try {
    return declaredIn(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    throw failure('INVALID_PLUGIN', { plugin: path.dirname(file), reason: `${MANIFEST_FILE}: ${reasonOf(error)}` });
  }
}

/** The command line of the @centreond/core that `folder` finds. */
function coreOf(folder: string): string | undefined {
  try {
    const file = createRequire(path.resolve(folder, 'package.json')).resolve('@centreond/core/package.json');
    return path.join(path.dirname(file), 'bin/centreond.js');
  } catch {
    return undefined; // not installed: the caller says so
  }
}

/** The package through which the declaration file in `folder` adds names: what clients import where there is no SDK. */
function augmentedIn(folder: string): string {
  const { resolve } = createRequire(path.join(folder, 'package.json'));
  const isThere = (name: string) => {
    try {
      return resolve(`${name}/package.json`) !== '';
    } catch {
      return false;
    }
  };
  return AUGMENTED.find(isThere) ?? AUGMENTED[0];
}

/** What the router itself declares, asked of its command line: it is no plugin and has no manifest file. */
async function declaredByCore(bin: string): Promise<Declared> {
  try {
    const { stdout } = await RUN(process.execPath, [bin, 'plugins', 'core', '--json'], {
      timeout: CORE_LIMIT_MS,
      maxBuffer: LARGEST_MANIFEST,
    });
    return declaredIn(JSON.parse(stdout));
  } catch (error) {
    throw failure('INVALID_PLUGIN', {
      plugin: 'core',
      reason: `${bin} does not print its manifest: ${reasonOf(error)}`,
    });
  }
}

function declaredIn(value: unknown): Declared {
  const { type, actions, emits } = fields(value);
  if (typeof type !== 'string') throw new Error('it has no type');
  return {
    type,
    actions: list(actions).map((one) => {
      const { name, title, input, output, reply } = fields(one);
      return {
        name: named(name),
        title: String(title),
        input: fields(input),
        output: fields(output),
        reply: reply === 'ack' ? 'ack' : 'row',
      };
    }),
    emits: list(emits).map((one) => {
      const { name, schema } = fields(one);
      return { name: named(name), schema: fields(schema) };
    }),
  };
}

function named(name: unknown): string {
  if (typeof name === 'string' && isAction(name)) return name;
  throw new Error(`it names an action or event ${JSON.stringify(name)}`);
}

function fields(value: unknown): JsonSchema {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonSchema;
  throw new Error('it holds something else than an object where a declaration belongs');
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function declarationText(plugins: readonly Declared[], augmented: string, isOpen: boolean): string {
  const actions = plugins.flatMap(({ type, actions: own }) =>
    own.map(
      ({ name, title, input, output, reply }) =>
        `    ${commentText(`${title} (${type})`)}\n    '${name}': {\n` +
        `      input: ${typeTextOf(input, '      ')};\n` +
        `      output: ${typeTextOf(output, '      ')};\n` +
        `      reply: '${reply}';\n    };\n`,
    ),
  );
  const events = plugins.flatMap(({ type, emits }) =>
    emits.map(
      ({ name, schema }) => `    ${commentText(`Emitted by ${type}`)}\n    '${name}': ${typeTextOf(schema, '    ')};\n`,
    ),
  );
  const others =
    '    // @centreond/core was not found, so other names compile too.\n' +
    '    [other: string]: { input: object; output: unknown; reply: string };\n';
  return `// Written by \`centreond-plugin types\`. Run it again once other plugins are installed or built; do not edit.
import '${augmented}';

declare module '${augmented}' {
  interface Actions {
${[...actions, ...(isOpen ? [others] : [])].join('')}  }
  interface Events {
${events.join('')}  }
}
`;
}
