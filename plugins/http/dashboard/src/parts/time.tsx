import { agoText, momentText } from '../format.ts';

/** A moment as how long ago it was; the title has it in full. `at` in milliseconds. */
export function Ago({ at, now }: { at: number; now: number }) {
  return (
    <time dateTime={isoOf(at)} title={momentText(at)}>
      {agoText(at, now)}
    </time>
  );
}

/** A moment in full; the title says how long ago it was. */
export function Moment({ at, now }: { at: number; now: number }) {
  return (
    <time dateTime={isoOf(at)} title={agoText(at, now)}>
      {momentText(at)}
    </time>
  );
}

export function isoOf(at: number): string {
  return new Date(at).toISOString();
}
