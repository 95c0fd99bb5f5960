export * from './catalogue.ts';
export * from './contract.ts';
export { LONGEST_GRACE_SECONDS, RESERVED_ACTIONS, RESERVED_TYPES } from './declaration-fault.ts';
export * from './decorators.ts';
export * from './errors.ts';
export * from './frame.ts';
export type { Greeting } from './greeting.ts';
export { CONFIG, INSTANCE, inject, LOGGER, type PluginToken, STATE, TOKEN_STORE, TRANSPORT } from './injection.ts';
export { type KeyOrFault, keyAt } from './key-path.ts';
export { lineLogger } from './logger.ts';
export {
  type ActionManifest,
  MANIFEST_FILE,
  type Manifest,
  manifestOf,
} from './manifest.ts';
export type { Mistake } from './mistake.ts';
export { actionAs, longNameOf, manifestAs, TYPE_PATTERN } from './naming.ts';
export type { RowBound } from './row-window.ts';
export { LINK_VERBS } from './runtime.ts';
export type { InputOf, JsonSchema, OutputOf, Schema } from './schema.ts';
export * from './status.ts';
export { newToken } from './token.ts';
