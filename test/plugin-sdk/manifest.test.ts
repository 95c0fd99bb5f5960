import 'reflect-metadata';
import { Action, Kill, On, Plugin, type PluginClass } from '@centreond/plugin-sdk';
import { manifestOf } from '@centreond/plugin-sdk/internal';
import { fromJsonSchema } from '@centreond/plugin-sdk/json-schema';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';

const Nothing = z.strictObject({});

describe('what JSON Schema cannot say is named with its path', () => {
  const Node = z.strictObject({
    name: z.string(),
    get children() {
      return z.array(Node).refine((list) => list.length < 9, 'has too many');
    },
  });
  const Input = z
    .strictObject({
      name: z.string().refine((text) => text !== 'x', 'must not be x'),
      list: z.array(z.strictObject({ deep: z.string().superRefine(() => {}) })),
      map: z.record(z.string().regex(/^[a-z]+$/i), z.string().trim()),
      either: z.union([z.string().check(() => {}), z.number()]),
      when: z.date().optional(),
      later: z.coerce.date().optional(),
      count: z.coerce.number().optional(),
      made: z.preprocess((value) => value, z.string()),
      length: z.string().transform((text) => text.length),
      link: z.url(),
      calm: z.string().catch('x'),
      own: z.custom<string>(() => true).optional(),
      tree: Node.optional(),
      plain: z.email().min(3).max(9).optional(),
    })
    .refine(() => true, 'must agree');

  @Plugin({ type: 'sample', title: 'A sample', config: z.strictObject({ a: z.string().refine(Boolean, 'be') }) })
  class Sample {
    @Action('LOOK', { title: 'Look', input: Input, output: z.strictObject({ at: z.date() }) })
    look() {
      return { at: new Date(0) };
    }
  }
  const manifest = manifestOf(Sample);

  test('in an input', () => {
    expect(manifest.actions[0]?.unexpressed.filter((what) => what.startsWith('input'))).toEqual([
      "input: a refinement ('must agree')",
      "input.name: a refinement ('must not be x')",
      'input.list[].deep: a refinement',
      "input.map.<key>: the flags 'i' of its pattern; the router reads it without",
      'input.map.*: it is rewritten before it is checked (trim, toLowerCase or the like)',
      'input.either: a refinement',
      'input.when: a Date, which JSON cannot hold',
      'input.later: a Date, made of what comes (coerce)',
      'input.count: a number made of what comes (coerce); the router takes only what is one already',
      'input.made: a preprocess; the router takes only what fits the schema after it',
      'input.length: a transform',
      'input.link: the format url',
      'input.calm: a wrong value is replaced (catch); the router refuses it',
      'input.own: a check of its own (custom or instanceof)',
      "input.tree.children: a refinement ('has too many')",
    ]);
  });

  test('in an output and in the config', () => {
    expect(manifest.actions[0]?.unexpressed).toContain('output.at: a Date, which JSON cannot hold');
    expect(manifest.unexpressed).toEqual(["config.a: a refinement ('be')"]);
  });

  test('while the rest is still described', () => {
    expect(manifest.actions[0]?.input).toMatchObject({
      properties: { when: {}, either: { type: ['string', 'number'] }, list: { items: { required: ['deep'] } } },
      additionalProperties: false,
    });
  });
});

test('a schema of another library is described, and said to demand more perhaps', () => {
  const other = {
    '~standard': {
      version: 1,
      vendor: 'homemade',
      validate: (value: unknown) => ({ value: value as Record<string, never> }),
      jsonSchema: {
        input: () => ({ type: 'object' }),
        output: () => {
          throw new Error('outputs cannot be described');
        },
      },
    },
  } as const;
  @Plugin({ type: 'sample', title: 'A sample' })
  class Sample {
    @Action('LOOK', { title: 'Look', input: other, output: other })
    look() {
      return {};
    }
  }
  const [action] = manifestOf(Sample).actions;
  expect(action?.input).toEqual({ type: 'object' });
  expect(action?.output).toEqual({});
  expect(action?.unexpressed).toEqual([
    'input: homemade does not tell what its schema demands beyond this JSON Schema',
    'output: outputs cannot be described',
  ]);
});

test('events that a plugin emits are in its manifest with what they carry', () => {
  @Plugin({ type: 'sample', title: 'A sample', events: { SEEN: z.strictObject({ at: z.string().refine(Boolean) }) } })
  class Sample {}
  const manifest = manifestOf(Sample);
  expect(manifest.emits).toMatchObject([{ name: 'SEEN', schema: { properties: { at: { type: 'string' } } } }]);
  expect(manifest.unexpressed).toEqual(['events.SEEN.at: a refinement']);
});

