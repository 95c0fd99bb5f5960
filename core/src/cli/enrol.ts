import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { connect, type RouterAddress } from '@centreond/client';
import { isCentreondError, reasonOf } from '@centreond/protocol';
import type { KeyPair } from '@centreond/protocol/channel';
import { linksIn } from '../config/poller-config.ts';
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
    if (router !== undefined) say(`${identity} is a node of the router ${router.id} (${router.address}) now.`);
    say(`  key     ${thumbprint}, ${shortPath(keyFile)}${created ? ' (made now)' : ''}`);
    say(`  config  ${shortPath(file)}${isNew ? ' (written now)' : ''}`);
    for (const place of aside) say(`  aside   ${shortPath(place)}`);
    const [written, told] = [home.config && linksIn(home.config), routersOf(joining)];
    if (written && namesOf(written) !== namesOf(told)) {
      say(
        `          it has the router at ${textOf(written)} and the line at ${textOf(told)}: change it there if need be`,
      );
    }
    return { file, system };
  } finally {
    await folder.release();
    if (owner) giveTo(home.dataDir, owner);
  }
}

/** The routers of the line, in the order in which they are tried. */
function routersOf({ address, router, others }: JoinCode): RouterAddress[] {
  return [{ address, fingerprint: router }, ...others];
}

function textOf(routers: readonly { readonly address?: unknown }[]): string {
  return routers.map(({ address }) => String(address)).join(' or ');
}

/** The same for the same addresses in whichever order. */
function namesOf(routers: readonly { readonly address?: unknown }[]): string {
  return routers
    .map(({ address }) => String(address))
    .sort()
    .join(' ');
}

/** Where a handshake let this machine in. */
interface Introduced {
  readonly id: string;
  readonly address: string;
}

/**
 * The handshake with the token, at one router after the other until one lets this machine in. Undefined where none is reached by who
 * joined before.
 */
async function introduce(joining: JoinCode, key: KeyPair, { config }: NodeHome): Promise<Introduced | undefined> {
  const { identity, token } = joining;
  const refusing: RouterAddress[] = [];
  const reasons: string[] = [];
  for (const router of routersOf(joining)) {
    try {
      const to = { address: router.address, router: router.fingerprint, timeoutMs: CONNECT_LIMIT_MS };
      await using client = await connect({ ...to, identity, key, join: token });
      return { id: client.id, address: router.address };
    } catch (error) {
      const code = isCentreondError(error) ? error.code : '';
      if (code === 'HANDSHAKE_REFUSED') refusing.push(router);
      else if (code === 'NOT_CONNECTED') reasons.push(reasonOf(error));
      else throw error;
    }
  }
  if (refusing.length > 0) throw fault('JOIN_REFUSED', { address: textOf(refusing), identity, key: key.thumbprint });
  const reason = reasons.join(' ');
  if (!config) throw fault('JOIN_UNREACHABLE', { address: textOf(routersOf(joining)), identity, reason });
  say(`${identity} joined before, and its router is not reached now; it starts and keeps trying. ${reason}`);
  return undefined;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
