import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { isIdentity, reasonOf } from '@centreond/protocol';
import { z } from 'zod';
import { SCHEMA_VERSION } from '../store/sqlite/schema.ts';

/** The version of the form below. */
export const FORMAT = 1;
/** The first entry of a backup. */
export const MANIFEST = 'manifest.json';
/** The folder of a backup that holds the files of the data folder. */
export const CONTENT = 'data';

/** Below the content: names that stay there wherever they are unpacked. */
const InnerPath = z
  .string()
  .max(4096)
  .refine(
    (name) => !path.isAbsolute(name) && name !== '..' && path.normalize(name) === name && !name.startsWith('../'),
  );

const Manifest = z.object({
  format: z.literal(FORMAT),
  /** Of the centreond that made it. */
  version: z.string(),
  /** Of the store's tables. */
  schema: z.int().min(1).max(SCHEMA_VERSION),
  /** The router's id and the fingerprint of its key. */
  id: z.string().refine(isIdentity),
  fingerprint: z.string(),
  /** When it was begun, ISO 8601. */
  time: z.iso.datetime(),
  files: z.array(z.object({ path: InnerPath, bytes: z.int().min(0), sha256: z.string() })),
});

/** What a backup says of itself. */
export type Manifest = z.output<typeof Manifest>;

/** What is read of one that this centreond does not know. */
const Newer = z.object({ format: z.int(), version: z.string(), schema: z.int() });

/** The manifest in the folder of an unpacked backup; `newer` names the version that made one which is not known here; else what is wrong. */
export function readManifest(folder: string): Manifest | { newer: string } | { broken: string } {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path.join(folder, MANIFEST), 'utf8'));
  } catch (error) {
    return { broken: `its ${MANIFEST} cannot be read (${reasonOf(error)})` };
  }
  const { data: newer } = Newer.safeParse(value);
  if (newer && (newer.format > FORMAT || newer.schema > SCHEMA_VERSION)) return { newer: newer.version };
  const { data, error } = Manifest.safeParse(value);
  return data ?? { broken: `its ${MANIFEST} is not one of centreond (${z.prettifyError(error)})` };
}

/** The SHA-256 of a file, in hexadecimal digits. */
export async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
