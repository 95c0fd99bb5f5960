import { realpathSync } from 'node:fs';

/** A time zone by its IANA name, or why there is none: a clause without a subject, such as `is empty`. */
export type ZoneOrFault = { readonly zone: string } | { readonly fault: string };

const EXAMPLE = 'use a name such as Europe/Paris';
/** Where a machine keeps its zones: what follows is the name of one. */
const ZONE_FILE = /\/zoneinfo(?:-[^/]*)?\/(?:posix\/)?([A-Za-z].*)$/;
/** What POSIX allows beside a name, such as `CET-1CEST` or `<+01>-1`. */
const POSIX_RULE = /^(<[A-Za-z0-9+-]+>|[A-Za-z]{3,})[+-]?\d/;

/** What is wrong with `name` as the IANA name of a time zone, or undefined. */
export function timeZoneFault(name: string): string | undefined {
  try {
    Intl.DateTimeFormat('en', { timeZone: name });
    return undefined;
  } catch {
    return `the time zone ${name} is not known here; ${EXAMPLE}`;
  }
}

/**
 * The time zone of a process with this environment. `TZ` may hold a name, a file of the machine's zones (`/usr/share/zoneinfo/Europe/Paris`,
 * `/etc/localtime`), either of them after a colon. A `TZ` that is empty, a rule in POSIX's notation or a name that is not known is a fault
 * that names it: programs differ in what they take it for. Without `TZ` it is the machine's zone, a fault if that cannot be told.
 */
export function timeZoneOf(environment: Readonly<Record<string, string | undefined>>): ZoneOrFault {
  const { TZ } = environment;
  if (TZ === undefined) return machineZone();
  const text = TZ.replace(/^:/, '');
  if (text === '') return { fault: `TZ is ${TZ === '' ? 'empty' : `"${TZ}"`}, which names no time zone; ${REMEDY}` };
  if (text.startsWith('/')) return zoneOfFile(text, `TZ is ${TZ}`);
  if (/^[A-Za-z]/.test(text) && timeZoneFault(text) === undefined) return { zone: text };
  if (POSIX_RULE.test(text))
    return { fault: `TZ is ${TZ}, a rule of POSIX and not the name of a time zone; ${REMEDY}` };
  return { fault: `TZ is ${TZ}, a time zone that is not known here; ${REMEDY}` };
}

const REMEDY = 'set TZ to a name such as Europe/Paris, or unset it';

function machineZone(): ZoneOrFault {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  // ICU's name of what it cannot tell.
  if (timeZone !== undefined && timeZone !== 'Etc/Unknown') return { zone: timeZone };
  return zoneOfFile('/etc/localtime', 'TZ is not set');
}

/** The zone of one of the machine's files, links followed. */
function zoneOfFile(file: string, who: string): ZoneOrFault {
  let target: string;
  try {
    target = realpathSync(file);
  } catch {
    return { fault: `${who}, and there is no file ${file}; ${REMEDY}` };
  }
  const name = ZONE_FILE.exec(file)?.[1] ?? ZONE_FILE.exec(target)?.[1];
  if (name !== undefined && timeZoneFault(name) === undefined) return { zone: name };
  return {
    fault: `${who}, and ${file} is not a link to a time zone that has a name; set TZ to a name such as Europe/Paris`,
  };
}
