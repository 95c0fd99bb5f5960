import { type ExecFileSyncOptionsWithStringEncoding, execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from '../daemon-process.ts';

export const UNIT = path.join(ROOT, 'config/centreond.service');

/** The values of each setting of the unit, in order. */
const settings = new Map<string, string[]>();
for (const line of readFileSync(UNIT, 'utf8').split('\n')) {
  const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
  if (key !== undefined && value !== undefined) settings.set(key, [...(settings.get(key) ?? []), value]);
}

/** The value of a setting that stands there once. */
export function setting(key: string): string {
  const [value, ...more] = settings.get(key) ?? [];
  if (value === undefined || more.length > 0) throw new Error(`${UNIT} does not have one ${key}`);
  return value;
}

/** The system calls that the unit's filter lets through. */
export function systemCalls(): Set<string> {
  const groups = new Map<string, string[]>();
  let group = '';
  // It warns that it cannot ask the kernel for the names of the others.
  const options: ExecFileSyncOptionsWithStringEncoding = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] };
  const listed = execFileSync('systemd-analyze', ['syscall-filter', '--no-pager'], options);
  for (const line of listed.split('\n')) {
    if (line.startsWith('@')) group = line.trim();
    if (line.startsWith('@')) groups.set(group, []);
    else if (/^ +[@a-z]/.test(line)) groups.get(group)?.push(line.trim());
  }
  const callsIn = (name: string): string[] =>
    name.startsWith('@') ? (groups.get(name) ?? []).flatMap(callsIn) : [name];
  const allowed = new Set(callsIn('@default'));
  for (const value of settings.get('SystemCallFilter') ?? []) {
    const isTaken = value.startsWith('~');
    for (const call of value.replace('~', '').split(' ').flatMap(callsIn)) {
      if (isTaken) allowed.delete(call);
      else allowed.add(call);
    }
  }
  return allowed;
}
