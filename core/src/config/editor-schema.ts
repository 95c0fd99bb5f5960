import type { Discovered } from './discovery.ts';
import { ConfigFile, jsonSchemaOf } from './schema.ts';

/**
 * The JSON Schema (draft 7, which editors know best) of the whole config file: the core's keys and, by its package, the
 * settings of each of `plugins`.
 */
export function configSchema(plugins: readonly Discovered[]): object {
  const { properties = {}, ...whole } = jsonSchemaOf(ConfigFile);
  const { plugins: list, ...others } = properties;
  if (typeof list !== 'object' || typeof list.items !== 'object')
    throw new TypeError('the config schema has no list of plugins');
  const definitions: Record<string, unknown> = {};
  const packages = [...new Map(plugins.map((plugin) => [plugin.entry.package, plugin])).values()];
  const settings = packages.map(({ entry, manifest }) => {
    const { type, title } = manifest;
    const schema = manifest.config ?? { maxProperties: 0 };
    definitions[type] = { title, ...rebased(schema, type) };
    return {
      if: {
        properties: { package: { const: entry.package } },
        required: ['package'],
      },
      // biome-ignore lint/suspicious/noThenProperty: JSON Schema's word for it.
      then: { properties: { config: { $ref: `#/definitions/${type}` } } },
    };
  });
  const items = settings.length > 0 ? { ...list.items, allOf: settings } : list.items;
  return {
    title: 'centreond.yaml',
    ...whole,
    properties: { ...others, plugins: { ...list, items } },
    ...(settings.length > 0 && { definitions }),
  };
}

/** A plugin's schema with its references to itself led to where it lies in the whole. */
function rebased(schema: Record<string, unknown>, type: string) {
  const { $schema: _, $id: __, ...own } = schema;
  const text = JSON.stringify(own, (key, value: unknown) =>
    key === '$ref' && typeof value === 'string' && value.startsWith('#')
      ? `#/definitions/${type}${value.slice(1)}`
      : value,
  );
  const moved: Record<string, unknown> = JSON.parse(text);
  return moved;
}
