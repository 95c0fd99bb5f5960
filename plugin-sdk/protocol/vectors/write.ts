/** Writes the generated files of plugin-sdk/protocol: `npm run docs`. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { codes } from './codes.ts';
import { negative } from './negative.ts';
import { transcript } from './transcript.ts';

/** The text of each generated file, by its name in plugin-sdk/protocol. */
export function generated(): Record<string, string> {
  const files = { 'transcript.json': transcript(), 'negative.json': negative(), 'codes.json': codes() };
  return Object.fromEntries(
    Object.entries(files).map(([name, value]) => [name, `${JSON.stringify(value, undefined, 1)}\n`]),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, text] of Object.entries(generated())) {
    writeFileSync(new URL(`../${name}`, import.meta.url), text);
  }
}
