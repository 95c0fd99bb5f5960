import path from 'node:path';
import { isIdentity } from '@centreond/protocol';
import { routerConfig } from '../config/templates.ts';
import { fault } from '../errors.ts';
import { writePrivateFile } from '../private-file.ts';
import { misuse } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { ownName } from './own-name.ts';
import { printJson } from './print.ts';

/** Writes a config file to begin with, and says what to type next. Exit 1 where there is one already: it stays as it is. */
export function init({ config: named, json, id = 'central' }: Globals & { id?: string }): number {
  const file = path.resolve(named ?? 'centreond.yaml');
  if (!/\.ya?ml$/.test(file)) {
    throw misuse(`--config ${named}: init writes a .yaml file.`);
  }
  if (!isIdentity(id)) {
    throw misuse(`${JSON.stringify(id)} cannot be a node id: use 1 to 64 of A-Z a-z 0-9 . _ -, not . or ..`);
  }
  if (!writePrivateFile(file, routerConfig(id), false)) throw fault('CONFIG_EXISTS', { path: file });
  const shown = path.relative(process.cwd(), file);
  if (json) printJson({ file, id });
  else {
    const option = named === undefined ? '' : ` --config ${shown}`;
    process.stdout.write(
      `${shown}: the router ${id}, open to this machine alone at tcp://127.0.0.1:5555. Next:\n  ${ownName()} check${option}\n  ${ownName()} start${option}\n`,
    );
  }
  return EXIT.done;
}
