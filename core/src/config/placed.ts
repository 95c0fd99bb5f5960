import { dirname, resolve } from 'node:path';
import { SECRET_FORMAT } from '@centreond/plugin-sdk/json-schema';
import type { Json, JsonObject } from '@centreond/protocol';
import type { PluginEntry } from './entry.ts';
import { pathOf, valueAt } from './issues.ts';
import type { Manifest } from './manifest.ts';

/** The `format` by which a plugin's config schema marks a string as a path, relative to the file that holds it. */
export const PATH_FORMAT = 'centreond-path';

const FILE = 'file:';
const VARIABLE = 'env:';

type Schema = Readonly<Record<string, unknown>>;

/**
 * An entry's `config` as its plugin gets it: what its manifest's schema marks as a path is absolute, and so is the PATH of a
 * secret's `file:PATH`; both are relative to the file that holds them. The secrets themselves are for the plugin to read.
 */
export function placedConfig({ config, source }: PluginEntry, manifest: Manifest): JsonObject {
  const placed = new Placing(dirname(source.file), manifest.config ?? {}).place(config as JsonObject);
  return placed as JsonObject;
}

/** The environment variables that an entry's `config` names as secrets: NAME of each `env:NAME`. */
export function secretVariables({ config, source }: PluginEntry, manifest: Manifest): string[] {
  const placing = new Placing(dirname(source.file), manifest.config ?? {});
  placing.place(config as JsonObject);
  return [...placing.variables];
}

class Placing {
  /** Of the secrets met so far. */
  readonly variables = new Set<string>();

  constructor(
    private readonly folder: string,
    private readonly root: Schema,
  ) {}

  place(value: Json, schema: Schema = this.root): Json {
    if (typeof value === 'string') return this.#text(value, schema);
    if (typeof value !== 'object' || value === null) return value;
    let placed = value;
    for (const branch of this.#branches(schema)) placed = this.place(placed, branch) as typeof value;
    if (Array.isArray(placed)) {
      const { items, prefixItems } = schema;
      const first = Array.isArray(prefixItems) ? prefixItems : [];
      return placed.map((item, i) => this.place(item, schemaOf(first[i] ?? items)));
    }
    const { properties, additionalProperties } = schema;
    const known = schemaOf(properties);
    return Object.fromEntries(
      Object.entries(placed).map(([key, item]) => {
        const of = Object.hasOwn(known, key) ? known[key] : additionalProperties;
        return [key, this.place(item, schemaOf(of))];
      }),
    );
  }

  #text(text: string, schema: Schema): string {
    const { format } = schema;
    if (format === PATH_FORMAT) return resolve(this.folder, text);
    if (format === SECRET_FORMAT && text.startsWith(FILE)) {
      return FILE + resolve(this.folder, text.slice(FILE.length));
    }
    if (format === SECRET_FORMAT && text.startsWith(VARIABLE)) this.variables.add(text.slice(VARIABLE.length));
    // Resolved twice is resolved once: what is absolute stays so.
    return this.#branches(schema).reduce((placed, branch) => this.#text(placed, branch), text);
  }

  /** The schemas that hold for the same value; those of a union all, since what differs is by whom it was written. */
  #branches({ $ref, allOf, anyOf, oneOf }: Schema): Schema[] {
    const referred = typeof $ref === 'string' ? this.#referred($ref) : undefined;
    return [referred, allOf, anyOf, oneOf]
      .flat()
      .filter((one) => one !== undefined)
      .map(schemaOf);
  }

  #referred(reference: string): unknown {
    if (!reference.startsWith('#')) return undefined;
    return valueAt(this.root, pathOf(reference.slice(1)));
  }
}

function schemaOf(value: unknown): Schema {
  return typeof value === 'object' && value !== null ? (value as Schema) : {};
}
