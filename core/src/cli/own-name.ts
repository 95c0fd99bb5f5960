import { accessSync, constants } from 'node:fs';
import path from 'node:path';

/**
 * What to type to call this command line again: `centreond` where it is installed for the machine, else `npx centreond`. What npm adds
 * to PATH is not there in the user's shell.
 */
export function ownName(env: NodeJS.ProcessEnv = process.env): string {
  if (env.npm_command === 'exec') return 'npx centreond';
  const folders = (env.PATH ?? '').split(path.delimiter).filter((folder) => !/node_modules[\\/]\.bin\/?$/.test(folder));
  return folders.some((folder) => path.isAbsolute(folder) && isProgram(path.join(folder, 'centreond')))
    ? 'centreond'
    : 'npx centreond';
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
