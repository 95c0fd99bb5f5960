import { dirname, resolve } from 'node:path';
import {
  isOtherForm,
  isSecretReference,
  SECRET_FORMAT,
  SECRET_REFERENCE_FORMAT,
} from '@centreond/plugin-sdk/json-schema';
import type { Json, JsonObject } from '@centreond/protocol';
import type { PluginEntry } from './entry.ts';
import { FILE_FORMATS } from './formats.ts';
import { pathOf, valueAt } from './issues.ts';
import type { Manifest } from './manifest.ts';
import type { Path } from './source.ts';

/** The `format` by which a plugin's config schema marks a string as a path, relative to the file that holds it. */
export const PATH_FORMAT = 'centreond-path';

const FILE = 'file:';
const VARIABLE = 'env:';

type Schema = Readonly<Record<string, unknown>>;

/**
 * An entry's `config` with the paths in it absolute: what its manifest's schema marks as a path, and the PATH of each `file:PATH` that it
 * marks as a secret or a reference to one. They are relative to the file that holds them. Secrets are not filled in.
 */
export function placedConfig({ config, source }: PluginEntry, manifest: Manifest): JsonObject {
  const placed = new Placing(dirname(source.file), manifest.config ?? {}).place(config as JsonObject);
  return placed as JsonObject;
}

/** A secret in an entry's `config`: the way to it there, and what it refers to, with an absolute path. */
export interface SecretPlace {
  readonly way: Path;
  readonly reference: string;
}

/** The secrets of an entry's `config` whose values its plugin is given, each once. */
export function secretsOf({ config, source }: PluginEntry, manifest: Manifest): SecretPlace[] {
  const placing = new Placing(dirname(source.file), manifest.config ?? {});
  placing.place(config as JsonObject);
  return [...placing.secrets.values()];
}

/** The environment variables that a plugin reads by itself: NAME of each `env:NAME` that its schema marks as a reference. */
export function secretVariables({ config, source }: PluginEntry, manifest: Manifest): string[] {
  const placing = new Placing(dirname(source.file), manifest.config ?? {});
  placing.place(config as JsonObject);
  return [...placing.variables];
}

/** A file that an entry's `config` names, with the format that says what must hold of it: the way to it there, and its absolute path. */
export interface FilePlace {
  readonly way: Path;
  readonly path: string;
  readonly format: string;
}

/** The files that an entry's `config` names, each once. */
export function filesOf({ config, source }: PluginEntry, manifest: Manifest): FilePlace[] {
  const placing = new Placing(dirname(source.file), manifest.config ?? {});
  placing.place(config as JsonObject);
  return [...placing.files.values()];
}

/**
 * The keyword of a property that says where its value comes from if it is omitted: JSON pointers into the config, and `TZ` for the time
 * zone of the plugin's process. The first that is there counts.
 */
const ELSE_KEYWORD = 'centreond-else';

/** A setting that an entry's `config` omits, and where its value comes from then. */
export interface OmittedPlace {
  readonly way: Path;
  readonly sources: readonly string[];
}

/** The settings that an entry's `config` omits and whose schema says where their values come from then. */
export function omittedOf({ config, source }: PluginEntry, manifest: Manifest): OmittedPlace[] {
  const placing = new Placing(dirname(source.file), manifest.config ?? {});
  placing.place(config as JsonObject);
  return [...placing.omitted.values()];
}

class Placing {
  /** Of the references to secrets met so far. */
  readonly variables = new Set<string>();
  /** The secrets met so far, by the way to them. */
  readonly secrets = new Map<string, SecretPlace>();
  /** The files met so far, by the way to them. */
  readonly files = new Map<string, FilePlace>();
  /** The omitted settings met so far, by the way to them. */
  readonly omitted = new Map<string, OmittedPlace>();

  constructor(
    private readonly folder: string,
    private readonly root: Schema,
  ) {}

  place(value: Json, schema: Schema = this.root, way: Path = []): Json {
    if (typeof value === 'string') return this.#text(value, schema, way);
    if (typeof value !== 'object' || value === null) return value;
    let placed = value;
    for (const branch of this.#branches(schema, value)) placed = this.place(placed, branch, way) as typeof value;
    if (Array.isArray(placed)) {
      const { items, prefixItems } = schema;
      const first = Array.isArray(prefixItems) ? prefixItems : [];
      return placed.map((item, i) => this.place(item, schemaOf(first[i] ?? items), [...way, i]));
    }
    const { properties, additionalProperties } = schema;
    const known = schemaOf(properties);
    this.#noteOmitted(known, placed, way);
    return Object.fromEntries(
      Object.entries(placed).map(([key, item]) => {
        const of = Object.hasOwn(known, key) ? known[key] : additionalProperties;
        return [key, this.place(item, schemaOf(of), [...way, key])];
      }),
    );
  }

  #noteOmitted(known: Schema, value: object, way: Path): void {
    for (const [key, property] of Object.entries(known)) {
      const sources = schemaOf(property)[ELSE_KEYWORD];
      if (!Array.isArray(sources) || Object.hasOwn(value, key)) continue;
      const place = { way: [...way, key], sources: sources.map(String) };
      this.omitted.set(JSON.stringify(place.way), place);
    }
  }

  #text(text: string, schema: Schema, way: Path): string {
    const { format } = schema;
    if (format === PATH_FORMAT) return resolve(this.folder, text);
    if (typeof format === 'string' && Object.hasOwn(FILE_FORMATS, format)) {
      const path = resolve(this.folder, text);
      this.files.set(JSON.stringify(way), { way, path, format });
      return path;
    }
    if (format === SECRET_FORMAT || format === SECRET_REFERENCE_FORMAT) {
      const reference = text.startsWith(FILE) ? FILE + resolve(this.folder, text.slice(FILE.length)) : text;
      // Of a union, another branch may take the text as it is.
      if (format === SECRET_FORMAT && isSecretReference(text))
        this.secrets.set(JSON.stringify(way), { way, reference });
      else if (format === SECRET_REFERENCE_FORMAT && text.startsWith(VARIABLE))
        this.variables.add(text.slice(VARIABLE.length));
      return reference;
    }
    // Resolved twice is resolved once: what is absolute stays so.
    return this.#branches(schema, text).reduce((placed, branch) => this.#text(placed, branch, way), text);
  }

  /** The schemas that hold for `value`; those of a union all, but for forms that have another constant. */
  #branches({ $ref, allOf, anyOf, oneOf }: Schema, value: Json): Schema[] {
    const referred = typeof $ref === 'string' ? this.#referred($ref) : undefined;
    const forms = [anyOf, oneOf].flat().filter((form) => !this.#isOther(schemaOf(form), value));
    return [referred, allOf, forms]
      .flat()
      .filter((one) => one !== undefined)
      .map(schemaOf);
  }

  #isOther(form: Schema, value: Json): boolean {
    const { $ref } = form;
    const schema = typeof $ref === 'string' ? schemaOf(this.#referred($ref)) : form;
    return typeof value === 'object' && value !== null && isOtherForm(schema, value);
  }

  #referred(reference: string): unknown {
    if (!reference.startsWith('#')) return undefined;
    return valueAt(this.root, pathOf(reference.slice(1)));
  }
}

function schemaOf(value: unknown): Schema {
  return typeof value === 'object' && value !== null ? (value as Schema) : {};
}
