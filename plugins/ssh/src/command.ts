import { faultsText } from '@centreond/carrying';
import { CommandInput, mostSeconds, QuoteError, splitWords } from '@centreond/command';
import { CentreondError, failure, type JsonObject } from '@centreond/plugin-sdk';
import { isShellVariable, type RemoteLaunch } from './remote-script.ts';
import type { SshConfig } from './ssh-config.ts';

/** A COMMAND that can be run. */
export interface Command {
  readonly launch: RemoteLaunch;
  readonly seconds: number;
}

/** Reads the DATA of COMMAND as a node of this config takes it. Throws INVALID_DATA. */
export function readCommand(data: JsonObject, config: SshConfig): Command {
  const { data: input, error } = CommandInput.safeParse(data);
  if (!input) throw invalid(faultsText(error));
  const { command, env = {}, cwd, timeoutSeconds: asked } = input;
  const argv = typeof command === 'string' ? words(command) : command;
  const [program] = argv;
  if (!program) throw invalid(argv.length === 0 ? 'command is empty' : 'the name of the program is empty');
  const odd = Object.keys(env).find((name) => !isShellVariable(name));
  if (odd !== undefined && (program.startsWith('-') || program.includes('='))) {
    throw invalid(`the variable ${odd} cannot be set for a program of the name ${program} on an SSH node`);
  }
  const most = mostSeconds(config);
  if (asked !== undefined && asked > most) {
    throw invalid(`timeoutSeconds is at most ${most} there (maxTimeoutSeconds of the node ${config.id})`);
  }
  return { launch: { argv, cwd, env }, seconds: asked ?? Math.min(config.timeoutSeconds, most) };
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
