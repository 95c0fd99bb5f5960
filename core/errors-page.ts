/** Writes ERRORS.md, the page of all error codes, from the two tables: `npm run docs`. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ERROR_TABLE, isRetryable } from '@centreond/protocol';
import { ENDS, REFUSALS, sentenceOf } from '../plugin-sdk/protocol/vectors/codes.ts';
import { CORE_ERROR_TABLE } from './dist/errors.js';

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function section(
  title: string,
  about: string,
  codes: readonly string[],
  table: Readonly<Record<string, unknown>>,
): string {
  const rows = codes.map(
    (code) => `| \`${code}\` | ${cell(sentenceOf(table[code]))} | ${isRetryable(code) ? 'yes' : ''} |`,
  );
  return [`## ${title}`, '', about, '', '| code | what it says | may pass |', '|---|---|---|', ...rows, ''].join('\n');
}

/** The page. */
export function errorsPage(): string {
  const others = Object.keys(ERROR_TABLE).filter((code) => !REFUSALS.includes(code) && !ENDS.includes(code));
  return [
    '# All error codes',
    '',
    'Written by `npm run docs` from the two tables, `plugin-sdk/protocol/src/errors.ts` and `core/src/errors.ts`. A code is stable for ever: programs',
    'branch on it, people read its sentence. ‹…› stands for what the sentence names.',
    '',
    section(
      'Refusals',
      'In an ACK of code 1: nothing was done, and the request may be sent again.',
      REFUSALS,
      ERROR_TABLE,
    ),
    section(
      'Ends',
      "In a request's terminal row of code 1. `INVALID_DATA` and `FORBIDDEN` end requests, too.",
      ENDS,
      ERROR_TABLE,
    ),
    section(
      'At the caller',
      'Raised by the client, the runtime, the store or the build, where the call was made.',
      others,
      ERROR_TABLE,
    ),
    section(
      'For operators',
      'Of the configuration, the start and the command line.',
      Object.keys(CORE_ERROR_TABLE),
      CORE_ERROR_TABLE,
    ),
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(new URL('ERRORS.md', import.meta.url), errorsPage());
}
