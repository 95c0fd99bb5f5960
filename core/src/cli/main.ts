import 'reflect-metadata';
import { Command, CommanderError, Option } from 'commander';
import { VERSION } from '../own-package.ts';
import { EXIT, type Globals } from './exit.ts';

/** One fingerprint in 64 starts with a dash, and is none of the options that commander would take it for. */
const DASHED_FINGERPRINT = /^-[A-Za-z0-9_-]{42}$/;

/** A hold may be said to last, and what follows it may be DATA as well. */
const DURATION = /^[0-9]+[a-z]+$/;

/** The words of the command line, such that commander takes each for what it is. */
function wordsOf(argv: readonly string[]): string[] {
  return argv.map((word, i) => {
    if (word === '--hold' && !DURATION.test(argv[i + 1] ?? '')) return '--hold=';
    return DASHED_FINGERPRINT.test(word) ? `=${word}` : word;
  });
}

/** Takes the mark off again, wherever the word ended up. */
function undashed<T>(value: T): T {
  const plain = (word: unknown) => (typeof word === 'string' && word.startsWith('=-') ? word.slice(1) : word);
  if (typeof value !== 'object' || value === null) return plain(value) as T;
  if (Array.isArray(value)) return value.map(plain) as T;
  return Object.fromEntries(Object.entries(value).map(([key, word]) => [key, plain(word)])) as T;
}

/** Collects an option that may be given several times. */
function repeated(word: string, before: readonly string[] = []): readonly string[] {
  return [...before, word];
}

