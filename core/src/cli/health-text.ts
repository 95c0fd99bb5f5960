import type { PluginStatus } from '../router/executor.ts';
import { plain } from '../words.ts';
import { momentText } from './time.ts';

/** A line for each plugin that is degraded: its instance that has been so for the longest, why, and how many others are. */
export function healthLines(plugins: readonly PluginStatus[]): string[] {
  return plugins.flatMap(({ type, health, instances }) => {
    if (health?.state !== 'degraded') return [];
    const others = instances.filter((one) => one.health?.state === 'degraded').length - 1;
    const more =
      others > 0 ? `; so ${others === 1 ? 'is 1 other instance' : `are ${others} other instances`} of it` : '';
    const name = instances.length === 1 && health.instance === '1' ? type : `${type}/${plain(health.instance)}`;
    return [degradedText(name, health, more)];
  });
}

/** A line for each process that plugins share: which ones. */
export function sharedLines(plugins: readonly PluginStatus[]): string[] {
  const groups = plugins.flatMap(({ type, sharedWith = [] }) =>
    sharedWith.length === 0 ? [] : [[type, ...sharedWith].sort().join(', ')],
  );
  return [...new Set(groups)].map((types) => `${types} share a process: they end and restart together.\n`);
}

/** A line for each plugin that another router runs: which one. */
export function standbyLines(plugins: readonly PluginStatus[]): string[] {
  return plugins.flatMap(({ type, state, reason }) =>
    state === 'standby' ? [`${type} stands by here${reason === undefined ? '' : `: ${plain(reason)}`}\n`] : [],
  );
}

/** That `name` is degraded, since when and why. */
export function degradedText(name: string, { since, why = '' }: { since: number; why?: string }, more = ''): string {
  return `${name} is degraded since ${momentText(since / 1000)}${more}: ${plain(why)}\n`;
}
