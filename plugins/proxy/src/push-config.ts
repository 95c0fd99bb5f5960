import { NODE_FIELDS, NodeId } from '@centreond/carrying';
import { z } from 'zod';

const ELSEWHERE =
  'a machine behind SSH is a node of the plugin ssh (@centreond/plugin-ssh), under its nodes or by ADDSSHNODE';

/** A node with a daemon of its own, to whose external door this router connects. */
export const PushConfig = z.strictObject({
  ...NODE_FIELDS,
  type: z
    .literal('push', `must be push; ${ELSEWHERE}`)
    .describe(`a daemon to which this router connects, and which has this router with the role router; ${ELSEWHERE}`),
  address: z
    .string()
    .regex(/^tcp:\/\/(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]{1,253}):[0-9]{1,5}$/, 'must be tcp://host:port')
    .describe("the node's external door, tcp://host:port"),
  fingerprint: z
    .string()
    .regex(/^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/, 'must be the 43 characters that `centreond keys show` prints there')
    .describe("the node's key, as `centreond keys show` prints it there"),
  subnodes: z
    .array(NodeId)
    .max(10_000)
    .default([])
    .describe('the nodes that may be reached over this one; what else it announces is ignored'),
});
export type PushConfig = z.output<typeof PushConfig>;
