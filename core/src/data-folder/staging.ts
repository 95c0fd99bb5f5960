import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs `work` with a private folder (0700) beside what it is to become. The folder is gone afterwards, also where a signal ends the
 * process: it holds keys.
 */
export async function withStaging<T>(prefix: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(prefix);
  const remove = () => rmSync(folder, { recursive: true, force: true });
  const onSignal = (signal: NodeJS.Signals) => {
    remove();
    for (const one of SIGNALS) process.off(one, onSignal);
    process.kill(process.pid, signal);
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    return await work(folder);
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
    remove();
  }
}

/** What is below a folder: the paths of its files and folders, relative to it, parents first, and of everything else. */
export function entriesOf(folder: string): { files: string[]; folders: string[]; others: string[] } {
  const entries: { files: string[]; folders: string[]; others: string[] } = { files: [], folders: [], others: [] };
  const visit = (below: string) => {
    const inner = readdirSync(path.join(folder, below), { withFileTypes: true });
    for (const entry of inner.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const name = path.join(below, entry.name);
      if (entry.isDirectory()) {
        entries.folders.push(name);
        visit(name);
      } else if (entry.isFile()) entries.files.push(name);
      else entries.others.push(name);
    }
  };
  visit('');
  return entries;
}
