import { hostname } from 'node:os';
import { RESERVED_TYPES, TYPE_PATTERN } from '@centreond/plugin-sdk/internal';
import { LABEL } from '@centreond/plugin-sdk/nodes';
import { isAction, isIdentity, isTarget } from '@centreond/protocol';
import { z } from 'zod';
import { describe } from '../words.ts';
import { DAY, duration, leaf, MIB, size, text } from './leaves.ts';
import { Limits } from './limits.ts';
import { isReference } from './secret.ts';
import type { Refusal } from './units.ts';

function identity(description: string) {
  return text(
    'CONFIG_BAD_IDENTITY',
    'an identity',
    { description, pattern: '^(?!(\\.{1,2}|all)$)[A-Za-z0-9._-]{1,64}$' },
    // `all` stands for every node.
    (word) => isIdentity(word) && word !== 'all',
  );
}

// 43 characters hold 258 bits, so the last one of a canonical SHA-256 ends in two zero bits.
const FINGERPRINT = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;

/** Whether `text` is the fingerprint of a key. */
export function isFingerprint(text: string): boolean {
  return FINGERPRINT.test(text);
}

const ADDRESS = /^tcp:\/\/(?<host>\*|\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]{1,64}):(?<port>\*|[0-9]{1,5})$/;

function parseListen(value: unknown): string | Refusal {
  if (typeof value !== 'string') return { refused: `cannot be ${describe(value)}` };
  const parts = ADDRESS.exec(value)?.groups;
  if (!parts) return { refused: `cannot be ${describe(value)}` };
  if (parts.port !== '*' && Number(parts.port) > 65_535)
    return { refused: `has the port ${parts.port}, and the last one is 65535` };
  // ZeroMQ binds to addresses and network interfaces and resolves no names.
  if (parts.host === 'localhost') return { refused: 'names localhost, which cannot be listened on' };
  return value;
}

function parsePath(value: unknown): string | Refusal {
  if (typeof value !== 'string' || value === '') return { refused: `must be a path, not ${describe(value)}` };
  if (value.includes('\0')) return { refused: 'holds a zero byte' };
  if (value.startsWith('~')) return { refused: 'starts with ~, which only a shell expands' };
  return value;
}

/** A URL that may hold a password: what is said of it never shows it. */
function parseUrl(value: unknown): string | Refusal {
  if (typeof value !== 'string') return { refused: `must be a URL, not ${describe(value)}` };
  if (isReference(value)) return value;
  if (/^postgres(ql)?:\/\/./.test(value)) return value;
  return { refused: 'is not a URL of PostgreSQL; write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE' };
}

/** Where other machines reach the external door: a name or an address of one machine. */
function parseAdvertise(value: unknown): string | Refusal {
  const { host = '*', port = '*' } = (typeof value === 'string' && ADDRESS.exec(value)?.groups) || {};
  if (host !== '*' && host !== '0.0.0.0' && host !== '[::]' && Number(port) >= 1 && Number(port) <= 65_535)
    return String(value);
  return {
    refused: `cannot be ${describe(value)}: it names one machine and a port, as in tcp://central-a.example:5555`,
  };
}

