import { readFileSync } from 'node:fs';

/** One of the files of vectors, as an implementer in another language finds it. */
export function vectorsOf<T>(name: string): T {
  const file = new URL(import.meta.resolve(`@centreond/plugin-sdk/protocol/${name}`));
  return JSON.parse(readFileSync(file, 'utf8')) as T;
}
