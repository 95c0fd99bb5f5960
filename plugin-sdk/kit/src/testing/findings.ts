import type { Manifest } from '@centreond/plugin-sdk/internal';
import type { Found } from './processes.ts';

/** What a check can find: what programs branch on. */
export type FindingCode =
  | 'MANIFEST_STALE'
  | 'START_FAILED'
  | 'UNKNOWN_KEYS'
  | 'WRONG_INPUT_TAKEN'
  | 'NO_EXAMPLE'
  | 'EXAMPLE_REFUSED'
  | 'INVALID_OUTPUT'
  | 'CRASHED'
  | 'NO_END'
  | 'ABORT_IGNORED'
  | 'ROW_AFTER_END'
  | 'PROCESS_LEFT'
  | 'PROCESS_ESCAPED'
  | 'FILE_LEFT'
  | 'SIGTERM_IGNORED'
  | 'KILL_IGNORED'
  | 'STOP_IGNORED';

/** Where a plugin does not keep the contract. */
export interface Finding {
  readonly code: FindingCode;
  /** The action in which it does not, where it is one. */
  readonly action?: string;
  /** What happened, where, and what to do. */
  readonly message: string;
}

/** What a check found so far; the same thing is said once. */
export class Findings {
  readonly all: Finding[] = [];

  has(code: FindingCode): boolean {
    return this.all.some((each) => each.code === code);
  }

  add(code: FindingCode, message: string, action?: string): void {
    if (this.all.some((each) => each.code === code && each.message === message)) return;
    this.all.push({ code, ...(action === undefined ? {} : { action }), message });
  }

  unknownKeys(path: string, action: string | undefined): void {
    const whose = action === undefined ? '' : `${action}: `;
    const remedy = `so a misspelt key goes unnoticed; use z.strictObject, or name ${action ?? 'config'} in the option open`;
    this.add('UNKNOWN_KEYS', `${whose}${path} takes keys that are not in its schema, ${remedy}`, action);
  }

  killIgnored({ kill }: Manifest): void {
    this.add('KILL_IGNORED', `its kill handler did not return within its grace of ${kill?.graceSeconds ?? 0} s`);
  }

  escaped(command: string): void {
    this.add(
      'PROCESS_ESCAPED',
      `its process '${command}' outlives SIGKILL, since it has left the process group and CENTREOND_INSTANCE is missing from its environment; pass the environment on`,
    );
  }

  left(processes: readonly Found[], files: readonly string[], when: string, action?: string): void {
    const whose = action === undefined ? 'it' : `${action}: it`;
    for (const { command } of processes) {
      this.add('PROCESS_LEFT', `${whose} left the process '${command}' behind ${when}; end what you start`, action);
    }
    for (const file of files) {
      this.add(
        'FILE_LEFT',
        `${whose} left the file ${file} in the temporary folder ${when}; remove what you write`,
        action,
      );
    }
  }
}
