/** What plugins that are doors of their own need besides the SDK itself. */
export type { Caller, CallerSession } from './contract.ts';
