import { parseArgs } from 'node:util';
import { manifestMarkdown } from '@centreond/plugin-runtime/describe';
import type { Manifest } from '@centreond/plugin-sdk/internal';
import { isCentreondError, reasonOf } from '@centreond/protocol';
import { buildManifest, describePlugin } from './build.ts';
import { dev } from './dev.ts';
import { writeTypes } from './types.ts';

const USAGE = `usage: centreond-plugin build [--quiet] [FOLDER…]
       centreond-plugin dev [--inspect] [--config FILE]
       centreond-plugin docs [FOLDER…]
       centreond-plugin types [--out FILE] [--as NAME=TYPE]… [FOLDER…]

  build   writes plugin.manifest.json beside the package.json of each built plugin package (default: this folder);
          --quiet prints nothing but errors
  dev     builds this folder's package, has a router serve it, and builds and reloads it on each change; the router is that of
          ./centreond.yaml, or of FILE, started if it does not run; without a config it is a temporary one;
          prints the rows of the plugin's requests as they are written, and the log of a router that it started
          --inspect opens a debugger on the plugin's process
  docs    prints what the plugins declare, as a Markdown page
  types   writes src/centreond.d.ts (or FILE), the types of all actions and events of the plugins that are installed in this
          folder or the FOLDERs, and of a plugin that is built there: call, send, emit and @On then take no other names;
          --as weather-eu=weather adds the actions of the plugin weather as a config with \`as: weather-eu\` names them
`;

/** The command line `centreond-plugin`. Resolves with the exit code: 0 done, 1 failed, 2 wrong usage. */
export async function run(args: readonly string[]): Promise<number> {
  const [verb, ...words] = args;
  if (verb === 'build' && unknownOption(words, ['--quiet']) === undefined) return build(words);
  if (verb === 'docs' && unknownOption(words, []) === undefined) return docs(words);
  const typed = verb === 'types' ? typesWords(words) : undefined;
  if (typed) return types(typed);
  const asked = verb === 'dev' ? devWords(words) : undefined;
  if (asked) return develop(asked);
  process.stderr.write(USAGE);
  return 2;
}

interface DevWords {
  readonly inspect: boolean;
  readonly config?: string | undefined;
}

function devWords(words: readonly string[]): DevWords | undefined {
  const options = { inspect: { type: 'boolean', default: false }, config: { type: 'string' } } as const;
  try {
    return parseArgs({ args: [...words], options }).values;
  } catch {
    return undefined; // an unknown option: the usage says what there is
  }
}

async function develop({ inspect, config }: DevWords): Promise<number> {
  const over = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => over.abort());
  const say = (line: string) => process.stdout.write(`${line}\n`);
  try {
    return await dev({
      folder: process.cwd(),
      inspect,
      config,
      say,
      signal: over.signal,
    });
  } catch (error) {
    return explained(error);
  }
}

function unknownOption(words: readonly string[], known: readonly string[]): string | undefined {
  return words.find((word) => word.startsWith('-') && !known.includes(word));
}

function build(words: readonly string[]): Promise<number> {
  const quiet = words.includes('--quiet');
  return eachFolder(words, async (folder) => {
    const { file, manifest, warnings } = await buildManifest(folder);
    if (!quiet) for (const warning of warnings) process.stderr.write(`warning: ${folder}: ${warning}\n`);
    if (quiet) return;
    const actions = manifest.actions.map(({ name }) => name).join(', ') || 'none';
    process.stdout.write(`${file}: ${manifest.type}, actions: ${actions}\n${unexpressedText(manifest)}`);
  });
}

function docs(words: readonly string[]): Promise<number> {
  return eachFolder(words, async (folder) => {
    process.stdout.write(manifestMarkdown(await describePlugin(folder)));
  });
}

interface TypesWords {
  readonly values: { readonly out?: string | undefined; readonly as?: readonly string[] | undefined };
  readonly positionals: readonly string[];
}

function typesWords(words: readonly string[]): TypesWords | undefined {
  try {
    const options = { out: { type: 'string' }, as: { type: 'string', multiple: true } } as const;
    return parseArgs({ args: [...words], options, allowPositionals: true });
  } catch {
    return undefined; // an unknown option: the usage says what there is
  }
}

async function types({ values, positionals }: TypesWords): Promise<number> {
  try {
    const folders = positionals.length > 0 ? positionals : ['.'];
    const names = (values.as ?? []).map((word) => {
      const [as = '', type = ''] = word.split('=');
      return { as, type };
    });
    const { file, plugins, open } = await writeTypes(folders, values.out, names);
    if (open !== undefined) process.stderr.write(`warning: ${open}; other names compile too\n`);
    process.stdout.write(`${file}: ${plugins.join(', ') || 'no plugins'}\n`);
    return 0;
  } catch (error) {
    return explained(error);
  }
}

async function eachFolder(words: readonly string[], act: (folder: string) => Promise<void>): Promise<number> {
  const folders = words.filter((word) => !word.startsWith('-'));
  let code = 0;
  for (const folder of folders.length > 0 ? folders : ['.']) {
    try {
      await act(folder);
    } catch (error) {
      code = explained(error);
    }
  }
  return code;
}

function explained(error: unknown): number {
  process.stderr.write(`${isCentreondError(error) ? `${error.code}: ` : ''}${reasonOf(error)}\n`);
  return 1;
}

function unexpressedText({ unexpressed, actions }: Manifest): string {
  const lines = [
    ...unexpressed,
    ...actions.flatMap((action) => action.unexpressed.map((what) => `${action.name} ${what}`)),
  ];
  if (lines.length === 0) return '';
  return `Only the plugin itself can check, since JSON Schema cannot say it:\n${lines.map((line) => `  ${line}\n`).join('')}`;
}
