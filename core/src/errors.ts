import { CentreondError } from '@centreond/protocol';

/**
 * The core's table of errors: configuration, discovery, start and command line. What travels is in the table of @centreond/protocol.
 * A code is stable for ever and a retired one is never used again.
 */
const SENTENCES = {
  // Finding and reading config files.
  CONFIG_NOT_FOUND: (d: { searched: readonly string[] }) =>
    `There is no config file. Looked for ${d.searched.join(', ')}. Write one (\`centreond init\` does), or name one with --config FILE.`,
  CONFIG_NO_SUCH_FILE: (d: { file: string }) =>
    `There is no file ${d.file}. --config takes a .yaml, .yml, .json, .js or .ts file.`,
  CONFIG_EXISTS: (d: { path: string }) =>
    `${d.path} is there already and stays as it is. Name another with --config FILE, or move it away.`,
  CONFIG_UNREADABLE: (d: { reason: string }) =>
    `The file cannot be read: ${d.reason}. Make it a file that the daemon's user may read, or remove it.`,
  CONFIG_SYNTAX: (d: { format: string; reason: string }) => `This is not ${d.format}: ${d.reason}.`,
  CONFIG_BROKEN_MODULE: (d: { reason: string }) =>
    `The module does not load: ${d.reason}. It has to export the config as its default.`,
  CONFIG_NOT_JSON: (d: { where: string; what: string }) =>
    `${d.where} is ${d.what}, which JSON cannot hold. Write a string, a finite number, true, false, null, a list or a mapping.`,
  // What the files say.
  CONFIG_DUPLICATE_KEY: (d: { key: string; first: string }) =>
    `The key ${d.key} is already set at ${d.first}. Keep one of the two.`,
  CONFIG_UNKNOWN_KEY: (d: { where: string; key: string; near: string | undefined; known: readonly string[] }) =>
    `${d.where} has no key ${d.key}${d.near === undefined ? `; it takes ${list(d.known)}.` : `; did you mean ${d.near}?`}`,
  CONFIG_MISSING_KEY: (d: { where: string; hint: string }) => `${d.where} is missing. ${d.hint}`,
  CONFIG_WRONG_TYPE: (d: { where: string; expected: string; found: string }) =>
    `${d.where} must be ${d.expected}, not ${d.found}.`,
  CONFIG_BAD_VALUE: (d: { where: string; reason: string }) =>
    `${d.where} ${d.reason}${d.reason.endsWith('?') ? '' : '.'}`,
  CONFIG_BAD_DURATION: (d: { where: string; reason: string }) =>
    `${d.where} ${d.reason}. A duration is a whole number and ms, s, m, h or d, such as 30s.`,
  CONFIG_BAD_SIZE: (d: { where: string; reason: string }) =>
    `${d.where} ${d.reason}. A size is a whole number and B, KiB, MiB or GiB, such as 16MiB.`,
  CONFIG_BAD_ADDRESS: (d: { where: string; reason: string }) =>
    `${d.where} ${d.reason}. An address to listen on is tcp://ADDRESS:PORT, such as tcp://127.0.0.1:5555 or tcp://*:5555.`,
  CONFIG_BAD_IDENTITY: (d: { where: string; reason: string }) =>
    `${d.where} ${d.reason}. An identity is 1 to 64 of A-Z a-z 0-9 . _ - and not ., .. or all`,
  CONFIG_BAD_FINGERPRINT: (d: { where: string; reason: string }) =>
    `${d.where} ${d.reason}. A fingerprint is the 43 characters that \`centreond keys show\` prints on the client's machine.`,
  CONFIG_DUPLICATE: (d: { what: string; first: string; remedy: string }) =>
    `${d.what} is already given at ${d.first}. ${d.remedy}`,
  CONFIG_NO_EFFECT: (d: { where: string; reason: string }) => `${d.where} has no effect: ${d.reason}.`,
  SOCKET_PATH_TOO_LONG: (d: { path: string; bytes: number; limit: number }) =>
    `The internal socket ${d.path} has ${d.bytes} bytes and the system takes ${d.limit}. Set core.dataDir to a shorter path.`,
  DATA_DIR_TAKEN: (d: { path: string; holder: string }) =>
    `${d.holder} already works on ${d.path}. Stop it, or give this one a core.dataDir of its own.`,
  CLUSTER_UNUSABLE: (d: { name: string; reason: string }) =>
    `This router cannot enter the cluster ${d.name}: ${d.reason}.`,
  DOOR_IN_USE: (d: { listen: string }) =>
    `The external door cannot listen on ${d.listen}: another process has that port. Stop that process, or set core.external.listen to another port.`,
  DOOR_NOT_THIS_MACHINE: (d: { listen: string }) =>
    `The external door cannot listen on ${d.listen}: no network interface of this machine has that address. Set core.external.listen to an address that \`ip addr\` shows, or to tcp://*:PORT for all of them.`,
  DOOR_FORBIDDEN: (d: { listen: string }) =>
    `The external door cannot listen on ${d.listen}: this user may not use that port. Set core.external.listen to a port above 1023, or give the daemon CAP_NET_BIND_SERVICE.`,
  DOOR_CLOSED: (d: { listen: string; reason: string }) =>
    `The external door cannot listen on ${d.listen}: ${d.reason}. Correct core.external.listen.`,
  OPEN_FILES_LOW: (d: { limit: number; wanted: number }) =>
    `This process may open ${d.limit} files, and each connection takes one. Raise the hard limit to ${d.wanted} or more: LimitNOFILE=1024:65536 in a systemd unit, \`ulimit -Hn\` in a shell, --ulimit nofile in Docker.`,
  KEY_FILE: (d: { path: string; what: string; remedy: string }) => `The key file ${d.path} ${d.what}. ${d.remedy}`,
  KEY_REFUSED: (d: { reason: string }) => d.reason,
  TRUST_FILE: (d: { path: string; what: string }) =>
    `${d.path} ${d.what}. It holds which keys were revoked, so nothing starts without it: restore it from a backup, or move it away and accept and revoke again.`,
  TRUST_TABLE: (d: { what: string }) =>
    `The keys and join tokens that the routers of the cluster share cannot be read: ${d.what}. A router that does not know which keys were revoked lets nobody in, so it does not start: check the table centreond_trust in the database of core.store.url, and start it again.`,
  // Joining a router.
  JOIN_CODE: (d: { what: string }) =>
    `The join code ${d.what}. Copy the whole line that \`centreond join\` printed, and paste it again.`,
  JOIN_FOLDER_TAKEN: (d: { path: string; what: string; identity: string; system: boolean }) =>
    `${d.path} ${d.what}; it is left as it is. ` +
    (d.system
      ? `To make this machine ${d.identity} instead, stop its daemon (systemctl stop centreond) and add --replace to the line: what is there is moved aside.`
      : `Paste the line in an empty folder, or add to it --config ${d.identity}/centreond.yaml, which makes one, or --replace, which moves what is there aside.`),
  JOIN_REFUSED: (d: { address: string; identity: string; key: string }) =>
    `The router at ${d.address} does not let this machine join as ${d.identity}. The line works once and for a time: \`centreond join ${d.identity}\` there makes a new one. ` +
    `If that is refused too, look at the clocks, which may differ by two minutes, and at the router's log, which names the cause (this machine's key is ${d.key}).`,
  JOIN_UNREACHABLE: (d: { address: string; identity: string; reason: string }) =>
    `${d.identity} has not joined: ${d.reason} The line stays good until it is used or too old; where nodes reach the router by another address, \`centreond join ${d.identity} --address tcp://host:port\` there makes a line for that.`,
  DATA_DIR_UNUSABLE: (d: { path: string; reason: string }) =>
    `The folder ${d.path} cannot be used: ${d.reason}. Make it a folder that the daemon's user may write to, or set core.dataDir to another.`,
  // Backups.
  NOTHING_TO_BACK_UP: (d: { path: string }) =>
    `There is nothing to back up in ${d.path}: no daemon has run on it. Name the config of the one that is meant with --config FILE.`,
  FILE_EXISTS: (d: { path: string }) =>
    `${d.path} is there already and stays as it is. Name another file, or move it away.`,
  BACKUP_FAILED: (d: { path: string; reason: string }) =>
    `The backup ${d.path} cannot be written: ${d.reason}. Name a file in a folder that this user may write to and that has room for the data folder twice.`,
  RESTORE_NOT_EMPTY: (d: { path: string; has: readonly string[] }) =>
    `${d.path} holds ${list(d.has)} already and stays as it is. With --force they are moved aside into a folder there, and the backup takes their place.`,
  BACKUP_BROKEN: (d: { file: string; what: string }) =>
    `The backup ${d.file} cannot be used: ${d.what}. Nothing was changed; take another backup.`,
  BACKUP_NEWER: (d: { file: string; version: string }) =>
    `The backup ${d.file} was made by centreond ${d.version}, and this one, which is older, does not know its form. Nothing was changed; install that version first.`,
  BACKUP_OF_ANOTHER: (d: { file: string; of: string; id: string }) =>
    `The backup ${d.file} is of the router ${d.of}, and the config says that this one is ${d.id}. Nothing was changed; set core.id to ${d.of}, or take a backup of ${d.id}.`,
  HISTORY_IN_POSTGRES: (d: { id: string; dataDir: string }) =>
    `The history of ${d.id} is in PostgreSQL: pg_dump backs it up, and pg_restore puts it back while no router runs on it (then \`SELECT centreond_restored()\` there). Of this machine, keep a copy of ${d.dataDir} and of the config with its secrets beside that.`,
  // A history goes over to PostgreSQL.
  NOTHING_TO_COPY: (d: { path: string }) =>
    `There is no history to copy in ${d.path}: no daemon has run on it with the driver sqlite. Name the config of the one that is meant with --config FILE.`,
  COPY_DAEMON_RUNS: (d: { path: string; holder: string }) =>
    `${d.holder} works on ${d.path}, and a history is copied only while nobody writes to it. Stop it, and run this again.`,
  COPY_TARGET_USED: (d: { database: string; has: string }) =>
    `The database ${d.database} holds ${d.has} already and stays as it is. Name an empty one (createdb makes it).`,
  COPY_STOPPED: (d: { database: string; reason: string }) =>
    `The copy to ${d.database} stopped: ${d.reason}. Nothing is lost; run the same command again, and it goes on from there.`,
  COPY_DIFFERS: (d: { file: string; database: string }) =>
    `${d.database} does not hold what ${d.file} does, and no router starts on it. Nothing of the file was changed; run the same command again, which copies from the start, and report it if it says this again.`,
  // Plugins, before any of their code runs.
  PLUGIN_NOT_FOUND: (d: { package: string; searched: readonly string[] }) =>
    `No package ${d.package} in ${d.searched.join(', ')}. Install it there (npm install ${d.package}), or give the path to its folder.`,
  PLUGIN_NO_PACKAGE: (d: { folder: string; reason: string }) => `${d.folder} is no package folder: ${d.reason}.`,
  PLUGIN_NO_MAIN: (d: { package: string; main: string }) =>
    `The plugin ${d.package} has no ${d.main}, which its package.json names as entry. Build it first.`,
  PLUGIN_NO_MANIFEST: (d: { package: string; file: string }) =>
    `The plugin ${d.package} has no ${d.file}. Run \`centreond-plugin build\` in its folder.`,
  PLUGIN_BAD_MANIFEST: (d: { package: string; file: string; reason: string }) =>
    `The plugin ${d.package} has a manifest that cannot be used: ${d.reason} (${d.file}). Run \`centreond-plugin build\` in its folder, or ask its author.`,
  SECRET_UNUSABLE: (d: { where: string; reference: string; reason: string }) =>
    `${d.where} refers to the secret ${d.reference}, which ${d.reason}.`,
  FILE_UNUSABLE: (d: { where: string; path: string; reason: string }) =>
    `${d.where} names ${d.path}, which ${d.reason}.`,
  PLUGIN_NOT_STARTED: (d: { type: string; reason: string }) =>
    `The plugin ${d.type} does not start: ${d.reason}. \`centreond why ${d.type}\` shows its last lines; the rest is served.`,
  UNKNOWN_TYPE: (d: { type: string; where: string; there: string }) =>
    `No plugin of the type ${d.type} is ${d.where}. There is: ${d.there}.`,
  RELOAD_IMPOSSIBLE: (d: { package: string; type: string }) =>
    `The package ${d.package} (now of the type ${d.type}) cannot be reloaded: its type changed, or it runs in the daemon's own process. Unload and load it, or restart.`,
  PLUGIN_API_VERSION: (d: { package: string; found: string; sdk: string; supported: number }) =>
    `The plugin ${d.package} was built for plugin API ${d.found} (SDK ${d.sdk}) and this daemon has ${d.supported}. Install versions of the two that fit.`,
  PLUGIN_TWO_COPIES: (d: { package: string; module: string; copies: readonly string[] }) =>
    `The plugin ${d.package} reaches ${d.copies.length} copies of ${d.module}: ${d.copies.join(' and ')}. Make it a peer dependency there and install again, so that one is left.`,
  PLUGIN_LACKS_MODULE: (d: { package: string; module: string; folder: string }) =>
    `The plugin ${d.package} needs ${d.module}, which is not to be found from ${d.folder}. Run \`npm install ${d.module}\` where the plugin is installed.`,
  PLUGIN_NEEDS_CORE: (d: { package: string; type: string }) =>
    `The plugin ${d.type} (${d.package}) runs in the daemon's own process and can stall it. Allow that with allowCore: true, or set enable: false.`,
  PLUGIN_CANNOT_SHARE: (d: { type: string; package: string; reason: string }) =>
    `The plugin ${d.type} (${d.package}) cannot share a process: ${d.reason}. Otherwise remove process: shared from its entry.`,
  ACTION_CLAIMED_TWICE: (d: { action: string; second: string; first: string }) =>
    `${d.second} claims the action ${d.action}, which ${d.first} has. ${d.second} is not loaded; give it a type of its own (as: TYPE), which its actions then start with, or set enable: false on one of the two.`,
  TYPE_CLAIMED_TWICE: (d: { type: string; second: string; first: string }) =>
    `${d.second} has the type ${d.type}, as has ${d.first}. ${d.second} is not loaded; give it another type (as: TYPE), or set enable: false on one of the two.`,
  ACTION_NAME_TOO_LONG: (d: { as: string; action: string; package: string }) =>
    `As ${d.as} the plugin ${d.package} has the action ${d.action}, which has ${d.action.length} characters; the limit is 64. Choose a shorter type.`,
  // The command line.
  USAGE: (d: { reason: string }) => d.reason,
  CONFIG: (d: { problems: readonly Problem[] }) =>
    d.problems.map((one) => `${placeOf(one)} ${one.code} ${one.message}`).join('\n'),
  NO_DAEMON: (d: { dataDir: string }) =>
    `No daemon serves ${d.dataDir}. Start it (\`centreond start\`), or name another with --connect.`,
  UNKNOWN_CONTEXT: (d: { name: string; near: string | undefined; there: readonly string[] }) =>
    `There is no context ${d.name}${d.near === undefined ? '.' : `; did you mean ${d.near}?`} There is: ${list(d.there)}. \`centreond context add\` keeps one.`,
  CONTEXT_EXISTS: (d: { name: string }) =>
    `There is a context ${d.name} already, with other flags, and it stays as it is. \`centreond context remove ${d.name}\` makes room.`,
  CONTEXTS_UNREADABLE: (d: { path: string; reason: string }) =>
    `The file of the contexts, ${d.path}, cannot be read: ${d.reason}. Correct it, or move it away.`,
  KEY_UNREADABLE: (d: { path: string; reason: string }) =>
    `The key ${d.path} cannot be read: ${d.reason}. \`centreond keys generate ${d.path}\` makes one.`,
  KEY_EXISTS: (d: { path: string; fingerprint: string }) =>
    `${d.path} exists already and stays as it is; its fingerprint is ${d.fingerprint}.`,
  FOLDER_NOT_EMPTY: (d: { folder: string; files: number }) =>
    `${d.folder} holds ${d.files} files already. Choose another folder with --dir.`,
  FOLDER_UNUSABLE: (d: { folder: string; reason: string }) =>
    `${d.folder} cannot be filled: ${d.reason}. Choose another folder with --dir.`,
  NO_ROWS: (d: { token: string }) =>
    `No rows of ${d.token} can be read here. Its rows may be older than core.store.retention, or another's.`,
  NO_NODES: (d: { router: string }) =>
    `No nodes are linked to the router ${d.router}. \`centreond nodes\` says how to have one.`,
  NO_ADDRESS: () =>
    'The external door listens on every address, and this machine has none that others reach. Name it with --address tcp://host:port.',
  UNKNOWN_ANSWER: (d: { router: string; action: string; reason: string }) =>
    `The router ${d.router} answers ${d.action} in a way that is not known here: ${d.reason} Use a centreond of its version.`,
} as const;

