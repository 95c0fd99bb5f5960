import { statSync } from 'node:fs';
import path from 'node:path';
import { backUp } from '../data-folder/backup.ts';
import { restore } from '../data-folder/restore.ts';
import { openLog } from '../log.ts';
import { cliFault, configOf, misuse } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { ownName } from './own-name.ts';
import { countText, printJson, shortPath } from './print.ts';

/** `backup FILE`: all that this machine's daemon keeps, in one new file. It may run meanwhile. */
export async function backup(globals: Globals, file: string): Promise<number> {
  const { core, file: config } = await configHere(globals, 'backup');
  const { manifest, bytes, leftOut } = await backUp(core, path.resolve(file));
  const { id, fingerprint, time, files } = manifest;
  if (globals.json) {
    printJson({ file: path.resolve(file), bytes, files: files.length, id, fingerprint, time, leftOut });
    return EXIT.done;
  }
  process.stdout.write(
    [
      `${shortPath(path.resolve(file))}: ${id} as of ${momentOf(time)}, ${countText(files.length, 'file')}, ${bytes} bytes.`,
      'It holds the private key of the router: keep it as safe as that.',
      `Not in it: ${shortPath(config)}, and the files that it names.`,
      ...leftOut.map((name) => `Not in it: ${name}, which is no regular file.`),
      '',
    ].join('\n'),
  );
  return EXIT.done;
}

/** `restore FILE [--force]`: puts a backup into the data folder. */
export async function restoreFrom(globals: Globals & { force?: boolean }, file: string): Promise<number> {
  const config = await configHere(globals, 'restore');
  const { force = false, json } = globals;
  if (!statSync(file, { throwIfNoEntry: false })) {
    throw cliFault('BACKUP_BROKEN', { file, what: 'there is no such file' }, EXIT.usage);
  }
  const { manifest, replaced, revoked } = await restore(config, path.resolve(file), { force, log: openLog('error') });
  const { id, fingerprint, time, version } = manifest;
  if (json) {
    printJson({ dataDir: config.core.dataDir, id, fingerprint, time, version, replaced: replaced ?? null, revoked });
    return EXIT.done;
  }
  const option = globals.config === undefined ? '' : ` --config ${shortPath(config.file)}`;
  process.stdout.write(
    [
      `${shortPath(config.core.dataDir)}: ${id} as it was at ${momentOf(time)}, by centreond ${version}.`,
      `  key       ${fingerprint}`,
      ...(replaced === undefined
        ? []
        : [`  replaced  ${shortPath(replaced)}: what was there before; remove it when all is well`]),
      ...revoked.map((key) => `  revoked   ${key}, since then: it stays so`),
      'Keys that were accepted or revoked after that time and are not listed here have to be again: `centreond keys list` shows them.',
      'Next:',
      `  ${ownName()} start${option}`,
      '',
    ].join('\n'),
  );
  return EXIT.done;
}

/** The config of the daemon on this machine, whose files are read or written here. */
function configHere(globals: Globals, verb: string) {
  if (globals.connect)
    throw misuse(`${verb} works on the data folder of this machine: run it there, without --connect.`);
  return configOf(globals);
}

function momentOf(time: string): string {
  return `${time.slice(0, 19)}Z`;
}
