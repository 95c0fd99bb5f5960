import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { connect } from '@centreond/client';
import { isCentreondError, reasonOf } from '@centreond/protocol';
import type { KeyPair } from '@centreond/protocol/channel';
import { linkIn } from '../config/poller-config.ts';
import { JOINING, ROUTER_KEY } from '../data-folder/backup.ts';
import { DataFolder } from '../data-folder/data-folder.ts';
import { giveTo, ownerFor } from '../data-folder/replaced.ts';
import { type JoinCode, parseJoinCode } from '../doors/join-code.ts';
import { loadOrCreateKey } from '../doors/keys.ts';
import { fault } from '../errors.ts';
import { findHome, type HomeOptions, type NodeHome, replaceOther, writeHome } from './node-home.ts';
import { shortPath } from './print.ts';

/** An attempt has 5 s. */
const CONNECT_LIMIT_MS = 6000;

/** What a join made of this machine. */
export interface Enrolled {
  /** The config file to start with. */
  readonly file: string;
  /** Whether it is the system that starts the daemon. */
  readonly system: boolean;
}

/**
 * Makes this machine the node that a join code speaks of: its key, the handshake that enrols it, then its config.
 * Each step finds what an earlier run did, so after a crash anywhere in between it is simply run again. Throws a sentence where it
 * cannot go on; nothing of another daemon is changed, but where it is to be replaced: then it is moved aside once the router has
 * let this node in.
 */
export async function enrol(options: HomeOptions, code: string): Promise<Enrolled> {
  const joining = parseJoinCode(code);
  const { identity } = joining;
  const home = await findHome(options, joining);
  const { file, system } = home;
  const owner = ownerFor(home.dataDir);
  const folder = await DataFolder.take(home.dataDir);
  try {
    const keyFile = folder.file(ROUTER_KEY);
    const draft = folder.file(JOINING, `${identity}.pem`);
    const replaces = home.replaces || existsSync(draft);
    const keys = await loadOrCreateKey(replaces ? draft : keyFile);
    const router = await introduce(joining, keys, home);
    const aside = replaces ? replaceOther(home) : [];
    if (replaces) {
      mkdirSync(path.dirname(keyFile), { recursive: true, mode: 0o700 });
      renameSync(draft, keyFile);
      rmSync(path.dirname(draft), { recursive: true });
    }
    const isNew = writeHome(home, joining);
    const { thumbprint, created } = keys;
    if (router !== undefined) say(`${identity} is a node of the router ${router} (${joining.address}) now.`);
    say(`  key     ${thumbprint}, ${shortPath(keyFile)}${created ? ' (made now)' : ''}`);
    say(`  config  ${shortPath(file)}${isNew ? ' (written now)' : ''}`);
    for (const place of aside) say(`  aside   ${shortPath(place)}`);
    const address = home.config && linkIn(home.config).address;
    if (address !== undefined && address !== joining.address) {
      say(
        `          it has the router at ${String(address)} and the line at ${joining.address}: change it there if need be`,
      );
    }
    return { file, system };
  } finally {
    await folder.release();
    if (owner) giveTo(home.dataDir, owner);
  }
}

/** The handshake with the token. Resolves with the router's id; undefined where it is not reached by who joined before. */
async function introduce(
  { identity, address, router, token }: JoinCode,
  key: KeyPair,
  { config }: NodeHome,
): Promise<string | undefined> {
  try {
    await using client = await connect({ address, identity, key, router, join: token, timeoutMs: CONNECT_LIMIT_MS });
    return client.id;
  } catch (error) {
    const code = isCentreondError(error) ? error.code : '';
    if (code === 'HANDSHAKE_REFUSED') throw fault('JOIN_REFUSED', { address, identity, key: key.thumbprint });
    if (code !== 'NOT_CONNECTED') throw error;
    if (!config) throw fault('JOIN_UNREACHABLE', { address, identity, reason: reasonOf(error) });
    say(`${identity} joined before, and its router is not reached now; it starts and keeps trying. ${reasonOf(error)}`);
    return undefined;
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
