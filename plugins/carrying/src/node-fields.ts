import type { JsonObject } from '@centreond/plugin-sdk';
import { LABEL } from '@centreond/plugin-sdk/nodes';
import { z } from 'zod';

/** An id of a node. */
export const NodeId = z
  .string()
  .regex(/^(?!\.\.?$)[A-Za-z0-9._-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 . _ -, and neither . nor ..');

/** The settings that every kind of node has. */
export type NodeSettings = JsonObject & {
  readonly id: string;
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly score?: number;
};

/** The schemas of {@link NodeSettings}, to spread into the object schema of a kind. */
export const NODE_FIELDS = {
  id: NodeId.describe('what TARGET names'),
  name: z.string().max(255).exactOptional().describe('what people call it'),
  labels: z
    .record(
      z.string().regex(LABEL.key, 'must be a small letter and up to 62 of a-z 0-9 _ . -'),
      z.string().max(LABEL.characters, `must have at most ${LABEL.characters} characters`),
    )
    .refine((labels) => Object.keys(labels).length <= LABEL.most, `must be at most ${LABEL.most} labels`)
    .exactOptional()
    .describe('what it is chosen by, such as site: paris; where its own config has labels too, these win'),
  score: z
    .number()
    .min(0)
    .max(1e9)
    .exactOptional()
    .describe('what the way to it costs; 1 if omitted. Of several ways to a node the cheapest is taken'),
};
