/** Status codes of rows and replies (PROTOCOL.md, sections 3 and 4). Imports nothing. */

/** Accepted, or progress of the core's own. */
export const ACCEPTED = 0;
/** Failed: terminal, `data` is `{error, message, …}`. */
export const FAILED = 1;
/** Finished: terminal, `data` is the action's output. */
export const FINISHED = 2;
/** The daemon started. */
export const STARTED = 3;
/** The lowest code that a plugin may declare for its own progress. */
export const FIRST_PLUGIN_CODE = 10;

/** Whether a row of this code ends its token. */
export function isTerminal(code: number): boolean {
  return code === FAILED || code === FINISHED;
}
