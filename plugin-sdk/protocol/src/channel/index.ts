/** The encrypted channel of PROTOCOL.md section 5, both sides of it, without sockets. */

export type { Cipher } from './aead.ts';
export * from './handshake.ts';
export * from './join.ts';
export * from './keys.ts';
export * from './records.ts';
