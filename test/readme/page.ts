import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from '../plugin-sdk/temp-package.ts';

/** A shell block of the pages: below which heading it stands, on which machine it is typed, and what. */
export interface Block {
  readonly heading: string;
  readonly machine: string;
  readonly text: string;
}

/** The shell blocks of a page, in order. */
export function blocksOf(page: string): Block[] {
  const text = readFileSync(path.join(ROOT, page), 'utf8');
  return text.split(/^## /m).flatMap((section) => {
    const [heading = ''] = section.split('\n', 1);
    return [...section.matchAll(/^```sh\n# on ([\w-]+)\n(.*?)^```$/gms)].map(([, machine = '', block = '']) => {
      return { heading, machine, text: block };
    });
  });
}
