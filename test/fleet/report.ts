import { writeSync } from 'node:fs';

/** Says what a test saw: figures that a pass or a failure alone does not show. */
export function report(text: string): void {
  writeSync(2, `    ${text}\n`);
}

export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
