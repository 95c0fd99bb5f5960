import type { Position } from '../errors.ts';
import type { ClientPart, FilePart, PluginSettings } from './schema.ts';
import type { Path, Source } from './source.ts';

/** An entry of `clients.authorized`. */
export type AuthorizedClient = ClientPart;

/** An entry of `plugins`. Durations are in ms, sizes in bytes. */
export interface PluginEntry extends PluginSettings {
  /** Where the entry stands. */
  at: Position;
  /** The file that holds it, and the way to it there. */
  source: Source;
  path: Path;
}

/** What discovery needs of a config, also of one that has mistakes elsewhere. */
export interface Scope {
  /** The config file, absolute. */
  file: string;
  core: { dataDir: string };
  plugins: PluginEntry[];
}

/** The whole configuration. Durations are in ms, sizes in bytes, paths absolute, defaults filled in. */
export interface Config extends Scope {
  /** All files that it comes from, the config file first. */
  files: string[];
  core: FilePart['core'] & {
    id: string;
    /** Path of the internal door's socket. */
    socket: string;
  };
  clients: FilePart['clients'];
}
