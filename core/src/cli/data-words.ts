import { readFileSync } from 'node:fs';
import { type Json, type JsonObject, parseData, parseJson, reasonOf } from '@centreond/protocol';
import { findPlugins } from '../config/discovery.ts';
import { coreManifest } from '../core-actions.ts';
import { configOf, misuse } from './connection.ts';
import type { Globals } from './exit.ts';

/** A JSON Schema, as a manifest has it. */
type Schema = Readonly<Record<string, unknown>>;

/**
 * DATA from the command line: one JSON object, `-` or `@FILE` for one that standard input or a file has, or `key=value` words. A
 * value is JSON where it parses as it, and text where it does not, or where `input` takes text under its key and not that JSON.
 * `input` is the schema of the action's input, if it is known; it is asked for only where that matters.
 */
export async function dataOf(
  words: readonly string[],
  input: () => Promise<Schema | undefined> = async () => undefined,
): Promise<JsonObject> {
  const [first = ''] = words;
  if (words.length === 1 && (first === '-' || first.startsWith('@'))) return dataIn(first);
  if (words.length === 1 && first.trimStart().startsWith('{')) return parseData(first);
  const data: JsonObject = {};
  for (const word of words) {
    const at = word.indexOf('=');
    if (at < 1) throw misuse(`'${word}' is neither key=value nor a JSON object.`);
    const key = word.slice(0, at);
    const text = word.slice(at + 1);
    let value: JsonObject[string] = text;
    try {
      value = parseJson(text) as Json;
    } catch {
      // It is text.
    }
    data[key] = typeof value !== 'string' && isText(await input(), key, value) ? text : value;
  }
  return data;
}

/** The input schema of an action of the core, or of a plugin in the config; undefined where neither says. */
export async function inputOf(globals: Globals, action: string): Promise<Schema | undefined> {
  const ofCore = coreManifest.actions.find(({ name }) => name === action);
  if (ofCore) return ofCore.input;
  // A client of a remote router may have no config here.
  const config = await configOf(globals).catch(() => undefined);
  if (!config) return undefined;
  const { plugins } = findPlugins(
    config,
    coreManifest.actions.map(({ name }) => name),
  );
  return plugins.flatMap(({ manifest }) => manifest.actions).find(({ name }) => name === action)?.input;
}

/** Whether `schema` takes a string under `key`, and no value of the type that `value` has. */
function isText(schema: Schema | undefined, key: string, value: unknown): boolean {
  const named = branchesOf(schema).flatMap(({ properties }) => (isSchema(properties) ? [properties[key]] : []));
  const types = named.filter((property) => property !== undefined).flatMap(typesOf);
  const own = value === null ? ['null'] : Array.isArray(value) ? ['array'] : [typeof value];
  if (typeof value === 'number') own.push('integer');
  return types.includes('string') && !types.some((type) => type === '' || own.includes(type));
}

/** The types that a property may have; '' stands for those that its schema does not tell. */
function typesOf(property: unknown): string[] {
  return branchesOf(isSchema(property) ? property : {}).flatMap(({ type, enum: values, const: value }) => {
    if (typeof type === 'string') return [type];
    if (Array.isArray(type)) return type.map(String);
    const known = Array.isArray(values) ? values : value === undefined ? [] : [value];
    return known.length === 0 ? [''] : known.map((one) => typeof one);
  });
}

/** The alternatives of a schema, or the schema itself. */
function branchesOf(schema: Schema | undefined): Schema[] {
  if (!schema) return [];
  const branches = [schema.anyOf, schema.oneOf, schema.allOf].flatMap((list) => (Array.isArray(list) ? list : []));
  const inner = branches.filter(isSchema).flatMap(branchesOf);
  return inner.length > 0 ? [...inner, ...(isSchema(schema.properties) ? [schema] : [])] : [schema];
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function dataIn(place: string): JsonObject {
  const name = place === '-' ? 'standard input' : place.slice(1);
  try {
    return parseData(readFileSync(place === '-' ? 0 : name, 'utf8'));
  } catch (error) {
    throw misuse(`${name} has no DATA: ${reasonOf(error)}`);
  }
}
