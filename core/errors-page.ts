/** Writes ERRORS.md, the page of all error codes, from the two tables: `npm run docs`. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ERROR_TABLE, isRetryable } from '@centreond/plugin-sdk';
import { CORE_ERROR_TABLE } from './dist/errors.js';

/** In the order of PROTOCOL.md section 3. */
const REPLIES =
  'MALFORMED_FRAME TOO_LARGE INVALID_DATA UNKNOWN_ACTION UNKNOWN_TARGET UNKNOWN_INSTANCE NODE_UNREACHABLE NODE_LACKS_ACTION FORBIDDEN TOKEN_REUSED NOT_READY BUSY STOPPING STORE_FAILED INTERNAL HANDSHAKE_REFUSED'.split(
    ' ',
  );
const ROWS =
  'PLUGIN_CRASHED PLUGIN_KILLED TIMEOUT CANCELLED INTERRUPTED OUTCOME_UNKNOWN INVALID_OUTPUT CALL_REFUSED ACTION_FAILED COMMAND_NOT_STARTED FILES_REFUSED FILES_OUT_OF_STEP FILES_INCOMPLETE'.split(
    ' ',
  );

/** Stands for a detail of a sentence: `‹name›`, whatever the sentence does with it. */
function placeholder(name: string): unknown {
  const text = `‹${name}›`;
  return new Proxy(
    {},
    {
      get(_, key) {
        if (key === 'length') return `‹number of ${name}›`;
        if (key === 'toString' || key === 'valueOf' || key === 'join' || key === 'replace' || key === 'slice') {
          return () => text;
        }
        if (key === 'map') return () => ({ join: () => text });
        if (key === Symbol.toPrimitive) return () => text;
        if (key === 'endsWith') return () => false;
        if (key === Symbol.iterator)
          return function* () {
            yield text;
          };
        return undefined;
      },
    },
  );
}

function sentenceOf(sentence: unknown): string {
  const details = new Proxy({}, { get: (_, key) => placeholder(String(key)) });
  const text = String((sentence as (details: object) => unknown)(details));
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function section(
  title: string,
  about: string,
  codes: readonly string[],
  table: Readonly<Record<string, unknown>>,
): string {
  const rows = codes.map((code) => `| \`${code}\` | ${sentenceOf(table[code])} | ${isRetryable(code) ? 'yes' : ''} |`);
  return [`## ${title}`, '', about, '', '| code | what it says | may pass |', '|---|---|---|', ...rows, ''].join('\n');
}

/** The page. */
export function errorsPage(): string {
  const others = Object.keys(ERROR_TABLE).filter((code) => !REPLIES.includes(code) && !ROWS.includes(code));
  return [
    '# All error codes',
    '',
    'Written by `npm run docs` from the two tables, `plugin-sdk/src/errors.ts` and `core/src/errors.ts`. A code is stable for ever: programs',
    'branch on it, people read its sentence. ‹…› stands for what the sentence names.',
    '',
    section(
      'Refusals',
      'In an ACK of code 1: nothing was done, and the request may be sent again.',
      REPLIES,
      ERROR_TABLE,
    ),
    section(
      'Ends',
      "In a request's terminal row of code 1. `INVALID_DATA` and `FORBIDDEN` end requests, too.",
      ROWS,
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
