/** What a plugin imports. The list is short on purpose: `test/plugin-sdk/exports.test.ts` holds it. */
export {
  type Ack,
  CallRefusal,
  CentreondError,
  failure,
  type HistoryFilter,
  type HistoryRow,
  isCentreondError,
  isRetryable,
  type Json,
  type JsonObject,
  newToken,
  type Outcome,
  reasonOf,
} from '@centreond/protocol';
// Not by name: the file of `centreond-plugin types` adds to these through this module.
export * from '@centreond/protocol/names';
export type {
  ActionContext,
  CallOptions,
  CodesOf,
  Instance,
  KillRequest,
  Logger,
  NewRow,
  RowCode,
  State,
  TokenStore,
  Transport,
} from './contract.ts';
export { Action, Kill, On, Plugin, type PluginClass } from './decorators.ts';
export { CONFIG, INSTANCE, inject, LOGGER, STATE, TOKEN_STORE, TRANSPORT } from './injection.ts';
export type { Schema } from './schema.ts';
