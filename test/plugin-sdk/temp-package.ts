import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const folders: string[] = [];

/** Removes all of them; test/temp-folders.ts calls it at the end of each file. */
export function removeTempFolders(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

/** A folder under the system's temporary folder, gone after the file's tests. */
export function tempFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'centreond-kit-'));
  folders.push(folder);
  return folder;
}

/** A package folder of JavaScript files that finds the modules of this workspace. */
export function tempPackage(files: Readonly<Record<string, string>>): string {
  const folder = tempFolder();
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  for (const [file, text] of Object.entries({ 'package.json': PACKAGE, ...files })) {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    writeFileSync(path.join(folder, file), text);
  }
  return folder;
}

const PACKAGE = JSON.stringify({ name: 'temp-plugin', version: '1.0.0', type: 'module', exports: './index.js' });

/** A plugin in JavaScript, decorated by hand; `body` decorates further or spoils it. */
export function pluginSource(options: string, body = '', methods = 'run(input) { return {}; }'): string {
  return `import 'reflect-metadata';
import { Action, Kill, On, Plugin } from '@centreond/plugin-sdk';
import { z } from 'zod';
export default class Sample { ${methods} }
const act = (name, options = {}, method = 'run') =>
  Action(name, { title: name, input: z.strictObject({}), output: z.strictObject({}), ...options })(Sample.prototype, method);
${body}
Plugin({ type: 'sample', title: 'A sample', ${options} })(Sample);
`;
}
