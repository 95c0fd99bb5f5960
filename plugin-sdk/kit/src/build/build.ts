import { fork } from 'node:child_process';
import { rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { MANIFEST_FILE, type Manifest } from '@centreond/plugin-sdk/internal';
import { routerSchema } from '@centreond/plugin-sdk/json-schema';
import { failure } from '@centreond/protocol';
import { copiesOf } from './copies.ts';
import type { Described } from './describe-child.ts';
import { packageOf } from './package.ts';

const IMPORT_LIMIT_MS = 30_000;
const SHOWN_OUTPUT_CHARACTERS = 4000;

/** What a build yields. */
export interface Built {
  /** The manifest's file, absolute. */
  readonly file: string;
  readonly manifest: Manifest;
  /** What will not do as its author expects, though the manifest is sound: two copies of a module, a listener that is not heard. */
  readonly warnings: readonly string[];
}

/**
 * Imports the built plugin of the package in `folder` in a process of its own and writes its manifest beside package.json.
 * Throws INVALID_PLUGIN, naming what is wrong and where; the manifest of before stays then. Building again writes the same bytes.
 */
export async function buildManifest(folder: string): Promise<Built> {
  const manifest = await describePlugin(folder);
  const file = path.resolve(folder, MANIFEST_FILE);
  await writeFile(`${file}.new`, `${JSON.stringify(manifest, undefined, 2)}\n`);
  await rename(`${file}.new`, file);
  const copies = (await copiesOf(folder)).map(
    ({ module, folders }) =>
      `it reaches ${folders.length} copies of ${module}, whose decorators and tokens do not see each other: ` +
      `${folders.join(' and ')}. Make it a peer dependency and install again, so that one is left.`,
  );
  return { file, manifest, warnings: [...copies, ...unheardListeners(manifest)] };
}

/** Listeners of a plugin whose instances come and go with their keys. */
function unheardListeners({ listens, instances }: Manifest): string[] {
  if (!('key' in instances) || instances.start !== 'on-demand') return [];
  const inEach = listens.filter((listener) => listener.in !== 'one');
  return inEach.map(
    ({ event, method }) =>
      `its @On('${event}') (${method}) is called in each instance that runs at the time: not at all while none runs, and ` +
      `once for each key that has one. Add { in: 'one' }, or listen in a plugin without instances.key.`,
  );
}

/** What the built plugin of the package in `folder` declares now. Writes nothing; throws as {@link buildManifest} does. */
export async function describePlugin(folder: string): Promise<Manifest> {
  const { name: plugin, main } = await packageOf(folder);
  const refuse = (reason: string) => failure('INVALID_PLUGIN', { plugin, reason });
  const described = await describe(main, refuse);
  if ('reason' in described) throw refuse(described.reason);
  const { manifest } = described;
  const parts: [string, Manifest['config']][] = [
    ['config', manifest.config],
    ...manifest.actions.flatMap(({ name, input, output }): [string, Manifest['config']][] => [
      [`${name} input`, input],
      [`${name} output`, output],
    ]),
    ...manifest.emits.map(({ name, schema }): [string, Manifest['config']] => [`event ${name}`, schema]),
  ];
  for (const [what, schema] of parts) {
    const fault = schema && routerSchema(schema).fault;
    if (fault) throw refuse(`the router cannot use the JSON Schema of ${what}: ${fault}`);
  }
  return manifest;
}

function describe(main: string, refuse: (reason: string) => Error): Promise<Described> {
  const describer = fileURLToPath(new URL('./describe-child.js', import.meta.url));
  return new Promise((resolve, reject) => {
    const child = fork(describer, [main], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv: ['--enable-source-maps'],
    });
    let output = '';
    const keep = (chunk: string) => {
      output = (output + chunk).slice(-SHOWN_OUTPUT_CHARACTERS);
    };
    child.stdout?.setEncoding('utf8').on('data', keep);
    child.stderr?.setEncoding('utf8').on('data', keep);
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(refuse(`importing ${main} took more than ${IMPORT_LIMIT_MS / 1000} s${said(output)}`));
    }, IMPORT_LIMIT_MS);
    child.once('message', (message) => resolve(message as Described));
    child.once('error', (error) => reject(refuse(`no process to import ${main} in: ${error.message}`)));
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      reject(refuse(`importing ${main} ended the process (${signal ?? `exit code ${code}`})${said(output)}`));
    });
  });
}

function said(output: string): string {
  return output.trim() === '' ? '' : `; it printed: ${output.trim()}`;
}
