import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { callPath, newToken } from '../../plugins/http/dashboard/src/call/token.ts';
import {
  type Draft,
  draftOf,
  emptyDraft,
  namedIn,
  pathsOf,
  readDraft,
  readJson,
} from '../../plugins/http/dashboard/src/form/draft.ts';
import { type Field, fieldOf, type Json } from '../../plugins/http/dashboard/src/form/schema.ts';

/** COMMAND's, as its plugin declares it. */
const COMMAND = {
  type: 'object',
  properties: {
    command: {
      anyOf: [
        { type: 'string', minLength: 1 },
        { minItems: 1, type: 'array', items: { type: 'string' } },
      ],
      description: 'the program',
    },
    timeoutSeconds: { type: 'number', exclusiveMinimum: 0, maximum: 86400 },
    env: {
      type: 'object',
      propertyNames: { type: 'string', pattern: '^(?!CENTREOND_)[^=]+$' },
      additionalProperties: { type: 'string' },
    },
    cwd: { type: 'string', pattern: '^\\/' },
  },
  required: ['command'],
  additionalProperties: false,
};

const draft = (field: Field, value: Json): Draft => {
  const made = draftOf(field, value);
  if (made === undefined) throw new Error('the form cannot show this');
  return made;
};
const issuesOf = (schema: object, value: Json) => {
  const field = fieldOf(schema);
  return readDraft(field, draft(field, value)).issues;
};

describe('a schema', () => {
  test('becomes a form', () => {
    expect(fieldOf(COMMAND)).toEqual({
      kind: 'group',
      members: [
        {
          name: 'command',
          isNeeded: true,
          field: {
            kind: 'choice',
            description: 'the program',
            options: [
              { label: 'text', field: { kind: 'text', minLength: 1 } },
              {
                label: 'list of text',
                field: { kind: 'list', item: { kind: 'text' }, minItems: 1, maxItems: Number.POSITIVE_INFINITY },
              },
            ],
          },
        },
        {
          name: 'timeoutSeconds',
          isNeeded: false,
          field: { kind: 'number', isWhole: false, above: 0, maximum: 86400 },
        },
        {
          name: 'env',
          isNeeded: false,
          field: { kind: 'pairs', keyPattern: '^(?!CENTREOND_)[^=]+$', value: { kind: 'text' } },
        },
        { name: 'cwd', isNeeded: false, field: { kind: 'text', pattern: '^\\/' } },
      ],
    });
  });

  test('that refers to others is followed, and one that contains itself ends in JSON', () => {
    const tree = {
      $ref: '#/$defs/tree',
      $defs: {
        tree: {
          type: 'object',
          properties: { name: { $ref: '#/$defs/a~1b' }, below: { type: 'array', items: { $ref: '#/$defs/tree' } } },
          required: ['name', 'below'],
        },
        'a/b': { type: 'string', maxLength: 3 },
      },
    };
    const field = fieldOf(tree);
    expect(field).toMatchObject({
      kind: 'group',
      members: [
        { name: 'name', field: { kind: 'text', maxLength: 3 } },
        { name: 'below', field: { kind: 'list', item: { kind: 'raw' } } },
      ],
    });
    const value = { name: 'a', below: [{ name: 'b', below: [] }] };
    expect(readDraft(field, draft(field, value))).toEqual({ value, issues: [] });
  });

  test('of shapes that a constant tells apart is a choice by that', () => {
    const schema = {
      oneOf: ['push', 'pull'].map((type) => ({
        type: 'object',
        properties: { type: { const: type }, port: { type: 'integer' } },
        required: ['type', 'port'],
      })),
    };
    const field = fieldOf(schema);
    expect(field).toMatchObject({ kind: 'choice', options: [{ label: 'type "push"' }, { label: 'type "pull"' }] });
    const value = { type: 'pull', port: 3 };
    expect(draftOf(field, value)).toMatchObject({ picked: 1 });
    expect(readDraft(field, draft(field, value))).toEqual({ value, issues: [] });
  });

  test('of several types is a choice, of constants a list of options', () => {
    expect(fieldOf({ type: ['string', 'null'] })).toMatchObject({
      kind: 'choice',
      options: [{ label: 'text' }, { label: 'nothing (null)' }],
    });
    expect(fieldOf({ anyOf: [{ const: 'a' }, { const: 2 }] })).toEqual({ kind: 'option', values: ['a', 2] });
  });

  test.each([true, {}, { allOf: [{ type: 'string' }] }, { type: 'array', prefixItems: [{}] }, { $ref: '#/nowhere' }])(
    'that a form cannot show is JSON: %j',
    (schema) => {
      expect(fieldOf(schema)).toEqual({ kind: 'raw' });
    },
  );
});

