// What is used of @stryker-mutator/instrumenter, which is installed only where mutants are run.
declare module '@stryker-mutator/instrumenter' {
  export interface Position {
    readonly line: number;
    readonly column: number;
  }
  export interface InstrumentedMutant {
    readonly id: string;
    readonly mutatorName: string;
    readonly replacement: string;
    readonly location: { readonly start: Position; readonly end: Position };
    /** Why it is not run, if an ignorer said so. */
    readonly statusReason?: string;
    readonly status?: string;
  }
  /** A node of Babel's tree, with its parents. */
  export interface NodePath {
    readonly node: { readonly type: string; readonly [key: string]: unknown };
    readonly parentPath: NodePath | null;
  }
  export interface Ignorer {
    shouldIgnore(path: NodePath): string | undefined;
  }
  export class Instrumenter {
    constructor(logger: object);
    instrument(
      files: readonly { name: string; mutate: boolean; content: string }[],
      options: {
        plugins: null;
        excludedMutations: readonly string[];
        ignorers: readonly Ignorer[];
        noHeader: boolean;
      },
    ): Promise<{ files: { name: string; content: string }[]; mutants: InstrumentedMutant[] }>;
  }
}