function parseNats(value: unknown): string | Refusal {
  const servers = typeof value === 'string' ? value.split(',') : [];
  const isNats = (one: string) => /^(nats|tls):\/\/(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$/.test(one.trim());
  if (servers.length > 0 && servers.every(isNats)) return servers.map((one) => one.trim()).join(',');
  return {
    refused:
      'is not a list of NATS servers; write nats://HOST:PORT, several with commas between them, and put what they are to be told into credentials',
  };
}

function parseReference(value: unknown): string | Refusal {
  if (typeof value === 'string' && isReference(value)) return value;
  return { refused: 'is a secret; write file:PATH or env:NAME of what holds it' };
}

/** The router's id where the file names none: the host's name, as far as an identity can hold it. */
export function defaultId(host: string = hostname()): string {
  const id = host.replaceAll(/[^A-Za-z0-9._-]+/g, '-').slice(0, 64);
  return isIdentity(id) ? id : 'centreond';
}

export const ROLES = ['client', 'node', 'router', 'admin'] as const;

const Client = z
  .strictObject({
    identity: identity('Who the client is; bound to its key.'),
    fingerprint: text(
      'CONFIG_BAD_FINGERPRINT',
      'a fingerprint',
      { description: "RFC 7638 thumbprint of the client's key.", pattern: FINGERPRINT.source },
      isFingerprint,
    ),
    roles: z.array(z.enum(ROLES)).min(1).describe('What it may do: client, node, router, admin.'),
    actions: z
      .array(
        text(
          'CONFIG_BAD_VALUE',
          'the name of an action',
          { description: 'An action.', pattern: '^[A-Z][A-Z0-9_-]{0,63}$' },
          isAction,
        ),
      )
      .describe("The only actions it may ask for; all of its roles' when left out.")
      .optional(),
    targets: z
      .array(
        text(
          'CONFIG_BAD_VALUE',
          'the id of a node',
          { description: 'A node id.', pattern: '^[A-Za-z0-9._-]{1,64}$' },
          (value) => value !== '' && isTarget(value),
        ),
      )
      .describe('The only nodes it may send to; all when left out.')
      .optional(),
    subnodes: z.array(identity('A node id.')).describe('Nodes that may be reached through this node.').optional(),
  })
  .describe('A client, node, router or admin by its key.');

/** One entry of `plugins`. */
export const PluginPart = z
  .strictObject({
    package: text(
      'CONFIG_BAD_VALUE',
      'a package name, or a path that starts with ./, ../ or /',
      { description: 'A package name, or a path to a package folder.', minLength: 1 },
      (value) => isPackagePath(value) || PACKAGE_NAME.test(value),
    ),
    as: text(
      'CONFIG_BAD_VALUE',
      'a type of its own: a small letter and up to 63 of a-z 0-9 -, neither core nor local',
      {
        description:
          "The plugin's type here, in place of the package's own: it runs beside others of that package, and the names of its actions start with it (weather-eu: WEATHER_EU_FORECAST).",
        pattern: '^(?!(core|local)$)[a-z][a-z0-9-]{0,63}$',
      },
      (value) => TYPE_PATTERN.test(value) && !RESERVED_TYPES.has(value),
    ).optional(),
    enable: z.boolean().default(true).describe('Whether to run it.'),
    restart: z
      .strictObject({
        max: z.int().min(0).max(1_000).default(5).describe('Restarts allowed…'),
        within: duration('…in this time; one more and it is quarantined.').prefault('60s'),
      })
      .prefault({})
      .describe('How often it may end before it is quarantined.'),
    process: z
      .enum(['own', 'shared'])
      .default('own')
      .describe(
        'Whether it has processes of its own, or one that it shares with all plugins that are marked so: they end and restart together.',
      ),
    allowCore: z.boolean().default(false).describe("Lets a plugin that is built for it run in the daemon's process."),
    allowCallers: z
      .boolean()
      .default(false)
      .describe('Lets a plugin that is a door of its own, such as an HTTP API, call for those whom it lets in.'),
    startTimeout: duration('How long it may take to start.').prefault('30s'),
    limits: z
      .strictObject({
        memory: size('Memory of each process; one that uses more is ended.', 16 * MIB, 1_024 ** 5).prefault('1GiB'),
        instances: z
          .int()
          .min(1)
          .max(10_000)
          .describe('Processes of a plugin with an instance for each key that may run at once.')
          .optional(),
        niceness: z.int().min(-20).max(19).describe('Scheduling priority, 19 giving way to all.').optional(),
        processes: z.int().min(1).describe('Processes that one of its instances may have, itself included.').optional(),
        stuck: duration('How long its event loop may be stuck before it is ended.', { min: 1000 }).prefault('10s'),
      })
      .prefault({})
      .describe('What its processes may use.'),
    env: z
      .record(
        z.string().regex(/^(?!CENTREOND_)[^=\0]+$/, 'must be a name without = that does not start with CENTREOND_'),
        z.string().regex(/^[^\0]*$/, 'must not contain a zero byte'),
      )
      .default({})
      .describe(
        "Environment variables of its processes and of what they start. Of the daemon's own they get only PATH, HOME, USER, LOGNAME, SHELL, LANG, LANGUAGE, LC_*, TZ and TMPDIR, and those that its config names as secrets (env:NAME).",
      ),
    config: z.record(z.string(), z.unknown()).default({}).describe("The plugin's own settings."),
  })
  .describe('A plugin to host.');

// npm's rule, and names of old that have capitals.
const PACKAGE_NAME = /^(@[A-Za-z0-9._~-]+\/)?[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,213}$/;

/** Whether a `package` is the path to a folder rather than a name. */
export function isPackagePath(value: string): boolean {
  return /^(\.{1,2}(\/|$)|\/)/.test(value);
}

const Plugins = z.array(PluginPart).default([]).describe('The plugins to host, in order.');

const Core = z
  .strictObject({
    id: identity("This router's node id; the host's name when left out.").optional(),
    name: z.string().min(1).max(255).describe('What people call it.').optional(),
    labels: z
      .record(
        z.string().regex(LABEL.key, 'must be a small letter and up to 62 of a-z 0-9 _ . -'),
        z.string().max(LABEL.characters),
      )
      .refine((labels) => Object.keys(labels).length <= LABEL.most, `must be at most ${LABEL.most} labels`)
      .default({})
      .describe('What it is chosen by where it is a node (call --label), such as site: paris.'),
    dataDir: leaf(
      'CONFIG_BAD_VALUE',
      'a path',
      { description: 'Keys, history, sockets; relative to this file.' },
      parsePath,
    ).prefault('./var'),
    external: z
      .strictObject({
        listen: leaf(
          'CONFIG_BAD_ADDRESS',
          'an address',
          {
            description: 'tcp://ADDRESS:PORT; * for any.',
            pattern: '^tcp://.+:([0-9]{1,5}|\\*)$',
          },
          parseListen,
        ),
        advertise: leaf(
          'CONFIG_BAD_VALUE',
          'an address',
          {
            description:
              'tcp://HOST:PORT by which other machines reach this door: what join codes name, and what the routers of a cluster tell of each other.',
            pattern: '^tcp://[^*]+:[0-9]{1,5}$',
          },
          parseAdvertise,
        ).optional(),
      })
      .optional()
      .describe('The encrypted door; none when left out.'),
    store: z
      .strictObject({
        driver: z
          .enum(['sqlite', 'postgres'])
          .default('sqlite')
          .describe('What keeps it: a file in dataDir, or a database of PostgreSQL 14 or later.'),
        url: leaf(
          'CONFIG_BAD_VALUE',
          'a URL',
          {
            description:
              'With postgres: postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or file:PATH or env:NAME of what holds that.',
          },
          parseUrl,
        ).optional(),
        // An acknowledged request has to be on disk, so nothing weaker is offered.
        synchronous: z
          .enum(['full', 'extra'])
          .default('full')
          .describe(
            "SQLite's pragma: both have what was acknowledged on disk, extra also the names in the folder. PostgreSQL: both are synchronous_commit = on.",
          ),
        retention: duration('How long ended tokens are kept.', { min: DAY, max: 36_500 * DAY }).prefault('7d'),
        maxSize: size('Size at which old tokens are purged.', 16 * MIB, 1_024 ** 5).prefault('4GiB'),
      })
      .prefault({})
      .describe('The history on disk.'),
    cluster: z
      .strictObject({
        name: identity('What the routers of one cluster call it. All of them have the same one.'),
        nats: leaf(
          'CONFIG_BAD_VALUE',
          'NATS servers',
          { description: 'nats://HOST:PORT or tls://HOST:PORT, several with commas between them.' },
          parseNats,
        ),
        credentials: leaf(
          'CONFIG_BAD_VALUE',
          'a secret',
          {
            description:
              'file:PATH or env:NAME of what NATS is to be told: a .creds file, USER:PASSWORD, or a token. None if omitted.',
          },
          parseReference,
        ).optional(),
      })
      .optional()
      .describe('Several routers as one, with store.driver: postgres. One router by itself if omitted.'),
    limits: Limits,
    session: z
      .strictObject({ idle: duration('Idle sessions end after this.').prefault('24h') })
      .prefault({})
      .describe('Sessions at the encrypted door.'),
    maxMessage: size('The largest message taken.', 8_192, 256 * MIB).prefault('16MiB'),
    log: z
      .strictObject({
        level: z
          .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
          .default('info')
          .describe('The least that is logged.'),
      })
      .prefault({})
      .describe("The daemon's log, on standard error."),
  })
  .prefault({})
  .describe('The router itself.');

/** The whole config file: the one source of its keys, checks, defaults and of the editors' schema. */
export const ConfigFile = z.strictObject({
  $schema: z.string().optional().describe('For editors.'),
  core: Core,
  clients: z
    .strictObject({
      trust: z
        .enum(['pending', 'strict'])
        .default('pending')
        .describe('Unknown keys are listed for the operator (pending) or refused.'),
      authorized: z.array(Client).default([]),
    })
    .prefault({})
    .describe('Who may connect.'),
  plugins: Plugins,
});

/** A file of conf.d: plugins only. */
export const Fragment = z.strictObject({ $schema: z.string().optional(), plugins: Plugins });

export type FilePart = z.output<typeof ConfigFile>;
export type ClientPart = z.output<typeof Client>;
export type PluginSettings = z.output<typeof PluginPart>;

/** The JSON Schema (draft 7, which editors know best) of what may be written for `schema`. */
export function jsonSchemaOf(schema: z.ZodType): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(schema, { io: 'input', target: 'draft-7' });
}
