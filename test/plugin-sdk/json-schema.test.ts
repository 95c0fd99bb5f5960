import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { byDiscriminator, routerSchema } from '@centreond/plugin-sdk/json-schema';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { expect, test } from 'vitest';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

function compiled(name: string): WeakRef<object> {
  const schema = { type: 'object', properties: { [name]: { type: 'string' } } };
  expect(routerSchema(schema).check({ [name]: 1 })).toBe(`${name} must be string`);
  return new WeakRef(schema);
}

test('a plugin that is reloaded often leaves no schema behind', async () => {
  const schemas = Array.from({ length: 500 }, (_, i) => compiled(`key${i}`));
  await new Promise((resolve) => setImmediate(resolve));
  gc();
  expect(schemas.filter((schema) => schema.deref() !== undefined).length).toBeLessThanOrEqual(100);
});

test('two schemas with one $id do not meet', () => {
  const of = (type: string) => ({
    $id: 'http://example.com/one',
    type: 'object',
    properties: { a: { $id: 'a', type } },
  });
  expect(routerSchema(of('string')).check({ a: 1 })).toBe('a must be string');
  expect(routerSchema(of('number')).check({ a: 1 })).toBeUndefined();
});

test('all mistakes of a value are told, of a large one the first', () => {
  const { check } = routerSchema({ type: 'object', properties: {}, additionalProperties: false });
  expect(check({ a: 1, b: 2 })).toBe("it must not have the key 'a'; it must not have the key 'b'");
  const large = Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`k${i}`, {}]));
  expect(check(large)).toBe("it must not have the key 'k0'");
});

test('a value of another kind is told what the kind is, before what else it has wrong, unless it has several to choose from', () => {
  const form = (kind: string) => ({
    type: 'object',
    properties: { kind: { const: kind, description: `what a ${kind} is` }, size: { type: 'number' } },
    required: ['size'],
  });
  expect(routerSchema(form('push')).check({ kind: 'ssh', size: 'x' })).toBe(
    'kind must be "push": what a push is; size must be number',
  );
  expect(routerSchema({ properties: { kind: { const: 1 } } }).check({ kind: 2 })).toBe('kind must be 1');
  expect(routerSchema({ anyOf: [form('push'), form('pull')] }).check({ kind: 'push' })).toMatch(
    /^it must have .*'size'/,
  );
});

const kinds = {
  type: 'object',
  properties: {
    node: {
      oneOf: [
        { $ref: '#/$defs/push' },
        {
          type: 'object',
          // Omitted, it is this form.
          properties: { type: { const: 'ssh', default: 'ssh' }, user: { type: 'string' } },
          required: ['user'],
          additionalProperties: false,
        },
      ],
    },
    type: { anyOf: [{ const: 'a' }, { type: 'integer' }] },
  },
  additionalProperties: false,
  $defs: {
    push: {
      type: 'object',
      properties: { type: { enum: ['push', 1] }, score: { type: 'integer' } },
      required: ['type', 'score'],
      additionalProperties: false,
    },
  },
};

test('of a union whose forms differ by a constant, only the form that the value names is told about', () => {
  const { check } = routerSchema(kinds);
  expect(check({ node: { type: 'push', score: 'x' } })).toBe('node.score must be integer');
  expect(check({ node: { type: 'ssh', score: 1 } })).toBe(
    "node must have required property 'user'; node must not have the key 'score'",
  );
  expect(check({ node: { user: 1 } })).toBe('node.user must be string');
  expect(check({ node: { type: 'shh', user: 'root' } })).toBe('node.type must be one of push, 1, ssh');
  expect(check({ node: 5 })).toBe('node must be object');
});

test('a union that is told by its constant takes the same values as before', () => {
  const ajv = new Ajv2020({ strict: false });
  const [before, after] = [ajv.compile(kinds), ajv.compile(byDiscriminator(kinds))];
  const word = fc.constantFrom('push', 'ssh', 1, 'shh', 'a', 2, null, {});
  const node = fc.record({ type: word, score: word, user: word }, { requiredKeys: [] });
  const value = fc.record({ node: fc.oneof(node, word), type: word }, { requiredKeys: [] });
  fc.assert(
    fc.property(value, (one) => void expect(after(one)).toBe(before(one))),
    { numRuns: 2000 },
  );
});
