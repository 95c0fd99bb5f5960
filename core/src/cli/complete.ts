import { readdirSync } from 'node:fs';
import path from 'node:path';
import type { Client } from '@centreond/client';
import type { Field } from '@centreond/plugin-runtime/describe';
import type { Manifest } from '@centreond/plugin-sdk/internal';
import type { Command, Option } from 'commander';
import { EXIT, type Globals } from './exit.ts';
import { Line } from './line.ts';

/** A word that may stand on the line, and what it is. */
export interface Candidate {
  readonly word: string;
  readonly about?: string;
}

/** How long the router is waited for: somebody looks at the line. */
const LIMIT_MS = 1500;
/** Tokens that are offered, the newest first. */
const TOKENS = 50;

/**
 * `centreond complete -- WORDS…`, which the scripts of {@link completionScript} call: prints what may stand in place of the last
 * word, a line each, its description behind a tab. Says nothing where it cannot tell, and never fails.
 */
export async function complete(program: Command, words: readonly string[]): Promise<void> {
  const candidates = await candidatesFor(program, words).catch(() => []);
  const text = ({ word, about }: Candidate) => `${word}${about ? `\t${about.replaceAll(/\s+/g, ' ')}` : ''}\n`;
  process.stdout.write(candidates.map(text).join(''), () => {
    // What the router says too late is not waited for.
    process.exit(EXIT.done);
  });
}

/** What may stand in place of the last of `words`, which may be empty. Rejects where that cannot be told. */
export async function candidatesFor(program: Command, words: readonly string[]): Promise<Candidate[]> {
  const line = new Line(program, words);
  const [start, all] = await offered(line);
  return all.filter(({ word }) => word.startsWith(start) && word !== '');
}

/** The words for the place where the line ends, and what of them is written already. */
async function offered(line: Line): Promise<[string, Candidate[]]> {
  const { command, partial, option, operands } = line;
  const inline = /^(--[a-z-]+=)(.*)$/.exec(partial);
  const inlined = inline?.[1] === undefined ? undefined : line.optionNamed(inline[1].slice(0, -1));
  if (inlined) {
    const values = await valuesOf(inlined.attributeName(), line, inline?.[2] ?? '');
    return [partial, values.map((one) => ({ ...one, word: `${inline?.[1]}${one.word}` }))];
  }
  if (option) {
    // A list of nodes: what stands before the last comma is written.
    const head = option.long === '--target' ? /^(.*,)?/.exec(partial)?.[1] : undefined;
    const values = await valuesOf(option.attributeName(), line, partial);
    return [partial, values.map((one) => ({ ...one, word: `${head ?? ''}${one.word}` }))];
  }
  if (partial.startsWith('-')) return [partial, line.options().map(optionText)];
  // `nodes` takes an id, or a verb of its own.
  const verbs = operands.length > 0 ? [] : command.commands;
  const offers = verbs.map((one) => ({ word: one.name(), about: one.description() }));
  const named = command.registeredArguments;
  const last = named.at(-1);
  const argument = named[operands.length] ?? (last?.variadic ? last : undefined);
  if (argument === undefined) return [partial, offers];
  const values = await valuesOf(argument.name(), line, partial).catch((error: unknown) => {
    if (offers.length === 0) throw error;
    return [];
  });
  return [partial, [...values, ...offers]];
}

/** The values of an option or an argument, by its name. */
async function valuesOf(name: string, line: Line, partial: string): Promise<Candidate[]> {
  switch (name) {
    case 'config':
    case 'key':
    case 'file':
    case 'dir':
      return line.command.name() === 'revoke' ? [] : filesAt(partial);
    case 'package':
      return /^[./]/.test(partial) ? filesAt(partial) : [];
    case 'action':
      return (await manifestsOf(await line.globals())).flatMap(({ actions }) =>
        actions.map((one) => ({ word: one.name, about: one.title })),
      );
    case 'type':
      return (await manifestsOf(await line.globals())).map(({ type, title }) => ({ word: type, about: title }));
    case 'data':
      return partial.startsWith('@')
        ? filesAt(partial.slice(1)).map(({ word }) => ({ word: `@${word}` }))
        : keysOf(line.operands, partial, await line.globals());
    case 'id':
      if (line.command.parent?.name() === 'routers') return goneRoutersOf(await line.globals());
      return [line.command, line.command.parent].some((one) => one?.name() === 'nodes')
        ? nodesOf(await line.globals())
        : [];
    case 'old':
    case 'node':
      return nodesOf(await line.globals());
    case 'target':
      return [...(await nodesOf(await line.globals())), { word: 'all', about: 'every node' }];
    case 'token':
    case 'tokens':
      return tokensOf(await line.globals(), line.command.name() === 'cancel');
    case 'context':
      return contextsOf();
    case 'name':
      return line.command.parent?.name() === 'context' && line.command.name() !== 'add' ? contextsOf() : [];
    case 'role':
      return ['client', 'node', 'router', 'admin'].map((word) => ({ word }));
    case 'to':
      return [{ word: 'postgres' }];
    case 'shell':
      return ['bash', 'zsh', 'fish'].map((word) => ({ word }));
    default:
      return [];
  }
}

