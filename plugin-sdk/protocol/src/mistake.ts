declare const MISTAKE: unique symbol;

/**
 * A type that nothing has. Where a declaration does not hold, the compiler asks for it, and so prints its sentence.
 * It exists for types only.
 */
export interface Mistake<Sentence extends string> {
  readonly [MISTAKE]: Sentence;
}
