import { readFileSync } from 'node:fs';
import { TEMPLATES } from '../own-package.ts';
import type { OtherRouter, PollerConfig } from './poller-config.ts';

/** The config file of a router to begin with: one door for this machine alone, and commands. */
export function routerConfig(id: string): string {
  return filled('router.yaml', { id: JSON.stringify(id).padEnd(33) });
}

/** The config file of a node that connects to its router by itself: what it runs, and that link. `dataDir` is relative to the file. */
export function pollerConfig({ identity, address, router, others }: PollerConfig, dataDir = './var'): string {
  const values = {
    identity: JSON.stringify(identity),
    dataDir,
    address: JSON.stringify(address),
    router: JSON.stringify(router),
    others: othersOf(others),
  };
  return filled('poller.yaml', values);
}

function othersOf(others: readonly OtherRouter[]): string {
  if (others.length === 0) return '';
  const entries = others.flatMap(({ address, fingerprint }) => [
    `        - address: ${JSON.stringify(address)}`,
    `          fingerprint: ${JSON.stringify(fingerprint)}`,
  ]);
  const head = '      others:  # of the same cluster; one at a time, and the next where it is lost';
  return `${[head, ...entries].join('\n')}\n`;
}

/** A file of the folder `template` in which each `{{key}}` is replaced by its value. */
function filled(name: string, values: Readonly<Record<string, string>>): string {
  const text = readFileSync(new URL(name, TEMPLATES), 'utf8');
  return text.replaceAll(/\{\{(\w+)\}\}/g, (mark, key: string) => values[key] ?? mark);
}
