/** A request as it was accepted: what a restart needs to settle it and a repeat is compared with. */
export interface RequestRecord {
  token: string;
  /** The identity that owns the token. */
  owner: string;
  action: string;
  target: string;
  /** JSON text of DATA without `$`. */
  data: string;
  /** JSON text of `$` as far as it is kept, `''` for none. */
  envelope: string;
  /** Whole seconds. */
  etime: number;
  /** Of an open one: a router of the cluster was sent it, or took it, to run it. */
  hasStarted?: true;
}
