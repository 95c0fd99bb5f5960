import { createHash } from 'node:crypto';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, test } from 'vitest';
import { placedConfig, secretVariables } from '../../core/dist/config/config.js';
import { findPlugins } from '../../core/dist/config/discovery.js';
import type { PluginEntry } from '../../core/dist/config/entry.js';
import { plainSource } from '../../core/dist/config/source.js';
import { Registry } from '../../core/dist/router/registry.js';
import { ROOT } from '../daemon-process.ts';
import { fuzz, options, titled } from './campaign.ts';
import type { Dice } from './dice.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'centreond-fuzz-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const PLUGIN = path.join(folder, 'plugin');
mkdirSync(path.join(PLUGIN, 'dist'), { recursive: true });
writeFileSync(path.join(PLUGIN, 'dist/index.js'), '');

const texts = globSync('{plugins,test/fixtures}/*/plugin.manifest.json', { cwd: ROOT }).map((file) =>
  readFileSync(path.join(ROOT, file), 'utf8'),
);
const VALID = texts.map((text) => JSON.parse(text) as Record<string, unknown>);
const PACKAGE = { name: 'fuzzed', version: '1.0.0', exports: { '.': { types: './x', default: './dist/index.js' } } };
const CODES = /^(PLUGIN|CONFIG|TYPE|ACTION)_[A-Z_]+$/;

interface Written {
  readonly manifest: string;
  readonly package: string;
  readonly config: object;
}

/** JSON Schemas with what compilers of them trip over. */
function schema(dice: Dice, depth = 3): unknown {
  const inner = () => (depth > 0 ? schema(dice, depth - 1) : {});
  return dice.one<unknown>([
    () => ({
      type: dice.pick(['object', 'string', 'array', 'integer', 'null', 'nothing']),
      ...(dice.chance(0.2) && { x: 1 }),
    }),
    () => ({
      type: 'object',
      properties: { a: inner(), [dice.word()]: inner() },
      required: dice.list(2, () => dice.word()),
    }),
    () => ({
      $ref: dice.pick(['#', '#/$defs/a', '#/properties/a', 'http://example.com/x', '#/__proto__', dice.word()]),
      $defs: { a: inner() },
    }),
    () => ({
      [dice.pick(['allOf', 'anyOf', 'oneOf', 'items', 'not', 'if', 'prefixItems'])]: dice.chance(0.7)
        ? [inner()]
        : inner(),
    }),
    () => ({ pattern: dice.pick(['(', '^(a+)+$', '\\p{L}', '[', dice.word()]), type: 'string' }),
    () => ({
      format: dice.pick(['centreond-path', 'centreond-secret', 'centreond-secret-reference', 'date-time', dice.word()]),
      type: 'string',
    }),
    () => ({ $id: dice.word(), $anchor: dice.word(), $schema: dice.word() }),
    () => ({ minimum: dice.json(0), maxLength: dice.json(0), enum: dice.json(1), const: dice.json(1) }),
    () => dice.json(2),
  ]);
}

function hashed(declared: unknown): Record<string, unknown> {
  const { hash: _, sdk, ...rest } = Object(declared) as Record<string, unknown>;
  return { ...rest, sdk, hash: createHash('sha256').update(JSON.stringify(rest)).digest('hex') };
}

function written(dice: Dice): Written {
  const valid = dice.pick(VALID);
  const manifest = dice.one<() => string>([
    () => () => JSON.stringify(hashed(dice.mutatedJson(valid, 0.01))),
    () => () => JSON.stringify(hashed({ ...valid, config: schema(dice) })),
    () => () => {
      const actions = (valid.actions as object[]).map((one) =>
        dice.chance(0.3) ? { ...one, input: schema(dice) } : one,
      );
      return JSON.stringify(hashed({ ...valid, actions }));
    },
    () => () => JSON.stringify(dice.mutatedJson(valid, 0.02)),
    () => () => dice.mutated(Buffer.from(JSON.stringify(valid))).toString('latin1'),
    () => () => dice.pick(['[', '{"a":', '{"api":1,"x":']).repeat(dice.below(20_000)),
  ])();
  const pkg = dice.chance(0.8) ? PACKAGE : dice.mutatedJson(PACKAGE, 0.2);
  return {
    manifest,
    package: dice.chance(0.97)
      ? JSON.stringify(pkg)
      : dice.mutated(Buffer.from(JSON.stringify(pkg))).toString('latin1'),
    config: dice.one<object>([
      () => ({}),
      () => ({ a: dice.json(2) }),
      () => Object(dice.mutatedJson({ ledger: 'x', nodes: [], jobs: {} }, 0.3)),
    ]),
  };
}

function entryOf(config: object): PluginEntry {
  const file = path.join(folder, 'centreond.json');
  const source = plainSource(file, { plugins: [{ package: './plugin', config }] });
  return {
    package: './plugin',
    enable: true,
    restart: { max: 5, within: 60_000 },
    process: 'own',
    allowCore: true,
    allowCallers: false,
    startTimeout: 30_000,
    limits: { memory: 2 ** 30, stuck: 10_000 },
    env: {},
    config: config as Record<string, unknown>,
    source,
    path: ['plugins', 0],
    at: source.at(['plugins', 0]),
  };
}

test(titled('a manifest of any content is a plugin or a problem with a sentence'), options, () =>
  fuzz<Written>({
    name: 'manifest',
    cases: 150_000,
    make: written,
    run({ manifest, package: pkg, config }) {
      writeFileSync(path.join(PLUGIN, 'plugin.manifest.json'), manifest);
      writeFileSync(path.join(PLUGIN, 'package.json'), pkg);
      const entry = entryOf(config);
      const scope = { file: path.join(folder, 'centreond.json'), core: { dataDir: folder }, plugins: [entry] };
      const { found, plugins, problems } = findPlugins(scope, ['GETLOG', 'PING']);
      for (const { code, message } of problems) {
        if (!CODES.test(code) || message.trim() === '' || message.includes('[object '))
          throw new Error(`${code}: ${message}`);
      }
      if (plugins.length === 0 && problems.length === 0) throw new Error('neither a plugin nor a problem');
      for (const { manifest: declared } of plugins) {
        placedConfig(entry, declared);
        secretVariables(entry, declared);
      }
      for (const { manifest: declared } of found) register(declared);
    },
    show: (one) => JSON.stringify(one),
  }),
);

/** The registry refuses a schema that does not compile by an Error that says so, and takes nothing of the plugin then. */
function register(declared: Parameters<Registry['add']>[0]): void {
  const registry = new Registry();
  try {
    registry.add(declared, {} as never);
  } catch (error) {
    if (!(error instanceof Error) || error.constructor !== Error || registry.actions.length > 0) throw error;
  }
}
