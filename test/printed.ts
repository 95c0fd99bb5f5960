import { vi } from 'vitest';

/** What a command line printed, and the code that it ends with. */
export interface Printed {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a verb that only prints, in this process, where a process of its own would show no more. What else writes meanwhile is
 * taken for it: one at a time.
 */
export async function printed(run: () => Promise<unknown>): Promise<Printed> {
  const said = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((stream) =>
    vi.spyOn(process[stream], 'write').mockImplementation((text) => {
      said[stream] += String(text);
      return true;
    }),
  );
  const before = process.exitCode;
  try {
    const code = await run();
    return { code: Number(code ?? process.exitCode ?? 0), ...said };
  } finally {
    process.exitCode = before;
    for (const spy of spies) spy.mockRestore();
  }
}
