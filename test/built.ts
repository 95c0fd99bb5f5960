/** What the build wrote: tests import it as a daemon does, by node itself and once for all files of a worker. */
export const BUILT = /\/(dist|bundle)\/[^?]*\.js$/;
