/** Calls, follows and pages of history over any {@link Wire}: what clients and plugins share. For the plugin runtime. */
export { Exchange, type ExchangeOptions, type Wire } from './exchange.ts';
export type { Follower } from './follower.ts';
export { rowOf } from './history-rows.ts';
export { type RequestOptions, requestOf } from './request-options.ts';