/** The table itself, for the page of all error codes. */
export const CORE_ERROR_TABLE: Readonly<Record<string, unknown>> = SENTENCES;

type Sentences = typeof SENTENCES;

/** A stable code of this table. */
export type CoreErrorCode = keyof Sentences;

/** What a code's sentence has to be told. */
export type CoreErrorDetails<C extends CoreErrorCode> = Parameters<Sentences[C]>[0];

/** A place in a file; line and column count from 1. */
export interface Position {
  file: string;
  line: number;
  column: number;
}

/** A mistake of a config file or of a plugin, with the place where to fix it. */
export interface Problem extends Position {
  code: string;
  message: string;
  severity: 'error' | 'warning';
}

/** The sentence of `code`, filled in. */
export function sentence<C extends CoreErrorCode>(code: C, details: CoreErrorDetails<C>): string {
  return (SENTENCES[code] as (d: CoreErrorDetails<C>) => string)(details);
}

/** Makes the problem of `code` at `at`, an error unless said otherwise. */
export function problem<C extends CoreErrorCode>(
  code: C,
  at: Position,
  details: CoreErrorDetails<C>,
  severity: Problem['severity'] = 'error',
): Problem {
  const { file, line, column } = at;
  return { code, file, line, column, message: sentence(code, details), severity };
}

/** Makes the error of `code`; the caller throws it. */
export function fault<C extends CoreErrorCode>(
  code: C,
  details: CoreErrorDetails<C>,
  options?: ErrorOptions,
): CentreondError {
  return new CentreondError(code, sentence(code, details), { ...options, details: { ...details } });
}

/** `file:line:column`, as editors and terminals open it. */
export function placeOf(at: Position): string {
  return `${at.file}:${at.line}:${at.column}`;
}

/** Problems as one reads: those of `first` first, then file by file, each from top to bottom. */
export function inOrder(problems: readonly Problem[], first: string): Problem[] {
  return problems.toSorted(
    (a, b) =>
      Number(a.file !== first) - Number(b.file !== first) ||
      a.file.localeCompare(b.file) ||
      a.line - b.line ||
      a.column - b.column,
  );
}

function list(words: readonly string[]): string {
  return words.length === 0 ? 'none' : words.join(', ');
}
