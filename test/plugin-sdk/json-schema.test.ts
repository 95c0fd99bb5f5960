import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { routerSchema } from '@centreond/plugin-sdk/json-schema';
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