describe('a form', () => {
  test('begins with the defaults, and leaves out what nobody filled in', () => {
    const field = fieldOf({
      type: 'object',
      properties: {
        id: { type: 'string' },
        overlap: { type: 'boolean', default: false },
        missed: { enum: ['skip', 'once'], default: 'once' },
        more: { type: 'object', properties: { deep: { type: 'string', minLength: 1 } }, required: ['deep'] },
        list: { type: 'array', items: { type: 'number' } },
      },
      required: ['id'],
    });
    expect(readDraft(field, emptyDraft(field))).toEqual({
      value: { id: '', overlap: false, missed: 'once' },
      issues: [],
    });
  });

  test('says what is missing, at its path', () => {
    const field = fieldOf(COMMAND);
    expect(readDraft(field, emptyDraft(field)).issues).toEqual([{ path: 'command', text: 'is needed' }]);
  });

  test('says what is wrong, as far as the schema tells', () => {
    expect(issuesOf(COMMAND, { command: 'ls', timeoutSeconds: 0 })).toEqual([
      { path: 'timeoutSeconds', text: 'must be more than 0' },
    ]);
    expect(issuesOf(COMMAND, { command: 'ls', cwd: 'tmp' })).toEqual([
      { path: 'cwd', text: 'has a form that is not allowed here' },
    ]);
    expect(issuesOf(COMMAND, { command: [] })).toEqual([{ path: 'command', text: 'needs 1 or more entries' }]);
    expect(issuesOf(COMMAND, { command: 'ls', env: { CENTREOND_X: '1' } })).toEqual([
      { path: 'env.0', text: 'has a key that is not allowed here' },
    ]);
    expect(issuesOf({ type: 'integer', minimum: 1, maximum: 3 }, 2.5)).toEqual([
      { path: '', text: 'must be a whole number' },
    ]);
    expect(issuesOf({ type: 'integer', minimum: 1, maximum: 3 }, 4)).toEqual([{ path: '', text: 'must be 3 or less' }]);
    const number = fieldOf({ type: 'number' });
    expect(readDraft(number, 'abc').issues).toEqual([{ path: '', text: 'must be a number' }]);
    const pairs = fieldOf({ type: 'object', additionalProperties: { type: 'string' } });
    expect(
      readDraft(pairs, {
        pairs: [
          { key: 'a', value: '1' },
          { key: 'a', value: '2' },
          { key: '', value: '3' },
        ],
      }).issues,
    ).toEqual([
      { path: '1', text: 'has the key a a second time' },
      { path: '2', text: 'needs a key' },
    ]);
  });

  test('does not show what it has no field for', () => {
    expect(draftOf(fieldOf(COMMAND), { command: 'ls', shell: true })).toBeUndefined();
    expect(draftOf(fieldOf(COMMAND), { command: 5 })).toBeUndefined();
    expect(readJson('{"a":').issues).toMatchObject([{ path: '', text: expect.stringMatching(/^is not JSON: /) }]);
  });

  test('shows any DATA that its schema takes, and reads it back the same', () => {
    const Data = fc.record(
      {
        command: fc.oneof(fc.string({ minLength: 1 }), fc.array(fc.string(), { minLength: 1 })),
        timeoutSeconds: fc.double({ min: 0.1, max: 86400, noNaN: true }),
        env: fc.dictionary(fc.stringMatching(/^[A-Z]{1,5}$/), fc.string(), { noNullPrototype: true, minKeys: 1 }),
        cwd: fc.string().map((text) => `/${text}`),
      },
      { requiredKeys: ['command'], noNullPrototype: true },
    );
    const field = fieldOf(COMMAND);
    fc.assert(
      fc.property(Data, (data) => {
        expect(readDraft(field, draft(field, data))).toEqual({ value: data, issues: [] });
      }),
    );
  });
});

test('a sentence of the server is shown at the deepest field that it names', () => {
  const paths = pathsOf(
    fieldOf({ type: 'object', properties: { a: { type: 'object', properties: { b: {} } }, id: {} } }),
  );
  expect(paths).toEqual(['a', 'a.b', 'id']);
  expect(namedIn('X does not take this DATA: a.b: must be a number; a is odd.', paths)).toBe('a.b');
  expect(namedIn('X does not take this DATA: id must be a number.', paths)).toBe('id');
  expect(namedIn('The node is away.', paths)).toBeUndefined();
});

test('a token is a UUID of version 7, and a call names it', () => {
  const token = newToken(0x0123456789ab, (bytes) => bytes.fill(0xff));
  expect(token).toBe('01234567-89ab-7fff-bfff-ffffffffffff');
  expect(callPath('COMMAND', '', 'T:1')).toBe('actions/COMMAND?token=T%3A1');
  expect(callPath('COMMAND', 'a/b', 'T')).toBe('nodes/a%2Fb/actions/COMMAND?token=T');
  expect(callPath('COMMAND', 'a', 'T', '1h')).toBe('nodes/a/actions/COMMAND?token=T&hold=1h');
  // Here nothing is away.
  expect(callPath('COMMAND', '', 'T', '1h')).toBe('actions/COMMAND?token=T');
});
