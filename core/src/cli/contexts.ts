import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { reasonOf } from '@centreond/protocol';
import { z } from 'zod';
import { writePrivateFile } from '../private-file.ts';
import { near } from '../words.ts';
import { cliFault } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';

export const CONTEXT_NAME = /^[A-Za-z0-9._-]{1,64}$/;
const word = z.string().min(1);
const Context = z.strictObject({
  connect: word.exactOptional(),
  key: word.exactOptional(),
  identity: word.exactOptional(),
  router: word.exactOptional(),
  config: word.exactOptional(),
});
const Kept = z.strictObject({
  current: z.string().exactOptional(),
  contexts: z.record(z.string().regex(CONTEXT_NAME), Context),
});

/** What a verb is to talk to: the four flags of an external door, or of several of a cluster, or a config file. Paths are absolute. */
export type Context = z.output<typeof Context>;

/** The contexts of this user, and the name of the one that counts where no flag says otherwise. */
export type Contexts = z.output<typeof Kept>;

export function contextsFile(environment: NodeJS.ProcessEnv = process.env): string {
  const { XDG_CONFIG_HOME } = environment;
  // The standard has a relative one ignored.
  const folder = XDG_CONFIG_HOME?.startsWith('/') ? XDG_CONFIG_HOME : path.join(homedir(), '.config');
  return path.join(folder, 'centreond', 'contexts.json');
}

/** Reads the file; none are there where it is not. Throws CONTEXTS_UNREADABLE. */
export function readContexts(file: string = contextsFile()): Contexts {
  try {
    return Kept.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || isBehindAnother(file)) return { contexts: {} };
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : reasonOf(error);
    throw cliFault('CONTEXTS_UNREADABLE', { path: file, reason });
  }
}

/** Whether the file is in a folder that is closed to this user: HOME is another's, as `setpriv` and `su` leave it. */
function isBehindAnother(file: string): boolean {
  try {
    statSync(file);
    return false;
  } catch (error) {
    return codeOf(error) === 'EACCES';
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** Writes the file for this user alone. */
export function writeContexts(contexts: Contexts, file: string = contextsFile()): void {
  writePrivateFile(file, `${JSON.stringify(contexts, undefined, 2)}\n`, true);
}

/** The context `name`. Throws UNKNOWN_CONTEXT. */
export function contextNamed({ contexts }: Contexts, name: string): Context {
  const context = Object.hasOwn(contexts, name) ? contexts[name] : undefined;
  if (context) return context;
  const there = Object.keys(contexts).sort();
  throw cliFault('UNKNOWN_CONTEXT', { name, near: near(name, there), there }, EXIT.usage);
}

/**
 * What a verb is told, with what the context of --context says, else the one in use, which --config and --connect put out of use. Flags
 * win. Without `orUsed` the one in use does not count. Throws UNKNOWN_CONTEXT or CONTEXTS_UNREADABLE.
 */
export function inContext<G extends Globals>(globals: G, orUsed: boolean): G {
  const { context: named, config, connect } = globals;
  if (named === undefined && (!orUsed || config !== undefined || connect !== undefined)) return globals;
  const kept = readContexts();
  const name = named ?? kept.current;
  return name === undefined ? globals : { ...contextNamed(kept, name), ...globals };
}
