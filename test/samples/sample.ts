import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { connect } from '@centreond/client';
import type { JsonObject } from '@centreond/protocol';
import Database from 'better-sqlite3';
import { DaemonProcess, ROOT } from '../daemon-process.ts';

/** The folder of all samples, each named by the version that wrote it. */
export const SAMPLES = import.meta.dirname;

/** What a daemon says of all that it keeps. */
export interface Kept {
  fingerprint: string;
  requests: JsonObject[];
  rows: JsonObject[];
  keys: JsonObject[];
  schedules: JsonObject[];
  cursors: JsonObject[];
}

/** A daemon in a folder that is a copy of a sample: with its config file, and with its data where it has any. */
export class SampleDaemon extends DaemonProcess {
  constructor(version: string) {
    super();
    const sample = path.join(SAMPLES, version);
    cpSync(sample, this.folder, { recursive: true });
    // Its packages are found as they are where it is installed.
    symlinkSync(path.join(ROOT, 'node_modules'), path.join(this.folder, 'node_modules'));
    const sql = path.join(this.folder, 'history.sql');
    if (!readText(sql)) return;
    mkdirSync(path.join(this.folder, 'var'), { mode: 0o700 });
    cpSync(path.join(this.folder, 'keys'), path.join(this.folder, 'var/keys'), { recursive: true });
    // Git keeps no modes.
    for (const name of ['router.pem', 'trust.json']) chmodSync(path.join(this.folder, 'var/keys', name), 0o600);
    const db = new Database(this.database);
    db.exec(readFileSync(sql, 'utf8'));
    db.close();
    for (const name of ['history.sql', 'keys']) rmSync(path.join(this.folder, name), { recursive: true });
  }

  /** The config of the sample, as it is. */
  override writeConfig(): string {
    return path.join(this.folder, 'centreond.yaml');
  }

  /** Asks for all that it keeps. */
  async kept(): Promise<Kept> {
    await using client = await connect({ address: this.socket });
    const list = async (action: string, data: object, key: string) =>
      ((await client.send(action, data)).data as Record<string, JsonObject[]>)[key] ?? [];
    const schedules = await client.call('GETCRON', {});
    const nodes = await list('CONSTATUS', {}, 'nodes');
    return {
      fingerprint: this.fingerprint,
      requests: await list('GETREQUESTS', { limit: 1000 }, 'requests'),
      rows: await list('GETLOG', { id: 0, limit: 10_000 }, 'result'),
      keys: await list('KEYS', {}, 'keys'),
      schedules: (schedules.data as { definitions: JsonObject[] }).definitions,
      cursors: nodes.map(({ id, cursor }) => ({ id: id ?? null, cursor: cursor ?? null })),
    };
  }
}

/** The statements that make a database like the one in `file`. */
export function dumpOf(file: string): string {
  const db = new Database(file, { readonly: true });
  const entries = db
    .prepare<[], { type: string; name: string; sql: string }>(
      "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type DESC, name",
    )
    .all();
  const rowsOf = (table: string): string[] => {
    const columns = (db.pragma(`table_info(${table})`) as { name: string }[]).map(({ name }) => `quote("${name}")`);
    const rows = db
      .prepare<[], string>(`SELECT ${columns.join(" || ', ' || ")} FROM "${table}"`)
      .pluck()
      .all();
    return rows.map((row) => `INSERT INTO "${table}" VALUES (${row});`);
  };
  const parts = entries.flatMap(({ type, name, sql }) => [`${sql};`, ...(type === 'table' ? rowsOf(name) : [])]);
  db.close();
  return `${['BEGIN;', ...parts, 'COMMIT;'].join('\n')}\n`;
}

/** Writes the data of a daemon that has stopped into its sample. */
export function freeze(daemon: SampleDaemon, version: string, kept: Kept): void {
  const sample = path.join(SAMPLES, version);
  cpSync(path.join(daemon.folder, 'var/keys'), path.join(sample, 'keys'), { recursive: true });
  writeFileSync(path.join(sample, 'history.sql'), dumpOf(daemon.database));
  writeFileSync(path.join(sample, 'kept.json'), `${JSON.stringify(kept, undefined, 2)}\n`);
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
