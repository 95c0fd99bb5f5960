import { expect, test } from 'vitest';
import { z } from 'zod';
import { placedConfig, secretVariables } from '../../../core/dist/config/config.js';

const file = z.string().meta({ format: 'centreond-path' });
const secret = z.string().meta({ format: 'centreond-secret-reference' });

function given(shape: z.ZodType, config: object): Parameters<typeof placedConfig> {
  const entry = { config, source: { file: '/etc/centreond/conf.d/a.yaml' } } as unknown as Parameters<
    typeof placedConfig
  >[0];
  const manifest = { config: z.toJSONSchema(shape, { io: 'input' }) } as unknown as Parameters<typeof placedConfig>[1];
  return [entry, manifest];
}

function placed(shape: z.ZodType, config: object): unknown {
  return placedConfig(...given(shape, config));
}

test('paths and the files of secrets are relative to the file that holds them, wherever the schema has them', () => {
  const Ssh = z.strictObject({ type: z.literal('ssh'), key: file, password: secret.optional(), note: z.string() });
  const Push = z.strictObject({ type: z.literal('push'), key: z.string() });
  const Shape = z.strictObject({
    nodes: z.array(z.discriminatedUnion('type', [Ssh, Push])),
    folders: z.record(z.string(), file),
    pair: z.tuple([z.string(), file]),
    maybe: z.union([file, z.int()]),
    prefaulted: z.strictObject({ at: file }).prefault({ at: './x' }).optional(),
  });
  const config = {
    nodes: [
      { type: 'ssh', key: './keys/web-7', password: 'file:../web-7.secret', note: './note' },
      { type: 'ssh', key: '/keys/b', password: 'env:SECRET', note: 'file:x' },
    ],
    folders: { a: 'a', b: '../b' },
    pair: ['./a', './b'],
    maybe: 'm',
  };
  expect(placed(Shape, config)).toEqual({
    nodes: [
      {
        type: 'ssh',
        key: '/etc/centreond/conf.d/keys/web-7',
        password: 'file:/etc/centreond/web-7.secret',
        note: './note',
      },
      { type: 'ssh', key: '/keys/b', password: 'env:SECRET', note: 'file:x' },
    ],
    folders: { a: '/etc/centreond/conf.d/a', b: '/etc/centreond/b' },
    pair: ['./a', '/etc/centreond/conf.d/b'],
    maybe: '/etc/centreond/conf.d/m',
  });
  expect(config.nodes[0]?.key).toBe('./keys/web-7');
});

test('the variables of secrets are those that the schema marks, each once', () => {
  const Node = z.strictObject({ password: secret.optional(), note: z.string() });
  const nodes = [
    { password: 'env:ONE', note: 'env:NOTE' },
    { password: 'env:ONE', note: '' },
    { password: 'file:env:FILE', note: '' },
    { password: 'env:TWO', note: '' },
  ];
  expect(secretVariables(...given(z.strictObject({ nodes: z.array(Node) }), { nodes }))).toEqual(['ONE', 'TWO']);
});

test('what the schema does not mark stays as it is written', () => {
  const config = { a: './a', b: ['file:b', null, 1, { c: true }] };
  expect(placed(z.looseObject({}), config)).toEqual(config);
});
