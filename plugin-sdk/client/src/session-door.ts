/** Sessions with a router, kept up. For the links of the plugin runtime. */
export type { Timing } from './connection.ts';
export { RouterClient } from './router-client.ts';
