/** Exit codes of every verb. */
export const EXIT = { done: 0, failed: 1, usage: 2, noDaemon: 3, timedOut: 4 } as const;

/** What every verb is told. */
export interface Globals {
  /** The file of --config, searched for when left out. */
  readonly config?: string;
  readonly json?: boolean;
  /** The context whose flags count where they are not given. */
  readonly context?: string;
  /** An external door instead of this machine's own daemon; of a cluster several, with commas between. */
  readonly connect?: string;
  readonly key?: string;
  readonly identity?: string;
  /** The fingerprint of each router of `connect`, in the same order. */
  readonly router?: string;
}
