import type { Argument, Command, Option } from 'commander';
import { VERSION } from '../own-package.ts';
import { EXIT } from './exit.ts';

const EXITS: readonly (readonly [number, string])[] = [
  [EXIT.done, 'Done.'],
  [EXIT.failed, 'Refused or failed; the reason is on standard error, with its code.'],
  [EXIT.usage, 'Wrong usage of the command line.'],
  [EXIT.noDaemon, 'No daemon answers.'],
  [EXIT.timedOut, 'Not over within its time; it may go on.'],
];

const FILES: readonly (readonly [string, string])[] = [
  [
    './centreond.yaml, ./config/centreond.yaml, /etc/centreond/centreond.yaml',
    'The config file: the first of them that is there, also as .yml and .json. Files of a folder conf.d beside it add plugins.',
  ],
  [
    'var/',
    'Beside the config file, unless core.dataDir names another: keys, history and sockets of the daemon, for its user alone.',
  ],
  ['~/.config/centreond/contexts.json', 'What `centreond context` keeps, for its user alone.'],
];

const ENVIRONMENT: readonly (readonly [string, string])[] = [
  ['XDG_CONFIG_HOME', 'In place of ~/.config.'],
  ['NO_COLOR, FORCE_COLOR', 'Turn colours off, or on where there is no terminal.'],
  ['TZ', "The time zone of the plugins' processes. Times that are shown are in UTC."],
  [
    'NOTIFY_SOCKET, WATCHDOG_USEC',
    'Set by systemd, which is told when the daemon is ready, reloading, alive and stopping.',
  ],
  ['NAME', 'Any that a config names as a secret, env:NAME; of the daemon only.'],
];

/** `centreond man`: prints the page centreond(1), made from the verbs and options themselves. */
export function manPage(program: Command): string {
  const section = (title: string, lines: readonly string[]) => [`.SH ${title}`, ...lines];
  const list = (entries: readonly (readonly [string, string])[]) =>
    entries.flatMap(([term, text]) => ['.TP', bold(term), ...prose(text)]);
  return [
    `.TH CENTREOND 1 "" "centreond ${roff(VERSION)}" "centreond"`,
    ...section('NAME', [`centreond \\- ${roff(lowerFirst(program.description()))}`]),
    ...section('SYNOPSIS', ['.B centreond', '[', '.I options', ']', '.I verb', '[', '.IR argument \\ ...', ']']),
    ...section('DESCRIPTION', [
      ...prose(
        'centreond hosts action plugins and links machines into a fleet. One verb, start, is the daemon; all others talk to the daemon of the config file on this machine, or with --connect or --context to that of another.',
      ),
    ]),
    ...section('OPTIONS', program.options.flatMap(optionLines)),
    ...section(
      'VERBS',
      verbsOf(program).flatMap((verb) => verbLines(verb)),
    ),
    ...section('EXIT STATUS', list(EXITS.map(([code, text]) => [String(code), text]))),
    ...section('FILES', list(FILES)),
    ...section('ENVIRONMENT', list(ENVIRONMENT)),
    ...section('EXAMPLES', [
      ...example('What runs, and what the nodes do:', 'centreond status', 'centreond nodes --watch'),
      ...example('A command on three nodes:', "centreond call COMMAND command='uptime' --target web-1,web-2,web-3"),
      ...example('Completion in this shell:', 'source <(centreond completion bash)'),
    ]),
    '',
  ].join('\n');
}

/** The verbs of a program, those of a group each by itself. */
function verbsOf(program: Command): Command[] {
  return program.commands.flatMap((verb) => (verb.commands.length > 0 ? verbsOf(verb) : [verb]));
}

function verbLines(verb: Command): string[] {
  const group = verb.parent?.parent ? `${verb.parent.name()} ` : '';
  const words = verb.registeredArguments.map(argumentText).join(' ');
  return [
    '.TP',
    `${bold(`${group}${verb.name()}`)}${words === '' ? '' : ` ${words}`}`,
    ...prose(sentence(verb.description())),
    ...(verb.options.length > 0 ? ['.RS', ...verb.options.flatMap(optionLines), '.RE'] : []),
  ];
}

function argumentText(argument: Argument): string {
  const name = `\\fI${roff(argument.name())}\\fR${argument.variadic ? ' ...' : ''}`;
  return argument.required ? name : `[${name}]`;
}

function optionLines({ flags, description }: Option): string[] {
  const [, name = flags, value] = /^(\S+)(?: (.*))?$/.exec(flags) ?? [];
  return [
    '.TP',
    `${bold(name)}${value === undefined ? '' : ` \\fI${roff(value)}\\fR`}`,
    ...prose(sentence(description)),
  ];
}

function example(what: string, ...commands: readonly string[]): string[] {
  return ['.PP', ...prose(what), '.PP', '.nf', '.RS', ...commands.map(line), '.RE', '.fi'];
}

function bold(text: string): string {
  return `\\fB${roff(text)}\\fR`;
}

/** Text of a paragraph, a line for each sentence, as groff wants it to space them. */
function prose(text: string): string[] {
  return text.split(/(?<=[.;]) (?=[A-Z])/).map(line);
}

/** A line that begins with neither a request nor a quote. */
function line(text: string): string {
  return roff(text).replace(/^(?=[.'])/, '\\&');
}

const ESCAPED: Readonly<Record<string, string>> = {
  '\\': '\\e',
  '-': '\\-',
  '`': '\\(ga',
  "'": '\\(aq',
  '’': '\\(cq',
  '…': '...',
  '^': '\\(ha',
  '~': '\\(ti',
};

function roff(text: string): string {
  return text.replaceAll(/[\\\-`'’…^~]/g, (character) => ESCAPED[character] ?? character);
}

/** The words of a description as a sentence. */
function sentence(text: string): string {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
