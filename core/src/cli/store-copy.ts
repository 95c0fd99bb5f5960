import path from 'node:path';
import { type Config, SYSTEM } from '../config/config.ts';
import { isReference, readSecret } from '../config/secret.ts';
import { storePlaceOf } from '../config/store-place.ts';
import { type CopiedTo, copyTo } from '../data-folder/copy-history.ts';
import { cliFault, configOf, misuse } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { ownName } from './own-name.ts';
import { printJson, shortPath, table } from './print.ts';
import { Progress, type Standing } from './progress.ts';

/** `store copy --to postgres [--url URL]`: copies the history of this machine's daemon, which does not run, to a database. */
export async function storeCopy(globals: Globals & { url?: string }): Promise<number> {
  if (globals.connect)
    throw misuse('store copy works on the data folder of this machine: run it there, without --connect.');
  const config = await configOf(globals);
  const place = placeOf(config, globals.url);
  let standing: Standing = { total: 0, done: 0, running: 0, failed: 0 };
  let copied: CopiedTo;
  {
    using _progress = new Progress(process.stderr, () => standing);
    copied = await copyTo(config.core, place, (verb, done, total) => {
      standing = { ...standing, verb, done, total };
    });
  }
  const { from, to, isEqual, file, database } = copied;
  if (globals.json && isEqual) printJson({ from, to, file, database });
  if (!globals.json) process.stdout.write(sidesText(copied));
  if (!isEqual) throw cliFault('COPY_DIFFERS', { file: shortPath(from), database: to });
  if (!globals.json) process.stdout.write(nextText(config, copied, globals));
  return EXIT.done;
}

/** Where the URL comes from, and the URL itself. */
function placeOf(config: Config, given: string | undefined): { url: string; where: string } {
  if (given === undefined) {
    const place = storePlaceOf(config, '', process.env);
    if ('url' in place) return { url: place.url, where: 'core.store.url' };
    throw misuse(
      '--url names the database: file:PATH of a file that holds postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or env:NAME.',
    );
  }
  const where = '--url';
  if (!isReference(given)) return { url: given, where };
  const reference = given.startsWith('file:') ? `file:${path.resolve(given.slice('file:'.length))}` : given;
  const read = readSecret(reference, process.env);
  if ('reason' in read) throw cliFault('SECRET_UNUSABLE', { where, reference, reason: read.reason }, EXIT.usage);
  return { url: read.value, where };
}

function sidesText({ from, to, file, database }: CopiedTo): string {
  const row = (where: string, { requests, rows, entries, logs, aside, pins, sha256 }: CopiedTo['file']) => [
    where,
    ...[requests, rows, entries, logs, aside, pins].map(String),
    sha256,
  ];
  const heading = ['', 'REQUESTS', 'ROWS', 'STATE', 'LOGS', 'ASIDE', 'KEYS', 'SHA-256'];
  return table([heading, row(shortPath(from), file), row(to, database)]);
}

/** What to do now that the history is in the database. */
export function nextText(
  config: Pick<Config, 'file' | 'core'>,
  { from, to }: Pick<CopiedTo, 'from' | 'to'>,
  globals: Globals & { url?: string },
): string {
  const { dataDir, store, id } = config.core;
  const option = globals.config === undefined ? '' : ` --config ${shortPath(config.file)}`;
  // There the system starts the daemon, as a user of its own: what root starts leaves files that this user cannot open.
  const isSystem = config.file === path.join(SYSTEM.config, 'centreond.yaml');
  return [
    `The history of ${id} is in ${to}, with the same ids and under the same name: who follows it goes on.`,
    ...(store.driver === 'postgres' ? [] : configLines(config, globals.url)),
    'Next:',
    isSystem ? '  systemctl start centreond' : `  ${ownName()} start${option}`,
    `Trust and keys stay in ${shortPath(dataDir)}. ${shortPath(from)} is not read any more: move it away when all is well.`,
    '',
  ].join('\n');
}

/** What the config is to say. A URL that may hold a password is not shown. */
function configLines(config: Pick<Config, 'file'>, given = ''): string[] {
  let reference = given;
  let remark: string[] = [];
  if (given.startsWith('file:')) {
    const file = path.resolve(given.slice('file:'.length));
    const beside = path.relative(path.dirname(config.file), file);
    reference = `file:${beside.startsWith('..') ? file : `./${beside}`}`;
  } else if (!isReference(given)) {
    reference = 'file:./postgres-url';
    remark = ['The file postgres-url beside it, with mode 0600, holds the URL.'];
  }
  return [
    `Write into ${shortPath(config.file)}:`,
    '  core:',
    `    store: { driver: postgres, url: ${JSON.stringify(reference)} }`,
    ...remark,
  ];
}