test('a placement is in the manifest only where it is not that of every plugin built before', () => {
  const declared = (placement?: 'each' | 'one') => {
    @Plugin({ type: 'sample', title: 'A sample', ...(placement && { placement }) })
    class Sample {}
    return manifestOf(Sample);
  };
  expect(declared('one').placement).toBe('one');
  expect(declared('each')).toEqual(declared());
  expect(declared()).not.toHaveProperty('placement');
  expect(declared('one').hash).not.toBe(declared().hash);
});

describe('a declaration that does not hold is refused with what and where', () => {
  interface Spoilt {
    plugin?: object;
    action?: object;
    name?: string;
    method?: string;
    more?: (prototype: object) => void;
  }
  function spoilt({ plugin, action, name = 'LOOK', method = 'look', more }: Spoilt): string {
    class Sample {
      look() {
        return {};
      }
    }
    const options = { title: 'Look', input: Nothing, output: Nothing, ...action };
    const decorate = Action(name, options as never) as (target: object, key: string) => void;
    decorate(Sample.prototype, method);
    more?.(Sample.prototype);
    Plugin({ type: 'sample', title: 'A sample', ...plugin } as never)(Sample);
    try {
      manifestOf(Sample);
    } catch (error) {
      return `${(error as { code: string }).code}: ${(error as Error).message}`;
    }
    return 'taken';
  }
  const cases: Record<string, [Spoilt, string]> = {
    'a sound one': [{}, 'taken'],
    'a method that is not there': [{ method: 'gone' }, "@Action('LOOK'): the class has no method gone"],
    'a verb of the link as action': [{ name: 'READY' }, 'READY is a verb of the protocol'],
    'a verb of the protocol as action': [{ name: 'ACK' }, 'ACK is a verb of the protocol'],
    'an action twice': [{ more: (p) => again(p) }, 'it declares the action LOOK twice'],
    'a code below 10': [{ plugin: { codes: { LOW: 9 } } }, 'its code LOW is 9'],
    'a code without words as its title': [
      { plugin: { codes: { A: { code: 20, title: ' ' } } } },
      'the title of its code A',
    ],
    'a titled code twice': [
      { plugin: { codes: { A: 20, B: { code: 20, title: 'b' } } } },
      'its codes A and B are both 20',
    ],
    'a code twice': [{ plugin: { codes: { A: 20, B: 20 } } }, 'its codes A and B are both 20'],
    'a type that is none': [{ plugin: { type: 'Sample' } }, "its type 'Sample' is not [a-z]"],
    'no title': [{ plugin: { title: '' } }, 'its title is empty'],
    'no title of an action': [{ action: { title: '' } }, "@Action('LOOK'): its title is empty"],
    'an access that is none': [{ action: { access: 'everybody' } }, 'access is everybody; it takes client'],
    'a requeue that is not idempotent': [{ action: { inFlight: 'requeue' } }, 'it has to be idempotent: true'],
    'a concurrency of 0': [{ action: { concurrency: 0 } }, 'concurrency is 0'],
    'a timeout of 0': [{ action: { timeoutSeconds: 0 } }, 'timeoutSeconds is 0'],
    'an input that is no object': [{ action: { input: z.string() } }, 'its input must be an object'],
    'an input with the envelope’s key': [{ action: { input: z.strictObject({ $: z.string() }) } }, "has a key '$'"],
    'a config that is no object': [{ plugin: { config: z.array(z.string()) } }, 'its config must be an object'],
    'an event’s name that is none': [{ plugin: { events: { seen: Nothing } } }, "its event 'seen' is no"],
    'an event of the core’s': [
      { plugin: { events: { REGISTERNODE: Nothing } } },
      'REGISTERNODE is the core’s'.replace('’', "'"),
    ],
    'a listener without method': [
      { more: (p) => On('SEEN')(p, 'gone', {}) },
      "@On('SEEN'): the class has no method gone",
    ],
    'two listeners to one event in one and in each instance': [
      { more: (p) => [On('SEEN')(p, 'look', {}), On('SEEN', { in: 'one' })(p, 'look', {})] },
      "@On('SEEN'): look and look differ in { in }",
    ],
    'a kill handler without method': [{ more: (p) => kill(p, 'gone', 1) }, '@Kill: the class has no'],
    'a grace that is none': [{ more: (p) => kill(p, 'look', -1) }, '@Kill: graceSeconds is no number from 0 to 86400'],
    'an empty pool': [{ plugin: { instances: { pool: 0 } } }, 'instances.pool is no whole number'],
    'a placement that is none': [{ plugin: { placement: 'some' } }, 'placement is some; it takes each, one'],
    'a placement on one router in the core': [
      { plugin: { placement: 'one', isolation: 'core' } },
      "isolation 'core' has none to end",
    ],
    'a pool in the core': [{ plugin: { instances: { pool: 2 }, isolation: 'core' } }, 'no processes to pool'],
    'a secret in an input, which only the config has': [
      { action: { input: z.strictObject({ key: z.array(z.string().meta({ format: 'centreond-secret' })) }) } },
      'it marks a string as centreond-secret, which only the config has',
    ],
    'a key that the input lacks': [
      { plugin: { instances: { key: 'city', start: 'eager' } } },
      "@Action('LOOK'): its input has no field city, which is the key of the plugin's instances",
    ],
    'a key that may be left out': [
      {
        plugin: { instances: { key: 'city', start: 'on-demand' } },
        action: { input: z.strictObject({ city: z.string().optional() }) },
      },
      "its input's field city is the key of the plugin's instances and cannot be left out",
    ],
    'a key below a field that the input does not have': [
      {
        plugin: { instances: { key: 'url.host', start: 'eager' } },
        action: { input: z.strictObject({ host: z.string() }) },
      },
      "its input has no field url, which is part of url.host, the key of the plugin's instances",
    ],
    'a key that an object does not have': [
      {
        plugin: { instances: { key: 'url.host', start: 'eager' } },
        action: { input: z.strictObject({ url: z.strictObject({ port: z.int() }) }) },
      },
      "its input's field url has no field host, which is part of url.host",
    ],
    'a key in an object that may be omitted': [
      {
        plugin: { instances: { key: 'url.host', start: 'eager' } },
        action: { input: z.strictObject({ url: z.strictObject({ host: z.string() }).optional() }) },
      },
      "its input's field url is part of url.host, the key of the plugin's instances and cannot be left out",
    ],
    'a key in a list': [
      {
        plugin: { instances: { key: 'urls.host', start: 'eager' } },
        action: { input: z.strictObject({ urls: z.array(z.strictObject({ host: z.string() })) }) },
      },
      "its input's field urls can be an array, which has no field host",
    ],
    'a key in a text': [
      {
        plugin: { instances: { key: 'url.host', start: 'eager' } },
        action: { input: z.strictObject({ url: z.string() }) },
      },
      "its input's field url can be a string, which has no field host",
    ],
    'a key in what may be null': [
      {
        plugin: { instances: { key: 'url.host', start: 'eager' } },
        action: { input: z.strictObject({ url: z.strictObject({ host: z.string() }).nullable() }) },
      },
      "its input's field url can be null, which has no field host",
    ],
    'a key that one of several forms does not have': [
      {
        plugin: { instances: { key: 'url.host', start: 'eager' } },
        action: {
          input: z.strictObject({
            url: z.union([z.strictObject({ host: z.string() }), z.strictObject({ ip: z.string() })]),
          }),
        },
      },
      "its input's field url has no field host",
    ],
    'a key that every object inherits': [
      {
        plugin: { instances: { key: 'url.constructor', start: 'eager' } },
        action: { input: z.strictObject({ url: z.strictObject({ host: z.string() }) }) },
      },
      "its input's field url has no field constructor",
    ],
    'a key with a field without a name': [
      { plugin: { instances: { key: 'url..host', start: 'eager' } } },
      "instances.key is 'url..host'; it names a field",
    ],
    'a key at the end of a path that is a list': [
      {
        plugin: { instances: { key: 'url.hosts', start: 'eager' } },
        action: { input: z.strictObject({ url: z.strictObject({ hosts: z.array(z.string()) }) }) },
      },
      "its input's field url.hosts is an array; a key is text or a number",
    ],
    'a key that is a list': [
      {
        plugin: { instances: { key: 'city', start: 'on-demand' } },
        action: { input: z.strictObject({ city: z.array(z.string()) }) },
      },
      "its input's field city is an array",
    ],
  };
  function kill(prototype: object, method: string, graceSeconds: number): void {
    Kill({ graceSeconds })<() => void>(prototype, method, {});
  }
  function again(prototype: object): void {
    const decorate = Action('LOOK', { title: 'Look', input: Nothing, output: Nothing }) as (
      t: object,
      k: string,
    ) => void;
    decorate(prototype, 'look');
  }
  test.each(Object.entries(cases))('%s', (_, [given, expected]) => {
    const answer = spoilt(given);
    expect(answer).toContain(expected);
    if (expected !== 'taken') expect(answer).toMatch(/^INVALID_PLUGIN: /);
  });

  test('a class without @Plugin', () => {
    expect(() => manifestOf(class Bare {})).toThrow('Bare cannot be used: its class has no @Plugin');
  });

  type Standard = (method: object, context: object) => void;
  test('standard decorators, where the tsconfig omits experimentalDecorators', () => {
    const decorate = Plugin({ type: 'sample', title: 'A sample' }) as (target: PluginClass, context: object) => void;
    expect(() => decorate(class {}, { kind: 'class', name: 'Sample' })).toThrow('"experimentalDecorators": true');
    const method = Action('LOOK', { title: 'Look', input: Nothing, output: Nothing }) as unknown as Standard;
    expect(() => method(() => ({}), { kind: 'method', name: 'look' })).toThrow('"experimentalDecorators": true');
  });
});

