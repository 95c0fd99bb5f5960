import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { failure } from '@centreond/protocol';
import { type Access, API_VERSION, type Effects } from './contract.ts';
import { faultOfDeclaration } from './declaration-fault.ts';
import {
  type ActionDeclaration,
  declarationOf,
  type Instances,
  type ListenerDeclaration,
  type PluginClass,
  rowCodesOf,
} from './decorators.ts';
import { describe, type JsonSchema } from './schema.ts';

const SDK_VERSION = (createRequire(import.meta.url)('../package.json') as { version: string }).version;

/** The file beside package.json in which the build writes a plugin's manifest. */
export const MANIFEST_FILE = 'plugin.manifest.json';

/** An action as data: what routing, validation, the command line and the documentation come from. */
export interface ActionManifest {
  readonly name: string;
  readonly title: string;
  readonly description?: string;
  readonly method: string;
  readonly input: JsonSchema;
  readonly output: JsonSchema;
  readonly access: readonly Access[];
  readonly effects: Effects;
  readonly idempotent: boolean;
  readonly inFlight: 'fail' | 'requeue';
  readonly concurrency: number;
  readonly timeoutSeconds: number;
  readonly reply: 'row' | 'ack';
  /** It runs on the router that is asked, whatever node TARGET names. */
  readonly runs?: 'here';
  /** What the schemas demand and JSON Schema cannot say: only the plugin sees it. */
  readonly unexpressed: readonly string[];
}

/** A plugin as data. The core lists, validates and documents from it and runs no plugin code. */
export interface Manifest {
  readonly api: typeof API_VERSION;
  /** The version of this package that built it. */
  readonly sdk: string;
  readonly type: string;
  /** The type that the package declares, where the config loads it `as` another. No manifest file has it. */
  readonly declaredType?: string;
  readonly title: string;
  readonly actions: readonly ActionManifest[];
  /** Events that the plugin itself emits. */
  readonly emits: readonly { readonly name: string; readonly schema: JsonSchema }[];
  readonly listens: readonly ListenerDeclaration[];
  readonly codes: Readonly<Record<string, number>>;
  /** What rows of a code say, by the code's name; omitted where no code has a title. */
  readonly codeTitles?: Readonly<Record<string, string>>;
  readonly instances: Instances;
  readonly isolation: 'process' | 'core';
  /** It runs on one router of a cluster at a time; omitted where each runs it. */
  readonly placement?: 'one';
  readonly kill: { readonly graceSeconds: number } | null;
  readonly config: JsonSchema | null;
  readonly unexpressed: readonly string[];
  /** SHA-256 over all but `sdk`: what a child really declares must have the same. */
  readonly hash: string;
}

function describeAction({ name, method, options }: ActionDeclaration): ActionManifest {
  const input = describe(options.input, 'input');
  const output = describe(options.output, 'output');
  const access = options.access ?? 'client';
  return {
    name,
    title: options.title,
    ...(options.description === undefined ? {} : { description: options.description }),
    method,
    input: input.schema,
    output: output.schema,
    access: typeof access === 'string' ? [access] : access,
    effects: options.effects ?? 'destructive',
    idempotent: options.idempotent ?? false,
    inFlight: options.inFlight ?? 'fail',
    concurrency: options.concurrency ?? 100,
    timeoutSeconds: options.timeoutSeconds ?? 60,
    reply: options.reply ?? 'row',
    ...(options.runs === 'here' && { runs: options.runs }),
    unexpressed: [...input.unexpressed, ...output.unexpressed],
  };
}

/** The manifest of a decorated class. Deterministic. Throws INVALID_PLUGIN where the declaration does not hold. */
export function manifestOf(plugin: PluginClass): Manifest {
  const { options, actions, listens, kill } = declarationOf(plugin);
  const config = options.config ? describe(options.config, 'input', 'config') : undefined;
  const events = Object.entries(options.events ?? {}).map(([name, schema]) => ({
    name,
    ...describe(schema, 'output', `events.${name}`),
  }));
  const codes = rowCodesOf(options.codes);
  const titled = codes.flatMap(({ name, title }) => (title === undefined ? [] : [[name, title] as const]));
  const manifest = {
    api: API_VERSION,
    type: options.type,
    title: options.title,
    actions: actions.map(describeAction),
    listens,
    emits: events.map(({ name, schema }) => ({ name, schema })),
    codes: Object.fromEntries(codes.map(({ name, code }) => [name, code])),
    ...(titled.length > 0 && { codeTitles: Object.fromEntries(titled) }),
    instances: options.instances ?? { pool: 1 },
    isolation: options.isolation ?? 'process',
    // Omitted for `each`: what was built before there was a placement has the same hash.
    ...(options.placement !== undefined && options.placement !== 'each' && { placement: options.placement }),
    kill: kill ? { graceSeconds: kill.graceSeconds } : null,
    config: config?.schema ?? null,
    unexpressed: [...(config?.unexpressed ?? []), ...events.flatMap(({ unexpressed }) => unexpressed)],
  } as const;
  const reason = faultOfDeclaration(manifest, { listens, kill: kill?.method }, plugin.prototype);
  if (reason) throw failure('INVALID_PLUGIN', { plugin: plugin.name || options.type, reason });
  return { ...manifest, sdk: SDK_VERSION, hash: createHash('sha256').update(JSON.stringify(manifest)).digest('hex') };
}
