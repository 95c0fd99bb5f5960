// The mutants that no test can or has to kill, with the reason. Named as the command prints them.
export interface Reason {
  readonly because: string;
  readonly mutants: readonly string[];
}

export const ACCEPTED: Readonly<Record<string, readonly Reason[]>> = {};
