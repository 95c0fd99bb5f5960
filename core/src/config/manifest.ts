import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { LONGEST_GRACE_SECONDS, RESERVED_ACTIONS, RESERVED_TYPES, TYPE_PATTERN } from '@centreond/plugin-sdk/internal';
import { isAction, reasonOf } from '@centreond/protocol';
import { z } from 'zod';
import { formatPath } from './source.ts';

/** The version of the plugin API that this core speaks. */
export const API_VERSION = 1;

/** Where a plugin's manifest lies in its folder. */
export const MANIFEST_FILE = 'plugin.manifest.json';

const JsonSchema = z.record(z.string(), z.unknown());
const text = z.string().min(1);

const ManifestAction = z
  .object({
    name: z
      .string()
      .refine(isAction, 'is no action name')
      .refine((name) => !RESERVED_ACTIONS.has(name), 'is a verb of the protocol'),
    title: text,
    description: z.string().exactOptional(),
    method: text,
    input: JsonSchema,
    output: JsonSchema,
    access: z.array(z.enum(['client', 'node', 'router', 'admin', 'internal'])).min(1),
    effects: z.enum(['read', 'write', 'destructive']),
    idempotent: z.boolean(),
    inFlight: z.enum(['fail', 'requeue']),
    concurrency: z.int().min(1),
    timeoutSeconds: z.number().positive(),
    reply: z.enum(['row', 'ack']),
    runs: z.literal('here').exactOptional(),
    unexpressed: z.array(z.string()),
  })
  .refine(
    ({ inFlight, idempotent }) => inFlight === 'fail' || idempotent,
    'is to run again after a crash (inFlight requeue) without being idempotent',
  );

/** What a manifest has to hold. It comes from outside, so nothing of it is taken on trust. */
const ManifestShape = z
  .object({
    api: z.literal(API_VERSION),
    sdk: text,
    type: z
      .string()
      .regex(TYPE_PATTERN, 'is no plugin type')
      .refine((type) => !RESERVED_TYPES.has(type), 'is a reserved type'),
    title: text,
    actions: z.array(ManifestAction),
    emits: z.array(z.object({ name: text, schema: JsonSchema })),
    listens: z.array(z.object({ event: text, method: text, in: z.literal('one').exactOptional() })),
    codes: z
      .record(z.string(), z.int().min(10))
      .refine((codes) => new Set(Object.values(codes)).size === Object.keys(codes).length, 'says one code twice'),
    codeTitles: z.record(z.string(), text.max(100)).exactOptional(),
    instances: z.union([
      z.strictObject({ pool: z.int().min(1) }),
      z.strictObject({
        key: text,
        start: z.enum(['eager', 'on-demand']),
        idleSeconds: z.number().min(0).exactOptional(),
        max: z.int().min(1).exactOptional(),
      }),
    ]),
    isolation: z.enum(['process', 'core']),
    placement: z.literal('one').exactOptional(),
    kill: z.object({ graceSeconds: z.number().min(0).max(LONGEST_GRACE_SECONDS) }).nullable(),
    config: JsonSchema.nullable(),
    unexpressed: z.array(z.string()),
    hash: text,
  })
  .refine(
    ({ isolation, placement }) => isolation === 'process' || placement === undefined,
    'is to run on one router at a time (placement one) without a process that can be ended (isolation core)',
  );

/** What a plugin declares, as its build wrote it down; with `declaredType`, under the type that the config gives it. */
export type Manifest = z.output<typeof ManifestShape> & { readonly declaredType?: string };

/** A manifest, or why it is none; `api` is told where it is another than this core's. */
export type ReadManifest = { manifest: Manifest } | { reason: string } | { api: string; sdk: string };

/** Reads a manifest. Never throws. */
export function readManifest(file: string): ReadManifest {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    return { reason: reasonOf(error) };
  }
  const { data: stated } = z.looseObject({ api: z.json() }).safeParse(json);
  if (!stated) return { reason: 'it states no API version' };
  if (stated.api !== API_VERSION)
    return { api: JSON.stringify(stated.api), sdk: typeof stated.sdk === 'string' ? stated.sdk : 'unknown' };
  const { data: manifest, error } = ManifestShape.safeParse(json);
  if (!manifest) return { reason: reasonOfIssues(error.issues) };
  const { hash, sdk: _, ...declared } = stated;
  // A child answers for the hash alone, so an edit that leaves it as it was would go unnoticed.
  if (createHash('sha256').update(JSON.stringify(declared)).digest('hex') !== hash)
    return { reason: 'it was changed after the build: its hash does not fit' };
  const names = manifest.actions.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  return twice === undefined ? { manifest } : { reason: `it declares the action ${twice} twice` };
}

function reasonOfIssues(issues: readonly z.core.$ZodIssue[]): string {
  const texts = issues
    .slice(0, 3)
    .map(({ path, message }) => `${formatPath(path.filter((part) => typeof part !== 'symbol'))} ${message}`);
  return texts.join('; ');
}
