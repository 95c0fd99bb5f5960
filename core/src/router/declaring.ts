import type { ActionContext } from '@centreond/plugin-sdk';
import { z } from 'zod';
import type { Envelope } from './envelope.ts';
import type { Peer } from './peer.ts';

/** What the core's own actions that answer in the ACK are told besides: who asks, and over which routers. */
export interface AskContext extends ActionContext {
  readonly caller: Peer;
  readonly envelope: Envelope;
}

/** Clients and nodes, and so every role. */
export const EVERYBODY = ['client', 'node'] as const;
export const NOTHING = z.strictObject({});
/** A token that names something: not the empty one. */
export const TOKEN = z.string().regex(/^[A-Za-z0-9._:-]{1,255}$/);
export const NODE_ID = z.string().regex(/^(?!\.\.?$)[A-Za-z0-9._-]{1,64}$/);
/** A plugin's type. */
export const TYPE = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/);

/** Declares an action that only reads: it is answered in the ACK and writes no row. */
export const READ = { output: z.unknown(), effects: 'read', idempotent: true, reply: 'ack' } as const;
/** Declares an action that changes something and may be repeated: it is answered in the ACK and writes no row of its own. */
export const CHANGE = { output: z.unknown(), effects: 'write', idempotent: true, reply: 'ack' } as const;
