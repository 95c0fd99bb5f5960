import { createRequire } from 'node:module';

/** The version of this package. */
export const VERSION = (createRequire(import.meta.url)('../package.json') as { version: string }).version;

/** The folder of the files that `init` and `create-plugin` begin with. */
export const TEMPLATES = new URL('../template/', import.meta.url);
