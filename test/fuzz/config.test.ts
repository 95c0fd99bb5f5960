import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { loadConfig } from '../../core/dist/config/config.js';
import { ROOT } from '../daemon-process.ts';
import { fuzz, options, titled } from './campaign.ts';
import type { Dice } from './dice.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'centreond-fuzz-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
mkdirSync(path.join(folder, 'conf.d'));
const FILES = { yaml: path.join(folder, 'centreond.yaml'), json: path.join(folder, 'centreond.json') };
const FRAGMENT = path.join(folder, 'conf.d/10.yaml');

const RICH = `core:
  id: &id central
  dataDir: ./var
  external: { listen: "tcp://127.0.0.1:5555" }
  store: { retention: 7d, maxSize: 4GiB, synchronous: extra }
  session: { idle: 24h }
  maxMessage: 16MiB
  log: { level: warn }
clients:
  trust: strict
  authorized:
    - &one { identity: alice, fingerprint: ${'A'.repeat(43)}, roles: [client, admin] }
    - { <<: *one, identity: bob, fingerprint: ${'B'.repeat(42)}A }
plugins:
  - package: "@centreond/plugin-action"
    restart: { max: 3, within: 60s }
    limits: { memory: 512MiB, stuck: 5s }
    env: { LANG: C }
    config: { a: [1, 2, { b: ~ }], secret: env:SECRET }
`;
const VALID = [
  RICH,
  ...globSync('config/*.yaml', { cwd: ROOT }).map((file) => readFileSync(path.join(ROOT, file), 'utf8')),
  'plugins:\n  - package: ./a\n  - package: ../b\n    enable: false\n',
];
const VALUES = VALID.map((text) => parse(text, { merge: true }) as unknown);

interface Files {
  readonly kind: 'yaml' | 'json';
  readonly text: string;
  readonly fragment: string;
}

/** YAML in its own characters: anchors, aliases, tags, block scalars, flow within flow. */
function soup(dice: Dice): string {
  const tokens = [
    ...[
      'core:',
      'plugins:',
      'clients:',
      'id:',
      'a:',
      '- ',
      '? ',
      ': ',
      '&a ',
      '*a',
      '<<: *a',
      '<<: [*a, *a]',
      '!!set',
      '!!binary',
    ],
    ...[
      '!!js/function',
      '!x ',
      '|\n',
      '>-\n',
      '{',
      '}',
      '[',
      ']',
      ',',
      '"',
      "'",
      '# ',
      '---\n',
      '...\n',
      '%YAML 1.1\n',
      '\t',
      '~',
    ],
    ...['0x1f', '0o17', '.nan', '.inf', '1_000', '2001-12-14', 'yes', '12:30:45', 'null', '\n', '\n  ', '\n    ', ' '],
  ];
  return Array.from({ length: dice.below(60) }, () => (dice.chance(0.9) ? dice.pick(tokens) : dice.anyText(10))).join(
    '',
  );
}

function nested(dice: Dice): string {
  const depth = dice.pick([10, 31, 32, 33, 100, 500]);
  return dice.one([
    () => `core: ${'['.repeat(depth)}${dice.chance(0.5) ? ']'.repeat(depth) : ''}`,
    () => `core: ${'{a: '.repeat(depth)}1${dice.chance(0.5) ? '}'.repeat(depth) : ''}`,
    () => `plugins:\n${Array.from({ length: depth }, (_, i) => `${' '.repeat(i)}- `).join('\n')}`,
    () => `core:\n${Array.from({ length: depth }, (_, i) => `${' '.repeat(i + 1)}a:`).join('\n')}`,
    () => `${'- '.repeat(depth)}1`,
    () =>
      Array.from({ length: depth }, (_, i) => `x${i}: &x${i} [${i === 0 ? 1 : `*x${i - 1}, *x${i - 1}`}]`).join('\n'),
  ]);
}

function files(dice: Dice): Files {
  const kind = dice.chance(0.75) ? 'yaml' : 'json';
  const value = () => dice.mutatedJson(dice.pick(VALUES), 0.04);
  const text = dice.one([
    () => dice.mutated(Buffer.from(dice.pick(VALID)), Buffer.from(dice.pick(VALID))).toString('latin1'),
    () => (kind === 'json' ? JSON.stringify(value()) : stringify(value())),
    () => (kind === 'json' ? JSON.stringify(value()) : stringify(value())),
    () => dice.mutated(Buffer.from(JSON.stringify(value()))).toString('latin1'),
    () => soup(dice),
    () => dice.pick(VALID) + soup(dice),
    () => nested(dice),
  ]);
  return {
    kind,
    text,
    fragment: dice.chance(0.8)
      ? ''
      : dice.one([() => soup(dice), () => stringify({ plugins: dice.mutatedJson([{ package: './c' }], 0.2) })]),
  };
}

test(titled('a config of any text loads, or each of its problems has a place and a sentence'), options, () =>
  fuzz<Files>({
    name: 'config',
    cases: 150_000,
    make: files,
    async run({ kind, text, fragment }) {
      writeFileSync(FILES[kind], text);
      writeFileSync(FRAGMENT, fragment);
      const { config, scope, problems } = await loadConfig({ file: FILES[kind], cwd: folder, systemFolder: folder });
      const hasError = problems.some(({ severity }) => severity === 'error');
      if (hasError === (config !== undefined))
        throw new Error(`${problems.length} problems, config ${config !== undefined}`);
      if (!scope) throw new Error('a file that exists was not found');
      const lines = { [FILES[kind]]: text.split(/\r\n|\r|\n/).length, [FRAGMENT]: fragment.split(/\r\n|\r|\n/).length };
      for (const { code, message, file, line, column } of problems) {
        const isPlaced = line >= 1 && column >= 1 && line <= (lines[file] ?? 0);
        if (!isPlaced) throw new Error(`${code} stands at ${file}:${line}:${column}`);
        if (message.trim() === '' || /\bundefined\b|\[object /.test(message)) throw new Error(`${code}: ${message}`);
      }
    },
    show: (one) => JSON.stringify(one),
  }),
);
