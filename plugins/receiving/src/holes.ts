/** What file systems allocate at once. */
const BLOCK_BYTES = 4096;
const ZEROS = Buffer.alloc(BLOCK_BYTES);

/**
 * The parts of `bytes`, which go to `at` of a file, that are not blocks of zeros: where each begins and ends in `bytes`, in
 * order. The rest need not be written to a file that has nothing there.
 */
export function* partsWithData(bytes: Buffer, at: number): Generator<{ from: number; to: number }> {
  let from = -1;
  for (let begin = 0; begin < bytes.length; ) {
    const end = Math.min(bytes.length, begin + BLOCK_BYTES - ((at + begin) % BLOCK_BYTES));
    const zeros = bytes.subarray(begin, end).equals(ZEROS.subarray(0, end - begin));
    if (!zeros && from < 0) from = begin;
    if (zeros && from >= 0) {
      yield { from, to: begin };
      from = -1;
    }
    begin = end;
  }
  if (from >= 0) yield { from, to: bytes.length };
}