function optionText({ long, short, description }: Option): Candidate {
  return { word: long ?? short ?? '', about: description };
}

/** The files of the folder that `partial` is in; folders end in a slash. */
function filesAt(partial: string): Candidate[] {
  const folder = partial.slice(0, partial.lastIndexOf('/') + 1);
  return readdirSync(path.resolve(folder || '.'), { withFileTypes: true })
    .filter(({ name }) => !name.startsWith('.') || partial.slice(folder.length).startsWith('.'))
    .map((entry) => ({ word: `${folder}${entry.name}${entry.isDirectory() ? '/' : ''}` }))
    .sort((a, b) => (a.word < b.word ? -1 : 1));
}

/** What the actions of the core and of the config's plugins declare, without asking anybody. */
async function manifestsOf(globals: Globals): Promise<Manifest[]> {
  const [{ coreManifest }, { loadConfig }, { findPackages }] = await Promise.all([
    import('../core-actions.ts'),
    import('../config/config.ts'),
    import('../config/discovery.ts'),
  ]);
  const { scope } = await loadConfig({ file: globals.config, cwd: process.cwd() });
  if (!scope) return [coreManifest];
  const coreActions = coreManifest.actions.map(({ name }) => name);
  return [coreManifest, ...findPackages(scope, coreActions).found.map(({ manifest }) => manifest)];
}

/** The keys of the input of the action that stands first, `key=`, or the values that the key at the end may have. */
async function keysOf([action, ...given]: readonly string[], partial: string, globals: Globals): Promise<Candidate[]> {
  const declared = (await manifestsOf(globals)).flatMap(({ actions }) => actions).find(({ name }) => name === action);
  if (!declared) return [];
  const { fieldsOf } = await import('@centreond/plugin-runtime/describe');
  const fields = fieldsOf(declared.input).filter(({ path }) => /^[^.[*]+$/.test(path));
  const at = partial.indexOf('=');
  if (at >= 0) {
    const key = partial.slice(0, at);
    return fields.filter(({ path }) => path === key).flatMap(valuesIn);
  }
  const written = new Set(given.map((word) => word.split('=')[0]));
  return fields
    .filter(({ path }) => !written.has(path))
    .map(({ path, description }) => ({ word: `${path}=`, about: description }));
}

/** The values that a field names, behind its key. */
function valuesIn({ path, type }: Field): Candidate[] {
  const values = type
    .split(' or ')
    .flatMap((one) => (one === 'boolean' ? ['true', 'false'] : (/^"(.*)"$|^'(.*)'$/.exec(one)?.slice(1) ?? [])));
  return values.filter((value) => value !== undefined).map((value) => ({ word: `${path}=${value}` }));
}

async function nodesOf(globals: Globals): Promise<Candidate[]> {
  const { fleetOf } = await import('./fleet.ts');
  const { nodes } = await asked(globals, fleetOf);
  return nodes.flatMap(({ id, name, state, subnodes }) => [
    { word: id, about: name === '' ? state : `${name}, ${state}` },
    ...subnodes.map((word) => ({ word, about: `behind ${id}` })),
  ]);
}

/** The routers of the cluster that are not up. */
async function goneRoutersOf(globals: Globals): Promise<Candidate[]> {
  const { routersOf } = await import('./routers.ts');
  const { routers } = await asked(globals, routersOf);
  return routers.filter(({ state }) => state !== 'up').map(({ id, state }) => ({ word: id, about: state }));
}

async function tokensOf(globals: Globals, areOpen: boolean): Promise<Candidate[]> {
  const { requestsOf } = await import('./requests.ts');
  const filter = areOpen ? { state: 'open' } : {};
  const { requests } = await asked(globals, (client) => requestsOf(client, filter, TOKENS));
  return requests.map(({ token, action, owner }) => ({ word: token, about: `${action} of ${owner}` }));
}

async function contextsOf(): Promise<Candidate[]> {
  const { contexts } = (await import('./contexts.ts')).readContexts();
  return Object.entries(contexts).map(([word, { connect, config }]) => ({ word, about: connect ?? config ?? '' }));
}

/** What the router says, if it does so in time. */
async function asked<T>(globals: Globals, ask: (client: Client) => Promise<T>): Promise<T> {
  const { openClient } = await import('./connection.ts');
  const limit = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error('the router takes too long')), LIMIT_MS).unref();
  });
  const client = await Promise.race([openClient(globals), limit]);
  try {
    return await Promise.race([ask(client), limit]);
  } finally {
    await client.close();
  }
}
