import 'reflect-metadata';
import {
  CommandInput,
  CommandOutput,
  joinWords,
  mostSeconds,
  OUTPUT,
  QuoteError,
  Seconds,
  splitWords,
} from '@centreond/command';
import {
  Action,
  type ActionContext,
  CONFIG,
  failure,
  inject,
  Kill,
  type KillRequest,
  LOGGER,
  type Logger,
  Plugin,
} from '@centreond/plugin-sdk';
import { z } from 'zod';
import { AllowList } from './allow.ts';
import { environment } from './launch.ts';
import { Marks } from './marks.ts';
import { Pipes } from './pipes.ts';
import { Runs } from './run.ts';

/** The host's own limit: later than any that the plugin sets itself, which is a day at most. */
const LIMIT_SECONDS = 86_400 + 60;
/** How much of a command a refusal repeats. */
const SHOWN_CHARS = 200;

const Config = z.strictObject({
  timeoutSeconds: Seconds.default(60).describe('how long a command may run when the request does not say'),
  maxTimeoutSeconds: Seconds.optional().describe(
    'the longest that a request may ask for; an hour, or timeoutSeconds where that is more',
  ),
  shell: z.boolean().default(false).describe('give a command that is a string to /bin/sh -c'),
  allow: z
    .array(z.string())
    .superRefine((entries, context) => {
      try {
        new AllowList(entries);
      } catch (error) {
        context.addIssue({ code: 'custom', message: (error as Error).message });
      }
    })
    .optional()
    .describe('patterns of the commands that may run; every command when left out'),
  allowEnv: z
    .array(z.string())
    .optional()
    .describe('the variables that a request may set; every one when left out, none where there is allow'),
  allowCwd: z
    .array(z.string())
    .optional()
    .describe('the folders that a request may name as cwd; every one when left out, none where there is allow'),
});

type Command = z.output<typeof CommandInput>['command'];

@Plugin({
  type: 'action',
  title: 'Runs commands on this machine',
  config: Config,
  codes: { OUTPUT: { code: OUTPUT, title: 'output' } },
})
export default class ActionPlugin {
  readonly #runs: Runs;
  readonly #allow: AllowList | undefined;

  constructor(
    @inject(CONFIG, Config) private readonly config: z.output<typeof Config>,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    this.#allow = config.allow && new AllowList(config.allow);
    const notNoted =
      'a command could not be noted as running: if it leaves processes behind, they end with the process of this plugin';
    const noPipes =
      'there are no pipes for the outputs of commands, which get sockets instead: /dev/stdout and /dev/stderr cannot be opened in them';
    this.#runs = new Runs(
      new Marks(process.env, (err) => log.warn({ err }, notNoted)),
      new Pipes((err) => log.warn({ err }, noPipes)),
    );
  }

  @Action('COMMAND', {
    title: 'Run a command',
    description:
      'Runs a program and answers its exit code and output; its output also comes as rows of code 100 {stream, chunk} while it runs.',
    input: CommandInput,
    output: CommandOutput,
    concurrency: 256,
    timeoutSeconds: LIMIT_SECONDS,
  })
  async command(
    input: z.output<typeof CommandInput>,
    context: ActionContext<typeof OUTPUT>,
  ): Promise<z.input<typeof CommandOutput>> {
    const argv = this.#argv(input.command, context);
    this.#checkSurroundings(input, context);
    const seconds = this.#seconds(input.timeoutSeconds);
    const stop = new AbortController();
    const pass = (): void => stop.abort(context.signal.reason);
    if (context.signal.aborted) pass();
    context.signal.addEventListener('abort', pass);
    const timer = setTimeout(() => stop.abort(failure('TIMEOUT', { action: 'COMMAND', seconds })), seconds * 1000);
    try {
      return await this.#runs.run({ argv, cwd: input.cwd, env: environment(input.env) }, stop, {
        token: context.token,
        give: (stream, chunk) => context.progress(OUTPUT, { stream, chunk }),
        unkillable: (pid) =>
          this.log.error({ token: context.token, pid }, `the processes of ${shown(argv)} did not end on SIGKILL`),
      });
    } finally {
      clearTimeout(timer);
      context.signal.removeEventListener('abort', pass);
    }
  }

  /** Ends every command, and resolves when their processes are gone. */
  @Kill({ graceSeconds: 8 })
  async release({ reason }: KillRequest): Promise<void> {
    await this.#runs.close(() => reason);
  }

  /** The same when the daemon stops. */
  async stop(): Promise<void> {
    await this.#runs.close((token) => failure('INTERRUPTED', { token }));
  }

  /** What to execute. Throws INVALID_DATA and FORBIDDEN. */
  #argv(command: Command, { identity }: ActionContext): string[] {
    if (typeof command === 'string' && this.config.shell) {
      if (command.trim() === '') throw invalid('command is empty');
      const argv = ['/bin/sh', '-c', command];
      if (this.#allow && !quoting(() => this.#allow?.allowsShell(command))) throw notAllowed(identity, command);
      return argv;
    }
    const argv = typeof command === 'string' ? quoting(() => splitWords(command)) : command;
    if (!argv[0]) throw invalid(argv.length === 0 ? 'command is empty' : 'the name of the program is empty');
    if (this.#allow && !this.#allow.allows(argv)) throw notAllowed(identity, joinWords(argv));
    return argv;
  }

  /** What decides over which program a name means is as much the operator's as the command. */
  #checkSurroundings({ env, cwd }: z.output<typeof CommandInput>, { identity }: ActionContext): void {
    const names = this.config.allowEnv ?? (this.#allow && []);
    const name = names && Object.keys(env ?? {}).find((each) => !names.includes(each));
    if (name !== undefined) {
      const remedy = 'Leave it out, or have it added to allowEnv in the config of the plugin action.';
      throw failure('FORBIDDEN', { identity, what: `set the variable ${cut(name)} of a command`, remedy });
    }
    const folders = this.config.allowCwd ?? (this.#allow && []);
    if (folders && cwd !== undefined && !folders.includes(cwd)) {
      const remedy = 'Leave cwd out, or have it added to allowCwd in the config of the plugin action.';
      throw failure('FORBIDDEN', { identity, what: `run a command in ${cut(cwd)}`, remedy });
    }
  }

  #seconds(asked: number | undefined): number {
    const most = mostSeconds(this.config);
    if (asked !== undefined && asked > most) {
      throw invalid(`timeoutSeconds is at most ${most} here (maxTimeoutSeconds of the plugin action)`);
    }
    return asked ?? Math.min(this.config.timeoutSeconds, most);
  }
}

function invalid(reason: string): Error {
  return failure('INVALID_DATA', { action: 'COMMAND', reason });
}

function notAllowed(identity: string, command: string): Error {
  const remedy = 'To let it run, add a pattern for it to `allow` in the config of the plugin action.';
  return failure('FORBIDDEN', { identity, what: `run the command ${cut(command)}`, remedy });
}

function quoting<T>(split: () => T): T {
  try {
    return split();
  } catch (error) {
    throw error instanceof QuoteError ? invalid(`command: ${error.message}`) : error;
  }
}

function shown(argv: readonly string[]): string {
  return cut(joinWords(argv));
}

function cut(text: string): string {
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text;
}
