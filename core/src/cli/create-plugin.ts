import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { RESERVED_ACTIONS, RESERVED_TYPES } from '@centreond/plugin-sdk/internal';
import { reasonOf } from '@centreond/protocol';
import { z } from 'zod';
import { coreManifest } from '../core-actions.ts';
import { TEMPLATES } from '../own-package.ts';
import { cliFault, misuse } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { printJson } from './print.ts';

const TEMPLATE = fileURLToPath(new URL('plugin/', TEMPLATES));
const NAME = /^(?:@[a-z0-9][a-z0-9._-]*\/)?([a-z][a-z0-9-]{0,63})$/;

const Versions = z.record(z.string(), z.string());
const SdkPackage = z.looseObject({ version: z.string(), peerDependencies: Versions, devDependencies: Versions });

export interface CreatePluginOptions extends Globals {
  /** The package's folder; `./NAME` when left out. */
  readonly dir?: string;
}

/** Makes a plugin package that builds, passes its tests and packs. Exit 1 where its folder holds something already. */
export async function createPlugin(options: CreatePluginOptions, name: string): Promise<number> {
  const words = wordsFor(name);
  const folder = path.resolve(options.dir ?? path.basename(name));
  const held = await readdir(folder).catch(() => []);
  if (held.length > 0) {
    throw cliFault('FOLDER_NOT_EMPTY', { folder, files: held.length });
  }
  const files = (await readdir(TEMPLATE, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const made: string[] = [];
  for (const entry of files) {
    const from = path.join(entry.parentPath, entry.name);
    // npm leaves out what is called .gitignore from a package.
    const to = path.relative(TEMPLATE, from).replace(/^gitignore$/, '.gitignore');
    const text = filled(await readFile(from, 'utf8'), words);
    try {
      await mkdir(path.dirname(path.join(folder, to)), { recursive: true });
      await writeFile(path.join(folder, to), to === 'package.json' ? packageText(text, name) : text, { flag: 'wx' });
    } catch (error) {
      throw cliFault('FOLDER_UNUSABLE', { folder, reason: reasonOf(error) });
    }
    made.push(to);
  }
  const shown = path.relative(process.cwd(), folder) || '.';
  if (options.json) printJson({ folder, name, type: words.type, action: words.action, files: made.sort() });
  else process.stdout.write(`${shown}: the plugin ${words.type} with the action ${words.action}. ${NEXT(shown)}`);
  return EXIT.done;
}

const NEXT = (shown: string) =>
  `Next:\n${shown === '.' ? '' : `  cd ${shown}\n`}  npm install\n  npm test\n  npm run dev\n`;

interface Words {
  readonly type: string;
  readonly action: string;
  readonly className: string;
}

function wordsFor(name: string): Words {
  const refuse = (reason: string) => misuse(`'${name}' cannot be a plugin: ${reason}.`);
  const base = NAME.exec(name)?.[1];
  if (base === undefined)
    throw refuse('write a small letter, then up to 63 of a-z 0-9 -, such as weather or @acme/weather');
  const type = base.replace(/^(?:centreond-)?plugin-(?=[a-z])/, '');
  const action = type.toUpperCase();
  const taken = RESERVED_ACTIONS.has(action) || coreManifest.actions.some((core) => core.name === action);
  if (RESERVED_TYPES.has(type) || taken) throw refuse(`${action} is the core's own; choose another name`);
  const [first = '', ...rest] = type.split('-').filter((word) => word !== '');
  const method = first + rest.map(capital).join('');
  return { type, action, className: capital(method) };
}

function capital(word: string): string {
  return `${word[0]?.toUpperCase() ?? ''}${word.slice(1)}`;
}

function filled(text: string, { type, action, className }: Words): string {
  const method = `${className[0]?.toLowerCase()}${className.slice(1)}`;
  return text
    .replaceAll(/\bSAMPLE\b/g, action)
    .replaceAll(/\bSamplePlugin\b/g, `${className}Plugin`)
    .replaceAll(/(?<=async |call\(')sample\b/g, method)
    .replaceAll(/\bsample\b/g, type);
}

/** The package.json, with the versions that the SDK at hand was made and tested with. */
function packageText(text: string, name: string): string {
  const sdk = SdkPackage.parse(createRequire(import.meta.url)('@centreond/plugin-sdk/package.json'));
  const versions: Record<string, string> = {
    ...sdk.devDependencies,
    ...sdk.peerDependencies,
    '@centreond/plugin-sdk': sdk.version,
    '@centreond/plugin-kit': sdk.version,
  };
  const filledIn = JSON.parse(text, (key, value: unknown) =>
    value === '*' ? caret(versions[key] ?? '*') : value,
  ) as object;
  return `${JSON.stringify({ ...filledIn, name }, undefined, 2)}\n`;
}

function caret(version: string): string {
  return /^\d/.test(version) ? `^${version}` : version;
}
