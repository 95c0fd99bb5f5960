import 'reflect-metadata';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fieldsOf, manifestMarkdown } from '@centreond/plugin-runtime/describe';
import { Action, Kill, On, Plugin } from '@centreond/plugin-sdk';
import { manifestOf } from '@centreond/plugin-sdk/internal';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { main } from '../../core/dist/cli/main.js';
import { run } from '../../plugin-sdk/kit/dist/build/cli.js';
import { printed } from '../printed.ts';
import { ROOT, tempFolder } from './temp-package.ts';

const City = z.strictObject({
  city: z.string().min(1).refine(Boolean, 'must be known').describe('its name'),
  days: z.int().default(1),
});

@Plugin({
  type: 'weather',
  title: 'Weather of a city',
  config: z.strictObject({ unit: z.enum(['C', 'F']).default('C') }),
  codes: { LOOKING: 120, FOUND: { code: 121, title: 'found' } },
  events: { SEEN: z.strictObject({ city: z.string() }) },
  instances: { key: 'city', start: 'on-demand', idleSeconds: 60 },
})
class Weather {
  @Action('WEATHER', {
    title: 'Ask for the weather',
    description: 'Looks at <the sky>.',
    input: City,
    output: z.strictObject({}),
    effects: 'read',
    idempotent: true,
    inFlight: 'requeue',
  })
  weather() {
    return {};
  }
  @On('REGISTERNODE') node(): void {}
  @Kill({ graceSeconds: 5 }) release(): void {}
}

test('Markdown says all that a manifest says', () => {
  expect(manifestMarkdown(manifestOf(Weather))).toBe(`# \`weather\`: Weather of a city

## \`WEATHER\`: Ask for the weather

Looks at \\<the sky\\>.

For client; reads; idempotent; runs again after a crash; at most 60 s; 100 at once.

### Input

| field | type | default | about |
| --- | --- | --- | --- |
| \`city\` | text, not empty | required | its name |
| \`days\` | integer | 1 |  |

### Output

Nothing.

| field | what only the plugin checks |
| --- | --- |
| \`input.city\` | a refinement ('must be known') |

## Config

| field | type | default | about |
| --- | --- | --- | --- |
| \`unit\` | 'C' or 'F' | "C" |  |

## Codes of its rows

| code | name | says |
| --- | --- | --- |
| \`120\` | LOOKING |  |
| \`121\` | FOUND | found |

## \`SEEN\`: an event that it emits

| field | type | default | about |
| --- | --- | --- | --- |
| \`city\` | text | required |  |

## How it runs

In one process per city, each when it is first asked for; one that had nothing to do for 60 s ends; city is the ID of KILL. KILL lets it release what it holds within 5 s, then ends it. It listens to REGISTERNODE.
`);
});

test('fields are told at every level, in words', () => {
  const Tree = z.strictObject({
    name: z.string(),
    get children() {
      return z.array(Tree);
    },
  });
  const schema = z.strictObject({
    text: z.string().min(2).max(4),
    long: z.string().min(3),
    code: z.string().length(2),
    pattern: z.string().regex(/^a+$/),
    mail: z.email(),
    positive: z.number().positive(),
    percent: z.number().min(0).max(100),
    below: z.number().lt(5),
    many: z.array(z.strictObject({ deep: z.boolean() })).min(1),
    either: z.union([z.string(), z.array(z.string())]).optional(),
    kind: z.discriminatedUnion('type', [
      z.strictObject({ type: z.literal('a'), a: z.int() }),
      z.strictObject({ type: z.literal('b'), b: z.null() }),
    ]),
    map: z.record(z.string(), z.int()),
    pair: z.tuple([z.string(), z.int()]),
    open: z.looseObject({ known: z.string() }),
    any: z.unknown(),
    tree: Tree.optional(),
  });
  const fields = fieldsOf(z.toJSONSchema(schema, { io: 'input' }) as never);
  expect(fields.map(({ path: at, type, required }) => `${at}: ${type}${required ? '' : '?'}`)).toEqual([
    'text: text of 2 to 4 characters',
    'long: text, at least 3 characters',
    'code: text of 2 characters',
    'pattern: text like ^a+$',
    'mail: text (email)',
    'positive: number above 0',
    'percent: number from 0 to 100',
    'below: number below 5',
    'many: object[], not empty',
    'many[].deep: boolean',
    'either: text or text[]?',
    'kind: object',
    "kind.type: 'a' or 'b'",
    'kind.a: integer',
    'kind.b: null',
    'map: object of integer',
    'map.*: integer?',
    'pair: [text, integer]',
    'open: object',
    'open.known: text',
    'open.*: any?',
    'any: any',
    'tree: object?',
    'tree.name: text',
    'tree.children: object[]',
  ]);
});

test('the command lines print it: that of the author, and that of the operator', async () => {
  const folder = path.join(ROOT, 'plugins/action');
  const page = (await printed(() => run(['docs', folder]))).stdout;
  expect(page).toMatch(/^# `action`: Runs commands on this machine\n\n## `COMMAND`: Run a command\n/);
  const config = path.join(tempFolder(), 'centreond.yaml');
  writeFileSync(config, JSON.stringify({ core: { id: 'test' }, plugins: [{ package: folder }] }));
  const plugins = async (...words: string[]) => {
    const { code, stdout } = await printed(() => main(['node', 'centreond', '--config', config, 'plugins', ...words]));
    expect(code).toBe(0);
    return stdout;
  };
  expect(await plugins('action', '--markdown')).toBe(page);
  const text = await plugins('action');
  expect(text).toMatch(/^action: Runs commands on this machine\n\nCOMMAND: Run a command\n/);
  expect(text).toMatch(/\n {4}command +text, not empty or text\[\], not empty +required {2}the program/);
  expect(text).toMatch(/\n {4}truncated +boolean +required /);
  expect(JSON.parse(await plugins('action', '--json'))).toMatchObject({ type: 'action' });
});
