import { expect, test } from 'vitest';
import { dataOf } from '../../../core/dist/cli/data-words.js';

const input = (schema: object) => () => Promise.resolve(schema as Record<string, unknown>);
const command = input({
  type: 'object',
  properties: {
    command: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] },
    timeout: { type: 'number' },
    shell: { type: 'boolean' },
    any: {},
    id: { anyOf: [{ type: 'string' }, { type: 'null' }] },
    level: { enum: ['1', '2'] },
    code: { type: ['string', 'integer'] },
  },
});

test('a value that looks like JSON stays text where the action takes text there, and not that JSON', async () => {
  expect(await dataOf(['command=["ls","-l"]'], command)).toEqual({ command: ['ls', '-l'] });
  expect(await dataOf(['command=true', 'level=2'], command)).toEqual({ command: 'true', level: '2' });
  expect(await dataOf(['command=123'], command)).toEqual({ command: '123' });
  expect(await dataOf(['command={"a":1}', 'timeout=5'], command)).toEqual({ command: '{"a":1}', timeout: 5 });
});

test('a value is JSON where the action takes it, or does not say', async () => {
  const words = ['timeout=3', 'shell=true', 'any=[1]', 'id=null', 'code=7', 'unknown=4'];
  const data = { timeout: 3, shell: true, any: [1], id: null, code: 7, unknown: 4 };
  expect(await dataOf(words, command)).toEqual(data);
  expect(await dataOf(['command=true'])).toEqual({ command: true });
});

test('each alternative of an input counts', async () => {
  const text = { type: 'object', properties: { host: { type: 'string' } } };
  const number = { type: 'object', properties: { host: { type: 'number' } } };
  expect(await dataOf(['host=1'], input({ anyOf: [text, text] }))).toEqual({ host: '1' });
  expect(await dataOf(['host=1'], input({ anyOf: [text, number] }))).toEqual({ host: 1 });
  expect(await dataOf(['host=1'], input({ ...text, allOf: [{ required: ['host'] }] }))).toEqual({ host: '1' });
});

test('text in JSON quotes is the text within them, and a word without = is refused', async () => {
  expect(await dataOf(['command="true"'], command)).toEqual({ command: 'true' });
  await expect(dataOf(['command'], command)).rejects.toThrow("'command' is neither key=value nor a JSON object.");
});
