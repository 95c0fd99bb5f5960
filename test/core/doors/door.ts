import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Limits } from '../../../core/dist/config/limits.js';
import { type DoorOptions, ExternalDoor } from '../../../core/dist/doors/external.js';
import { type ClientsConfig, Trust } from '../../../core/dist/doors/trust.js';
import type { Peer } from '../../../core/dist/router/peer.js';
import { aliceKeys, routerKeys, TestClock, Wire } from './attacker.ts';

/** A door on a port of its own, and what its router heard. */
export interface OpenDoor {
  door: ExternalDoor;
  endpoint: string;
  trust: Trust;
  /** What the operator decided, on disk. */
  file: string;
  clock: TestClock;
  /** What the door logged. */
  log: { fields: Record<string, unknown>; message: string }[];
  /** The messages that reached the router. */
  got: { identity: string; message: string }[];
  /** The sessions whose messages reached it. */
  peers: Peer[];
  /** The identities whose sessions ended. */
  left: string[];
  /** The identities and moduli that were pinned. */
  pinned: [string, string][];
  /** The events that were told. */
  told: Record<string, unknown>[];
  /** A connection to it. */
  wire(routingId?: string, read?: boolean): Wire;
  /** The causes of the refusals so far. */
  causes(): string[];
}

/** What a daemon allows strangers by default. */
export const { strangers: STRANGERS } = Limits.parse({});

const cleanup: (() => unknown)[] = [];

/** Closes every door and wire; for `afterEach`. */
export async function closeAll(): Promise<void> {
  for (const undo of cleanup.splice(0).reverse()) await undo();
}

/**
 * Blocks the threads that compute signatures until the function that it returns is called: each of them waits for a
 * writer of a pipe.
 */
export function stallSignatures(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'stall-'));
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const readers: Promise<FileHandle>[] = Array.from({ length: 4 }, () => open(pipe, 'r'));
  let writer: number | undefined;
  const release = () => {
    writer ??= openSync(pipe, 'r+');
  };
  cleanup.push(async () => {
    release();
    for (const reader of await Promise.all(readers)) await reader.close();
    if (writer !== undefined) closeSync(writer);
    rmSync(folder, { recursive: true });
  });
  return release;
}

/** Opens a door that knows alice. Its router answers each message with `[PONG] message`. */
export async function openDoor(clients?: Partial<ClientsConfig>, options?: Partial<DoorOptions>): Promise<OpenDoor> {
  const folder = mkdtempSync(join(tmpdir(), 'door-'));
  cleanup.push(() => rmSync(folder, { recursive: true }));
  const clock = new TestClock();
  const file = join(folder, 'keys', 'trust.json');
  const trust = new Trust({
    file,
    clock,
    clients: {
      trust: 'strict',
      authorized: [{ identity: 'alice', fingerprint: aliceKeys.thumbprint, roles: ['client'] }],
      ...clients,
    },
  });
  const heard: Pick<OpenDoor, 'log' | 'got' | 'peers' | 'left' | 'pinned' | 'told'> = {
    log: [],
    got: [],
    peers: [],
    left: [],
    pinned: [],
    told: [],
  };
  const note = (fields: object, message: string) => {
    heard.log.push({ fields: { ...fields }, message });
    if (message === 'a session ended') heard.left.push(String((fields as { identity?: unknown }).identity));
  };
  const door = new ExternalDoor({
    listen: 'tcp://127.0.0.1:*',
    routerKeys,
    trust,
    id: 'central',
    version: '0.1.0',
    maxMessage: 1024 * 1024,
    strangers: STRANGERS,
    idleMs: 24 * 3_600_000,
    chronicle: { tell: (kind, fields) => void heard.told.push({ kind, ...fields }) },
    clock,
    log: { info: note, warn: note, error: note },
    receive(peer, message) {
      heard.got.push({ identity: peer.identity, message: message.toString() });
      if (!heard.peers.includes(peer)) heard.peers.push(peer);
      peer.send(`[PONG] ${message.toString()}`);
    },
    pinned: (identity, jwk) => heard.pinned.push([identity, jwk.n]),
    ...options,
  });
  const endpoint = await door.listen();
  door.serve();
  cleanup.push(() => door.stop());
  return {
    door,
    endpoint,
    trust,
    file,
    clock,
    ...heard,
    wire(routingId, read) {
      const made = new Wire(endpoint, routingId, read);
      cleanup.push(() => made.close());
      return made;
    },
    causes: () => heard.log.filter((line) => 'cause' in line.fields).map((line) => String(line.fields.cause)),
  };
}
