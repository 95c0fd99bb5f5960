import { randomBytes } from 'node:crypto';
import { readMeta } from './schema.ts';
import type { Session } from './session.ts';

const BYTES = 32;

/** What all routers of a cluster know, and nobody who cannot read the database: made by the first that asks. */
export async function clusterSecret(session: Session, cluster: string): Promise<string> {
  const key = `secret ${cluster}`;
  const made = randomBytes(BYTES).toString('base64url');
  await session.rows('INSERT INTO centreond_meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING', [
    key,
    made,
  ]);
  // Another router may have been first.
  const secret = await readMeta(session, key);
  if (secret === '') throw new Error(`the database does not keep the secret of the cluster ${cluster}`);
  return secret;
}
