import type { BigIntStats } from 'node:fs';
import { type Entry, type Place } from '@centreond/receiving';
import type { Source } from './source.ts';

const SEGMENT_BYTES = 1024 * 1024;
/** Depth, kind, mode, size, mtime, inode and the length of the name. */
const HEAD_BYTES = 2 + 1 + 2 + 8 + 8 + 8 + 2;
const NAME_BYTES_LIMIT = 4096;
/** The omitted entries that are kept by name; the others are counted. */
const KEPT = 1000;

/** An entry that is not sent, and why. */
export interface Omitted {
  readonly path: string;
  readonly reason: string;
}

/** Counts what is omitted and keeps the first 1,000 of it. */
export class Omissions {
  readonly first: Omitted[] = [];
  total = 0;

  add(path: string, reason: string): void {
    this.total++;
    if (this.first.length < KEPT) this.first.push({ path, reason });
  }
}

/** One step of a transfer: an entry is sent, or a folder whose entries were all sent is closed. */
export interface Step {
  readonly kind: 'send' | 'close';
  readonly source: Source;
}

/** What one item of the request names: a file, or a folder and all that is below it. */
interface Tree {
  readonly place: Place;
  readonly path: string;
  count: number;
}

interface Entered {
  readonly depth: number;
  readonly name: string;
  readonly kind: Entry['kind'];
  readonly size: number;
  readonly mode: number;
  readonly version: string;
}

/**
 * All that is to be sent, as it was when the request began. Entries are packed into bytes, about 50 each, because a transfer
 * may have a million of them.
 */
export class Manifest {
  readonly #trees: Tree[] = [];
  readonly #segments: { readonly bytes: Buffer; used: number }[] = [];
  #length = 0;
  #bytes = 0;
  /** Entries that are never sent, such as symbolic links. */
  readonly skipped = new Omissions();
  /** Entries that were to be sent and cannot be read: the transfer does not succeed. */
  readonly failed = new Omissions();

  /** Files and folders. */
  get length(): number {
    return this.#length;
  }
  /** Bytes of all files. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Begins a tree: the entry at depth 0 that is added next goes to `path`. */
  begin(place: Place, path: string): void {
    this.#trees.push({ place, path, count: 0 });
  }

  /** Adds an entry of the current tree that has `depth` folders of that tree above it. Each folder comes before its entries. */
  add(depth: number, name: string, kind: Entry['kind'], { size, mode, mtimeNs, ino }: BigIntStats): void {
    const tree = this.#trees.at(-1);
    const length = Buffer.byteLength(name);
    if (!tree || length > NAME_BYTES_LIMIT) throw new TypeError(`cannot add ${name}`);
    let segment = this.#segments.at(-1);
    if (!segment || segment.used + HEAD_BYTES + length > SEGMENT_BYTES) {
      segment = { bytes: Buffer.allocUnsafeSlow(SEGMENT_BYTES), used: 0 };
      this.#segments.push(segment);
    }
    const { bytes } = segment;
    let at = bytes.writeUInt16LE(depth, segment.used);
    at = bytes.writeUInt8(kind === 'file' ? 1 : 0, at);
    at = bytes.writeUInt16LE(Number(mode & 0o777n), at);
    at = bytes.writeBigUInt64LE(size, at);
    at = bytes.writeBigInt64LE(BigInt.asIntN(64, mtimeNs), at);
    at = bytes.writeBigUInt64LE(BigInt.asUintN(64, ino), at);
    at = bytes.writeUInt16LE(length, at);
    segment.used = at + bytes.write(name, at);
    tree.count++;
    this.#length++;
    if (kind === 'file') this.#bytes += Number(size);
  }

  *#entered(): Generator<Entered, undefined> {
    for (const { bytes, used } of this.#segments) {
      for (let at = 0; at < used; ) {
        const size = bytes.readBigUInt64LE(at + 5);
        const kind = bytes.readUInt8(at + 2) === 1 ? 'file' : 'directory';
        const end = at + HEAD_BYTES + bytes.readUInt16LE(at + 29);
        yield {
          depth: bytes.readUInt16LE(at),
          name: bytes.toString('utf8', at + HEAD_BYTES, end),
          kind,
          size: kind === 'file' ? Number(size) : 0,
          mode: bytes.readUInt16LE(at + 3),
          version: versionOf({ size, mtimeNs: bytes.readBigInt64LE(at + 13), ino: bytes.readBigUInt64LE(at + 21) }),
        };
        at = end;
      }
    }
    return undefined;
  }

  /**
   * The steps of the transfer, in order. A folder is sent before what is in it and closed after it: closing gives it its mode,
   * which may forbid to write. One that another item of the request goes into is closed after all others.
   */
  *steps(): Generator<Step> {
    const late: Source[] = [];
    const shared = new Set(this.#trees.flatMap(({ path }) => foldersAbove(path)));
    const entries = this.#entered();
    for (const { place, path, count } of this.#trees) {
      const open: Source[] = [];
      const close = function* (depth: number): Generator<Step> {
        for (const source of open.splice(depth).reverse()) {
          if (shared.has(source.entry.path)) late.push(source);
          else yield { kind: 'close', source };
        }
      };
      for (let i = 0; i < count; i++) {
        const { value: entered } = entries.next();
        if (!entered) throw new Error('the manifest ended early');
        yield* close(entered.depth);
        const source = sourceOf(entered, open.at(-1), { place, path });
        yield { kind: 'send', source };
        if (entered.kind === 'directory') open.push(source);
      }
      yield* close(0);
    }
    late.sort((a, b) => b.entry.path.length - a.entry.path.length);
    for (const source of late) yield { kind: 'close', source };
  }

  /** A destination that two entries have; undefined if there is none. */
  twice(): string | undefined {
    const tops = new Set<string>();
    for (const { path } of this.#trees) {
      if (tops.has(path)) return path;
      tops.add(path);
    }
    if (![...tops].some((path) => foldersAbove(path).some((above) => tops.has(above)))) return undefined;
    // Trees overlap only where one of them has an entry in the place of another's top.
    const met = new Set<string>();
    for (const { kind, source } of this.steps()) {
      const { path } = source.entry;
      if (kind !== 'send' || !tops.has(path)) continue;
      if (met.has(path)) return path;
      met.add(path);
    }
    return undefined;
  }
}

function sourceOf(entered: Entered, parent: Source | undefined, top: Pick<Tree, 'place' | 'path'>): Source {
  const { name, kind, size, mode, version } = entered;
  const place = parent ? { root: top.place.root, names: [...parent.place.names, name] } : top.place;
  const path = parent ? below(parent.entry.path, name) : top.path;
  return { place, entry: { path, kind, size, mode, version } };
}

/** The destination of an entry of the folder that goes to `path`. */
export function below(path: string, name: string): string {
  return path === '/' ? `/${name}` : path === '.' ? name : `${path}/${name}`;
}

/** The destinations of the folders above `path`. */
function foldersAbove(path: string): string[] {
  const above: string[] = [];
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) above.push(path.slice(0, at));
  const top = path.startsWith('/') ? '/' : '.';
  if (path !== top) above.push(top);
  return above;
}

/** Names the state that a file is in: it changes whenever the file is written to. */
export function versionOf({ size, mtimeNs, ino }: Pick<BigIntStats, 'size' | 'mtimeNs' | 'ino'>): string {
  // A time after 2262 does not fit 64 bits: what is left of it changes all the same.
  return `${size}-${BigInt.asIntN(64, mtimeNs)}-${BigInt.asUintN(64, ino)}`.slice(0, 64);
}