/** The verbs and options of `centreond`. A verb sets the process's exit code, and loads only what it needs. */
export function commandLine(): Command {
  const program = new Command('centreond')
    .description('The centreond daemon and its operator’s tool')
    .version(VERSION)
    .option('--config <file>', 'the config file (default: ./centreond.yaml, ./config/, /etc/centreond/)')
    .option('--json', 'machine-readable results')
    .option(
      '--connect <address>',
      "an external door, tcp://host:port, instead of this machine's daemon; a cluster's: a,b",
    )
    .option('--key <file>', 'with --connect: the key to prove who you are')
    .option('--identity <id>', 'with --connect: who you are')
    .option('--router <fingerprint>', "with --connect: the router's fingerprint; one for each address: a,b")
    .option('--context <name>', 'the flags that `centreond context add` has kept under that name')
    .exitOverride()
    .showHelpAfterError('(centreond --help lists the verbs)');
  const verb = (run: (globals: Globals, ...rest: never[]) => Promise<number>, orUsedContext = true) => {
    return async (...args: unknown[]) => {
      const command = args.at(-1) as Command;
      const globals = undashed(command.optsWithGlobals()) as Globals;
      try {
        const told = (await import('./contexts.ts')).inContext(globals, orUsedContext);
        process.exitCode = await run(told, ...(args.slice(0, -2).map(undashed) as never[]));
      } catch (error) {
        process.exitCode = (await import('./print.ts')).explain(error, globals);
      }
    };
  };
  program
    .command('start')
    .description('be the daemon, in the foreground')
    .option('--join <code>', 'become a node of the router whose `centreond join` made the code, then start')
    .option('--replace', 'with --join: move the config and the data of another daemon aside that are in its place')
    .addOption(
      new Option('--log <form>', 'the log as json or text (default: text on a terminal)').choices(['json', 'text']),
    )
    .action(verb(async (globals) => (await import('./start.ts')).start(globals), false));
  program
    .command('init')
    .description('write a config file to begin with: ./centreond.yaml, or --config FILE')
    .option('--id <id>', "this router's node id (default: central)")
    .action(verb(async (globals) => (await import('./init.ts')).init(globals), false));
  program
    .command('join <identity>')
    .description('print a line that makes the machine it is pasted on the node IDENTITY of this router')
    .option('--for <duration>', 'how long the line works, 1h at most (default: 1h)')
    .option('--address <address>', 'the address by which the node reaches this router, tcp://host:port')
    .option('--subnodes <id...>', 'nodes that may be reached through it')
    .action(verb(async (globals, identity: string) => (await import('./join.ts')).join(globals, identity)));
  program
    .command('check')
    .description('validate the config and the plugins it names, offline')
    .option('--schema', "print the JSON Schema of the config file, the plugins' parts included")
    .action(verb(async (globals) => (await import('./check.ts')).check(globals)));
  program
    .command('call <action> [data...]')
    .description('send a request ({json}, key=value…, @FILE or - for standard input) and print its outcome')
    .option('--target <nodes>', "the node to run it on; a,b,c, 'web-*' or all: a request each, and a summary")
    .option('--label <key=value>', 'only nodes with this label; again for another, all must match', repeated)
    .option('--batch <size>', 'so many nodes at a time, 20 or 10%; the next ones once these have ended')
    .option('--wait <duration>', 'with --batch: the pause between batches')
    .option('--fail-fast', 'with --batch: no further batch once a node failed')
    .option('--check-exit', "count a command's exit code other than 0 as failed (COMMAND to several nodes: default)")
    .option('--no-check-exit', 'count every command that ran as finished')
    .option('--token <token>', 'the token to use; with several nodes each request has TOKEN:NODE')
    .option('--follow', 'print each row as it is written')
    .option('--no-wait', 'print the token once the request is on disk, and leave')
    .option('--hold [duration]', 'have it kept where there is no way to the node, for 24h or for example 2h')
    .option('--timeout <duration>', 'how long to wait for each, for example 30s')
    .action(
      verb(async (globals, action: string, data: string[]) => {
        return (await import('./call.ts')).call(globals as never, action, data);
      }),
    );
  program
    .command('log [token]')
    .description("print the rows of a token, or of all requests of a plugin's actions")
    .option('--follow', 'and those to come, until it ends')
    .option('--plugin <type>', "instead of a token: the rows of the plugin's actions and of the tokens that it made")
    .option(
      '--since <when>',
      'with --plugin: written at most so long ago, for example 1h, or since 2026-01-31T12:00:00',
    )
    .option('--rate <rows>', 'with --plugin: at most so many in a second; says how many there were besides')
    .option('--exits', 'with --plugin and --follow: also how its processes end, with their last lines')
    .action(verb(async (globals, token?: string) => (await import('./log.ts')).log(globals, token)));
  const filtered = (command: Command) =>
    command
      .option('--open', 'only requests that have not ended')
      .option('--since <when>', 'accepted at most so long ago, for example 1h, or since 2026-01-31T12:00:00')
      .option('--until <when>', 'accepted at least so long ago, or until a date')
      .option('--node <id>', 'only requests to this node')
      .option('--owner <identity>', 'only requests of this identity')
      .option('--action <action>', 'only requests for this action');
  filtered(program.command('requests'))
    .description('the requests of the past and those that are open, the newest first')
    .option('--failed', 'only requests that failed')
    .option('--finished', 'only requests that finished')
    .option('--limit <number>', 'how many at most (default: 50)')
    .action(verb(async (globals) => (await import('./requests.ts')).requests(globals)));
  filtered(program.command('cancel [tokens...]'))
    .description('end open requests, by token or by filters')
    .option('--yes', 'do not ask before requests that the filters found are ended')
    .action(verb(async (globals, tokens: string[]) => (await import('./requests.ts')).cancel(globals, tokens)));
  program
    .command('status')
    .description('what runs, with figures')
    .action(verb(async (globals) => (await import('./status.ts')).status(globals)));
  program
    .command('events')
    .description('what happens on this router, a line each, until it is interrupted')
    .option('--since <when>', 'begin with what happened since, as far as the router keeps it: 1h, yesterday, a date')
    .option('--no-follow', 'print what is kept, and leave')
    .action(verb(async (globals) => (await import('./events.ts')).events(globals as never)));
  const nodes = program
    .command('nodes [id]')
    .description('the nodes that are reached from here and how they are, or one with all that is known of it')
    .option('--watch', 'again each second, until it is interrupted')
    .action(verb(async (globals, id?: string) => (await import('./nodes.ts')).nodes(globals, id)));
  const routerVerbs = () => import('./routers.ts');
  const routers = program
    .command('routers')
    .description('the routers of the cluster, and how they are')
    .action(verb(async (globals) => (await routerVerbs()).routers(globals)));
  routers
    .command('forget <id>')
    .description('take a router that is gone for good off the list; its rows stay in the history')
    .action(verb(async (globals, id: string) => (await routerVerbs()).forgetRouter(globals, id)));
  const nodeVerbs = () => import('./node-identity.ts');
  nodes
    .command('remove <id>')
    .description('forget a node that was let in: its key is revoked, and what is open for it ends')
    .action(verb(async (globals, id: string) => (await nodeVerbs()).removeNode(globals, id)));
  nodes
    .command('rename <old> <new>')
    .description('let the machine that is the node OLD in as the node NEW, by the key that it has')
    .action(verb(async (globals, old: string, id: string) => (await nodeVerbs()).renameNode(globals, old, id)));
  program
    .command('plugins [type]')
    .description('the actions of the plugins, or one plugin with all its manifest says')
    .option('--markdown', 'as a Markdown page')
    .action(verb(async (globals, type?: string) => (await import('./plugins.ts')).plugins(globals, type)));
  const lifecycle = () => import('./lifecycle.ts');
  program
    .command('kill <type> [id]')
    .description('end an instance of a plugin, or all; they start again as declared')
    .action(verb(async (globals, type: string, id?: string) => (await lifecycle()).kill(globals, type, id)));
  program
    .command('load <package> [config]')
    .description('load a plugin package with its config as JSON, until the daemon stops')
    .option('--as <type>', "the plugin's type, in place of the package's own")
    .action(verb(async (globals, name: string, config?: string) => (await lifecycle()).load(globals, name, config)));
  program
    .command('unload <type>')
    .description('take a plugin out of service; what it accepted may finish')
    .action(verb(async (globals, type: string) => (await lifecycle()).unload(globals, type)));
  program
    .command('reload <type>')
    .description('replace a plugin by what its package holds now')
    .action(verb(async (globals, type: string) => (await lifecycle()).reload(globals, type)));
  program
    .command('why <type>')
    .description("a plugin's last exits with its last log lines")
    .action(verb(async (globals, type: string) => (await lifecycle()).why(globals, type)));
  program
    .command('create-plugin <name>')
    .description('make a plugin package that builds, tests and packs')
    .option('--dir <folder>', "the package's folder (default: ./NAME)")
    .action(verb(async (globals, name: string) => (await import('./create-plugin.ts')).createPlugin(globals, name)));
  program
    .command('backup <file>')
    .description("copy all that this machine's daemon keeps into one new file, while it runs or not")
    .action(verb(async (globals, file: string) => (await import('./backup.ts')).backup(globals, file)));
  program
    .command('restore <file>')
    .description('put a backup into the data folder of a daemon that does not run')
    .option('--force', 'move what is in the data folder aside first')
    .action(verb(async (globals, file: string) => (await import('./backup.ts')).restoreFrom(globals, file)));
  program
    .command('store')
    .description('where the history is kept')
    .command('copy')
    .description('copy the history of a daemon that does not run from its file to a database; again after a break')
    .addOption(new Option('--to <driver>', 'what keeps it from then on').choices(['postgres']).makeOptionMandatory())
    .option('--url <url>', "the database: file:PATH or env:NAME of its URL, or that itself (default: the config's)")
    .action(verb(async (globals) => (await import('./store-copy.ts')).storeCopy(globals)));
  const keys = program.command('keys').description('who may connect');
  const keyVerbs = () => import('./keys.ts');
  keys
    .command('list')
    .description('keys that are let in, revoked, or were shown by unknown clients')
    .action(verb(async (globals) => (await keyVerbs()).listKeys(globals)));
  keys
    .command('show')
    .description("the fingerprint of the router's key, or of --key FILE; made when there is none")
    .action(verb(async (globals) => (await keyVerbs()).showKey(globals)));
  keys
    .command('generate <file>')
    .description('make a key for a client')
    .action(verb(async (globals, file: string) => (await keyVerbs()).generate(globals, file)));
  keys
    .command('accept <fingerprint>')
    .description('let a key in, with --identity ID and --role ROLE')
    .option('--identity <id>', 'who it is')
    .option('--role <role...>', 'client, node, router or admin')
    .action(verb(async (globals, fingerprint: string) => (await keyVerbs()).acceptKey(globals, fingerprint)));
  keys
    .command('revoke <key>')
    .description('shut a key out, by fingerprint or identity; its session ends')
    .action(verb(async (globals, key: string) => (await keyVerbs()).revokeKey(globals, key)));
  program
    .command('cron')
    .description('what the plugin cron fires')
    .command('list')
    .description('its definitions: schedule, zone, next run (UTC) and the outcome of the last')
    .option('--type <type>', "the plugin's type, where the config says as: TYPE")
    .option('--target <node>', 'the node whose definitions to show')
    .action(verb(async (globals) => (await import('./cron.ts')).listCron(globals)));
  const context = program.command('context').description('flags that are kept under a name');
  const contextVerbs = () => import('./context.ts');
  context
    .command('add <name>')
    .description('keep --connect, --key, --identity and --router, or --config, for --context NAME')
    .action(verb(async (globals, name: string) => (await contextVerbs()).addContext(globals, name), false));
  context
    .command('list')
    .description('what is kept, with a * at the one in use')
    .action(verb(async (globals) => (await contextVerbs()).listContexts(globals), false));
  context
    .command('use [name]')
    .description('have NAME count where --context, --config or --connect is not given; without NAME, none')
    .action(verb(async (globals, name?: string) => (await contextVerbs()).useContext(globals, name), false));
  context
    .command('remove <name>')
    .description('forget it; its key stays where it is')
    .action(verb(async (globals, name: string) => (await contextVerbs()).removeContext(globals, name), false));
  program
    .command('completion <shell>')
    .description('print a script that completes these words: bash, zsh or fish')
    .action(
      verb(async (globals, shell: string) => (await import('./completion.ts')).completion(globals, shell), false),
    );
  program
    .command('man')
    .description('print the manual page centreond(1), for man -l or /usr/share/man/man1')
    .action(
      verb(async () => {
        process.stdout.write((await import('./man.ts')).manPage(program));
        return EXIT.done;
      }, false),
    );
  return program;
}

/** The command line `centreond`. Sets the process's exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  const program = commandLine();
  // Its words are no words of ours: they may be options that are not written to their end.
  const [verb, dashes, ...words] = argv.slice(2);
  if (verb === 'complete' && dashes === '--') return (await import('./complete.ts')).complete(program, words);
  // A reader that went away (`status | head`) has what it wanted.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(EXIT.done);
  });
  try {
    await program.parseAsync(wordsOf(argv));
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
  }
}
