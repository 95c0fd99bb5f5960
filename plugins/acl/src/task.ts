/** What the thread is asked to do. */
export interface Task {
  readonly kind: 'resync' | 'purge';
  readonly organizationId: number;
  /** The one resource to resync; all of the organisation when left out. */
  readonly aclResourceId?: number;
}

/** What it came to. */
export interface Counts {
  /** Resources of the organisation that were computed. */
  resources: number;
  /** Grants that they have now. */
  pairs: number;
  removed: number;
  added: number;
  /** Whether the organisation is active; an inactive one has no grants. */
  active: boolean;
}

export const UNKNOWN_ORGANIZATION = 'UNKNOWN_ORGANIZATION';

/** To the thread. `flag` becomes 1 when the task is no longer wanted. */
export interface Order {
  readonly id: number;
  readonly task: Task;
  readonly flag: SharedArrayBuffer;
}

/** From the thread: exactly one with `counts` or `fault` for each order, warnings before it. */
export type Report = { readonly id: number } & (
  | { readonly counts: Counts }
  | { readonly fault: { readonly code: string; readonly reason: string } }
  | { readonly warning: string }
);

/** What the thread starts with. */
export interface ThreadSettings {
  readonly file: string;
  /** How long it waits for others to let go of the database. */
  readonly busyMs: number;
}
