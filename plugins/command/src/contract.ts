import { z } from 'zod';

const DAY_SECONDS = 86_400;
const HOUR_SECONDS = 3_600;

/** The code of COMMAND's rows of output: `{stream: 'stdout' | 'stderr', chunk}`. */
export const OUTPUT = 100;

/** How long a command may run. */
export const Seconds = z.number().positive().max(DAY_SECONDS);

const Text = z.string().refine((text) => !text.includes('\0'), 'must not contain the character U+0000');

/** DATA of COMMAND, on a daemon and on a machine without one. */
export const CommandInput = z.strictObject({
  command: z
    .union([Text.min(1), z.array(Text).min(1)], 'must be text or a list of texts, neither empty nor with U+0000')
    .describe('the program and its arguments: as a list, or as text that is split as a shell would quote it'),
  timeoutSeconds: Seconds.optional().describe('after how long it is stopped'),
  env: z
    .record(Text.regex(/^(?!CENTREOND_)[^=]+$/, 'must be a name without = that does not start with CENTREOND_'), Text)
    .optional()
    .describe("variables over the plugin's environment"),
  cwd: Text.regex(/^\//, 'must be an absolute path').optional().describe('the folder to run it in, an absolute path'),
});

/** The output of COMMAND. */
export const CommandOutput = z.strictObject({
  exitCode: z.int().nullable().describe('null where a signal ended it'),
  signal: z.string().nullable(),
  stdout: z.string(),
  stderr: z.string(),
  truncated: z.boolean().describe('whether stdout or stderr had more than the 1 MiB that is kept of each'),
});

/** The longest that a request may ask for, in seconds, where the config says `timeoutSeconds` and perhaps `maxTimeoutSeconds`. */
export function mostSeconds(config: {
  readonly timeoutSeconds: number;
  readonly maxTimeoutSeconds?: number | undefined;
}): number {
  return config.maxTimeoutSeconds ?? Math.max(config.timeoutSeconds, HOUR_SECONDS);
}
