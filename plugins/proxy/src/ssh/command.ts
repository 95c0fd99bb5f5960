import { QuoteError, splitWords } from '@centreond/command';
import { CentreondError, failure, type JsonObject } from '@centreond/plugin-sdk';
import { z } from 'zod';
import { isShellVariable, type RemoteLaunch } from './remote-script.ts';
import type { SshConfig } from './ssh-config.ts';

const DAY_SECONDS = 86_400;
const HOUR_SECONDS = 3_600;

const Text = z.string().refine((text) => !text.includes('\0'), 'must not contain the character U+0000');

/** The DATA of COMMAND, as on a daemon. */
const Input = z.strictObject({
  command: z.union(
    [Text.min(1), z.array(Text).min(1)],
    'must be text or a list of texts, neither empty nor with U+0000',
  ),
  timeoutSeconds: z.number().positive().max(DAY_SECONDS).optional(),
  env: z
    .record(Text.regex(/^(?!CENTREOND_)[^=]+$/, 'must be a name without = that does not start with CENTREOND_'), Text)
    .optional(),
  cwd: Text.regex(/^\//, 'must be an absolute path').optional(),
});

/** A COMMAND that can be run. */
export interface Command {
  readonly launch: RemoteLaunch;
  readonly seconds: number;
}

/** Reads the DATA of COMMAND as a node of this config takes it. Throws INVALID_DATA. */
export function readCommand(data: JsonObject, { id, timeoutSeconds, maxTimeoutSeconds }: SshConfig): Command {
  const { data: input, error } = Input.safeParse(data);
  if (!input) {
    const texts = error.issues.map(({ path, message }) => `${path.join('.') || 'it'}: ${message}`);
    throw invalid(texts.join('; '));
  }
  const { command, env = {}, cwd, timeoutSeconds: asked } = input;
  const argv = typeof command === 'string' ? words(command) : command;
  const [program] = argv;
  if (!program) throw invalid(argv.length === 0 ? 'command is empty' : 'the name of the program is empty');
  const odd = Object.keys(env).find((name) => !isShellVariable(name));
  if (odd !== undefined && (program.startsWith('-') || program.includes('='))) {
    throw invalid(`the variable ${odd} cannot be set for a program of the name ${program} on an SSH node`);
  }
  const most = maxTimeoutSeconds ?? Math.max(timeoutSeconds, HOUR_SECONDS);
  if (asked !== undefined && asked > most) {
    throw invalid(`timeoutSeconds is at most ${most} there (maxTimeoutSeconds of the node ${id})`);
  }
  return { launch: { argv, cwd, env }, seconds: asked ?? Math.min(timeoutSeconds, most) };
}

function words(text: string): string[] {
  try {
    return splitWords(text);
  } catch (error) {
    throw error instanceof QuoteError ? invalid(`command: ${error.message}`) : error;
  }
}

function invalid(reason: string): CentreondError {
  return failure('INVALID_DATA', { action: 'COMMAND', reason });
}
