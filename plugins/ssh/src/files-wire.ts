import { z } from 'zod';

/** What a transfer of files says to the node that it goes to: the shapes are the plugin files'. */

const ENTRIES_LIMIT = 1000;
const CHUNK_BYTES_LIMIT = 512 * 1024;

const Transfer = z.string().regex(/^[A-Za-z0-9._:-]{1,255}$/, 'must be a token');
const Path = z.string().min(1).max(4096);
const Sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits');
const Size = z.int().min(0);

/** An entry of the manifest. `version` names the state that the source is in: what was staged of another is not used. */
export const Entry = z.strictObject({
  path: Path,
  kind: z.enum(['file', 'directory']),
  size: Size,
  mode: z.int().min(0).max(0o777),
  version: z.string().min(1).max(64),
});
export type Entry = z.output<typeof Entry>;

export const Open = z.strictObject({ transfer: Transfer, files: z.array(Entry).min(1).max(ENTRIES_LIMIT) });

export const Chunk = z.strictObject({
  path: Path,
  offset: Size,
  sha256: Sha256,
  data: z.string().max(Math.ceil(CHUNK_BYTES_LIMIT / 3) * 4),
});
export type Chunk = z.output<typeof Chunk>;

export const Chunks = z.strictObject({ transfer: Transfer, chunks: z.array(Chunk).min(1).max(ENTRIES_LIMIT) });

export const Close = z.strictObject({
  transfer: Transfer,
  files: z.array(z.strictObject({ path: Path, sha256: z.union([Sha256, z.literal('')]) })).max(ENTRIES_LIMIT),
  last: z.boolean().optional(),
});

/** What became of one entry that was refused. */
export type Refusal = { error: string; message: string };
