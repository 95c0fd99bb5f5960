import { z } from 'zod';

/** What the two ends of a transfer say to each other. Each is asked of the node and answered in the ACK. */

/** The most entries of one message. */
export const ENTRIES_LIMIT = 1000;
/** Bytes of files in one FILESCHUNK: as a string below 128 KiB, beyond which V8 gives each pages of its own. */
export const CHUNK_BYTES = 88 * 1024;
const CHUNK_BYTES_LIMIT = 512 * 1024;

const Transfer = z
  .string()
  .regex(/^[A-Za-z0-9._:-]{1,255}$/, 'must be a token')
  .describe('the token of SENDFILES');
const Path = z.string().min(1).max(4096).describe('the destination: below a folder that receive names');
const Sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits');
const Size = z.int().min(0);
const Mode = z.int().min(0).max(0o777);

const Refused = z.strictObject({ error: z.string(), message: z.string() });

/** An entry of the manifest. `version` names the state that the source is in: what was staged of another is not used. */
export const Entry = z.strictObject({
  path: Path,
  kind: z.enum(['file', 'directory']),
  size: Size,
  mode: Mode,
  version: z.string().min(1).max(64),
});
export const Open = z.strictObject({ transfer: Transfer, files: z.array(Entry).min(1).max(ENTRIES_LIMIT) });
/** For each entry how much of it is staged, and whether it has arrived already. */
export const Opened = z.strictObject({
  files: z.array(z.union([z.strictObject({ offset: Size, done: z.boolean() }), Refused])),
});

export const Chunk = z.strictObject({
  path: Path,
  offset: Size,
  sha256: Sha256.describe('of the bytes of this chunk'),
  data: z
    .string()
    .max(Math.ceil(CHUNK_BYTES_LIMIT / 3) * 4)
    .describe('the bytes in base64'),
});
export const Chunks = z.strictObject({ transfer: Transfer, chunks: z.array(Chunk).min(1).max(ENTRIES_LIMIT) });
/** For each chunk how much of its file is staged now. */
export const Taken = z.strictObject({ files: z.array(z.union([z.strictObject({ offset: Size }), Refused])) });

export const Close = z.strictObject({
  transfer: Transfer,
  files: z
    .array(
      z.strictObject({
        path: Path,
        sha256: z.union([Sha256, z.literal('')]).describe('of the whole file; empty for a directory'),
      }),
    )
    .max(ENTRIES_LIMIT),
  last: z.boolean().optional().describe('nothing more comes: what is still staged is removed'),
});
/** For each entry whether it is in place; false while it is being verified: ask again. */
export const Closed = z.strictObject({ files: z.array(z.union([z.strictObject({ done: z.boolean() }), Refused])) });

export type Entry = z.output<typeof Entry>;
export type Chunk = z.output<typeof Chunk>;
export type Refusal = z.output<typeof Refused>;