describe('a schema that does not describe itself is refused where it is declared, with the adapter to use', () => {
  const validate = (value: unknown) => ({ value });
  const standard = (vendor: string) => ({ '~standard': { version: 1, vendor, validate } });
  const cases: Record<string, [unknown, string]> = {
    'plain valibot': [standard('valibot'), 'wrap it in toStandardJsonSchema() of @valibot/to-json-schema'],
    'an old zod': [standard('zod'), 'update zod to 4.2 or newer'],
    'an old arktype': [Object.assign(() => {}, standard('arktype')), 'update arktype to'],
    'another library': [standard('homemade'), 'use the adapter of homemade for Standard JSON Schema'],
    'typebox 1': [{ '~kind': 'Object', type: 'object', properties: {} }, 'wrap it in fromJsonSchema() of @centreond/'],
    'typebox 0': [{ [Symbol.for('TypeBox.Kind')]: 'Object', type: 'object' }, 'a TypeBox schema has no validator'],
    'a JSON Schema': [
      { type: 'object' },
      'a plain JSON Schema has no validator of its own; wrap it in fromJsonSchema()',
    ],
    'something else': [{ parse: validate }, 'it is no Standard Schema'],
    nothing: [undefined, 'there is no schema'],
  };
  test.each(Object.entries(cases))('%s', (_, [schema, expected]) => {
    class Sample {
      look() {}
    }
    const action = { title: 'Look', input: Nothing, output: schema } as never;
    const declare = Action('LOOK', action) as unknown as (target: object, key: string) => void;
    const refused = { code: 'INVALID_PLUGIN', message: expect.stringContaining(expected) };
    expect(() => declare(Sample.prototype, 'look')).toThrow(expect.objectContaining(refused));
    if (schema === undefined) return;
    const plugin = Plugin({ type: 'sample', title: 'A sample', config: schema } as never) as (target: object) => void;
    expect(() => plugin(Sample)).toThrow(expect.objectContaining(refused));
    const emitter = Plugin({ type: 'sample', title: 'A', events: { SEEN: schema } } as never) as (o: object) => void;
    expect(() => emitter(Sample)).toThrow('The plugin Sample cannot be used: events.SEEN: ');
  });

  test('while fromJsonSchema makes a JSON Schema one that can be declared with', async () => {
    const input = fromJsonSchema<{ city: string }>({ type: 'object', properties: { city: { type: 'string' } } });
    class Sample {
      @Action('LOOK', { title: 'Look', input, output: Nothing })
      look(_: { city: string }) {
        return {};
      }
    }
    Plugin({ type: 'sample', title: 'A sample' })(Sample);
    expect(manifestOf(Sample).actions[0]?.input).toEqual({ type: 'object', properties: { city: { type: 'string' } } });
    expect(await input['~standard'].validate({ city: 'Paris' })).toEqual({ value: { city: 'Paris' } });
    expect(await input['~standard'].validate({ city: 1 })).toEqual({ issues: [{ message: 'city must be string' }] });
    expect(() => fromJsonSchema({ type: 'text' })).toThrow('This JSON Schema cannot be used: ');
  });
});
