import { existsSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { isIdentity } from '@centreond/protocol';
import { isFingerprint } from '../config/schema.ts';
import { cliFault, misuse, routersIn } from './connection.ts';
import { CONTEXT_NAME, type Context, contextNamed, contextsFile, readContexts, writeContexts } from './contexts.ts';
import { EXIT, type Globals } from './exit.ts';
import { printJson, table } from './print.ts';

const NEEDED = 'context add takes --connect, --key, --identity and --router, or --config FILE, or both.';

/** `context add NAME`: keeps the flags that are given under a name. */
export async function addContext(options: Globals, name: string): Promise<number> {
  if (!CONTEXT_NAME.test(name)) throw misuse(`A context's name has 1 to 64 of A-Z a-z 0-9 . _ -, not ${name}.`);
  const context = contextOf(options);
  const kept = readContexts();
  const there = Object.hasOwn(kept.contexts, name) ? kept.contexts[name] : undefined;
  if (there && !isDeepStrictEqual(there, context)) throw cliFault('CONTEXT_EXISTS', { name });
  writeContexts({ ...kept, contexts: { ...kept.contexts, [name]: context } });
  if (options.json) printJson({ name, ...context });
  else
    process.stdout.write(
      `${name} is kept in ${contextsFile()}. centreond context use ${name} makes it the usual one.\n`,
    );
  return EXIT.done;
}

/** What the flags say, checked as far as that goes without asking anybody. */
function contextOf({ connect, key, identity, router, config }: Globals): Context {
  const remote = [connect, key, identity, router].filter((one) => one !== undefined);
  if ((remote.length !== 0 && remote.length !== 4) || (remote.length === 0 && config === undefined))
    throw misuse(NEEDED);
  if (identity !== undefined && !isIdentity(identity)) throw misuse(`--identity ${identity} is not an identity.`);
  if (connect !== undefined && router !== undefined) checkRouters(connect, router);
  for (const [flag, file] of [
    ['--key', key],
    ['--config', config],
  ] as const) {
    if (file !== undefined && !existsSync(file)) throw misuse(`${flag} ${file}: there is no such file.`);
  }
  return {
    ...(connect !== undefined && { connect }),
    ...(key !== undefined && { key: path.resolve(key) }),
    ...(identity !== undefined && { identity }),
    ...(router !== undefined && { router }),
    ...(config !== undefined && { config: path.resolve(config) }),
  };
}

function checkRouters(connect: string, router: string): void {
  for (const { address, fingerprint } of routersIn(connect, router)) {
    if (!/^tcp:\/\/.+:\d{1,5}$/.test(address)) throw misuse(`--connect ${address}: write tcp://host:port.`);
    if (!isFingerprint(fingerprint))
      throw misuse(
        `--router ${fingerprint}: write the 43 characters that \`centreond keys show\` prints on the router.`,
      );
  }
}

/** `context list`. */
export async function listContexts({ json }: Globals): Promise<number> {
  const { contexts, current } = readContexts();
  const names = Object.keys(contexts).sort();
  if (json) for (const name of names) printJson({ name, current: name === current, ...contexts[name] });
  else if (names.length === 0) process.stdout.write(`There are no contexts. ${NEEDED}\n`);
  else {
    const rows = names.map((name) => {
      const { connect, identity, config } = contexts[name] ?? {};
      return [name === current ? '*' : '', name, connect ?? 'this machine', identity ?? '-', config ?? '-'];
    });
    process.stdout.write(table([['', 'NAME', 'CONNECT', 'IDENTITY', 'CONFIG'], ...rows]));
  }
  return EXIT.done;
}

/** `context use [NAME]`: the context that counts where no flag says otherwise; none where no name is given. */
export async function useContext({ json }: Globals, name: string | undefined): Promise<number> {
  const { current: _, ...kept } = readContexts();
  if (name !== undefined) contextNamed({ ...kept }, name);
  writeContexts({ ...(name !== undefined && { current: name }), ...kept });
  if (json) printJson({ current: name ?? null });
  else if (name === undefined) process.stdout.write("No context is in use: verbs talk to this machine's daemon.\n");
  else process.stdout.write(`${name} is in use. centreond context use, without a name, ends that.\n`);
  return EXIT.done;
}

/** `context remove NAME`. */
export async function removeContext({ json }: Globals, name: string): Promise<number> {
  const { current, contexts } = readContexts();
  contextNamed({ contexts }, name);
  const { [name]: _, ...rest } = contexts;
  writeContexts({ ...(current !== undefined && current !== name && { current }), contexts: rest });
  if (json) printJson({ removed: name });
  else process.stdout.write(`${name} is removed. Its key stays where it is.\n`);
  return EXIT.done;
}
