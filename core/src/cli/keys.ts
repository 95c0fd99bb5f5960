import path from 'node:path';
import type { Config } from '../config/config.ts';
import { loadOrCreateKey } from '../doors/keys.ts';
import { Trust, type TrustEntry } from '../doors/trust.ts';
import type { Role } from '../router/peer.ts';
import { plain } from '../words.ts';
import { type Column, tableLines } from './columns.ts';
import { answers, cliFault, configOf, misuse, openClient, outputOf } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { dataLines, hanging, printJson, widthOf } from './print.ts';
import { momentText } from './time.ts';

/** `keys show`: the fingerprint of the router's key, or of --key FILE; makes the key when there is none. */
export async function showKey(options: Globals): Promise<number> {
  const file = options.key ?? path.join((await configOf(options)).core.dataDir, 'keys', 'router.pem');
  const { thumbprint, created } = await loadOrCreateKey(path.resolve(file));
  if (options.json) printJson({ fingerprint: thumbprint, path: path.resolve(file) });
  else process.stdout.write(`${thumbprint}\n${path.resolve(file)}${created ? ' (made now)' : ''}\n`);
  return EXIT.done;
}

/** `keys generate FILE`: makes a key for a client. Exit 1 where the file exists. */
export async function generate(options: Globals, file: string): Promise<number> {
  const { thumbprint, created } = await loadOrCreateKey(path.resolve(file));
  if (!created) throw cliFault('KEY_EXISTS', { path: file, fingerprint: thumbprint });
  if (options.json) printJson({ fingerprint: thumbprint, path: path.resolve(file) });
  else process.stdout.write(`${thumbprint}\n${path.resolve(file)}\n`);
  return EXIT.done;
}

/** `keys list`: which keys are let in, revoked, or were shown by unknown clients. */
export async function listKeys(options: Globals): Promise<number> {
  const { keys } = await withTrust(options, 'KEYS', {}, (trust) => ({ keys: trust.list() }));
  if (options.json) printJson({ keys });
  else if (keys.length === 0) process.stdout.write('No keys. A client that connects appears here as pending.\n');
  else {
    process.stdout.write(keysText(keys, widthOf(process.stdout)));
  }
  return EXIT.done;
}

/** A line for each key, the fingerprint whole: it is copied from there. Where lines are bounded, its history is below it. */
export function keysText(keys: readonly TrustEntry[], width: number | undefined): string {
  const columns: readonly Column<TrustEntry>[] = [
    { heading: 'STATE', piece: ({ state }) => state },
    { heading: 'FINGERPRINT', piece: (entry) => ('fingerprint' in entry ? entry.fingerprint : '') },
    {
      heading: 'IDENTITY',
      least: 8,
      cutAt: 'middle',
      piece: (entry) => ('identity' in entry ? plain(entry.identity ?? '') : ''),
    },
    { heading: 'ROLES', least: 6, piece: (entry) => ('roles' in entry ? entry.roles.join(',') : '') },
  ];
  if (width === undefined) {
    const since: Column<TrustEntry> = { heading: 'SINCE', piece: historyOf };
    return `${tableLines([...columns, since], keys).join('\n')}\n`;
  }
  const [heading, ...lines] = tableLines(columns, keys, width);
  const told = keys.map((entry, i) => {
    const history = historyOf(entry);
    return `${lines[i]}\n${history === '' ? '' : hanging('  ', history, width)}`;
  });
  return `${heading}\n${told.join('')}`;
}

/** How and when it came to be so. */
function historyOf(entry: TrustEntry): string {
  const at = (time: number) => momentText(time / 1000);
  if (entry.state === 'config') return '';
  if (entry.state === 'joined') return `${at(entry.at)}, by a token of ${entry.by}`;
  if (entry.state === 'invited') return `${at(entry.at)}, open until ${at(entry.until)}, by ${entry.by}`;
  if (entry.state === 'pending') return `${at(entry.firstSeen)}, last ${at(entry.lastSeen)} from ${entry.lastAddress}`;
  return at(entry.at);
}

/** `keys accept FINGERPRINT --identity ID --role R…`. */
export async function acceptKey(
  options: Globals & { identity?: string; role?: string[] },
  fingerprint: string,
): Promise<number> {
  const { identity, role } = options;
  if (!identity || !role) throw misuse('keys accept needs --identity ID and --role ROLE.');
  const request = { fingerprint, identity, roles: role.flatMap((word) => word.split(',')) as Role[] };
  const accepted = await withTrust(options, 'ACCEPTKEY', request, (trust) => trust.accept(request));
  if (options.json) printJson(accepted);
  else process.stdout.write(`${fingerprint} is ${identity} now (${request.roles.join(', ')}).\n`);
  return EXIT.done;
}

/** `keys revoke FINGERPRINT|IDENTITY`. */
export async function revokeKey(options: Globals, key: string): Promise<number> {
  const answer = await withTrust(options, 'REVOKEKEY', { key }, (trust) => ({ revoked: trust.revoke(key) }));
  const { revoked } = answer;
  if (options.json) printJson(answer);
  else if ('withdrawn' in revoked) {
    process.stdout.write(`The join token of ${key} is withdrawn; its line lets nobody in.\n`);
  } else process.stdout.write(`Revoked:\n${dataLines(revoked as Record<string, string>)}`);
  return EXIT.done;
}

/** Asks the daemon for `action` where one runs; otherwise has `offline` answer by what the daemon keeps on disk. */
async function withTrust<T>(options: Globals, action: string, data: object, offline: (trust: Trust) => T): Promise<T> {
  // The options of a key that is accepted are not those of a connection.
  const { identity: _, ...globals } = options;
  const config: Config | undefined = globals.connect ? undefined : await configOf(globals);
  if (config && !(await answers(config.core.socket))) {
    return offline(new Trust({ file: path.join(config.core.dataDir, 'keys', 'trust.json'), clients: config.clients }));
  }
  await using client = await openClient(globals.connect ? options : globals);
  if (action === 'KEYS') return (await client.send(action, data)).data as T;
  return (await outputOf(client, action, data)) as T;
}
