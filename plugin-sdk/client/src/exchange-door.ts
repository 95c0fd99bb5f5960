/** Calls, follows and pages of history over any {@link Wire}: what clients and plugins share. For the plugin runtime. */
export { Exchange, type Wire } from './exchange.ts';
