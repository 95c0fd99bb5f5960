import type { Client } from '@centreond/client';
import { parseDuration } from '../config/units.ts';
import { formatJoinCode, isDoorAddress } from '../doors/join-code.ts';
import type { KeyActions } from '../doors/key-actions.ts';
import { cliFault, misuse, openClient } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { ownName } from './own-name.ts';
import { printJson } from './print.ts';

export interface JoinOptions extends Globals {
  readonly for?: string;
  /** The address that the node is to connect to. */
  readonly address?: string;
  readonly subnodes?: readonly string[];
}

type Joining = ReturnType<KeyActions['join']>;

/** `join IDENTITY`: prints the one line to paste on the machine that is to be that node, and says elsewhere what it does. */
export async function join(options: JoinOptions, identity: string): Promise<number> {
  const { address: wanted, subnodes } = options;
  if (wanted !== undefined && !isDoorAddress(wanted)) {
    throw misuse(`--address ${wanted}: an address is tcp://host:port, such as tcp://10.0.0.5:5555.`);
  }
  const seconds = options.for === undefined ? undefined : secondsOf(options.for);
  await using client = await openClient(options);
  const request = {
    identity,
    ...(seconds !== undefined && { seconds }),
    ...(subnodes && { subnodes: subnodes.flatMap((word) => word.split(',')) }),
  };
  const joining = (await client.send('JOIN', request)).data as unknown as Joining;
  const { token, fingerprint, until, reach, others = [] } = joining;
  const address = addressOf(options, joining, client);
  const code = formatJoinCode({ identity, address, router: fingerprint, token, others });
  const line = `${ownName()} start --join ${code}`;
  if (options.json) {
    printJson({ identity, line, code, router: client.id, fingerprint, address, others, reach, until });
    return EXIT.done;
  }
  process.stderr.write(guidance(options, { identity, address, router: client.id, joining }));
  process.stdout.write(`${line}\n`);
  return EXIT.done;
}

function secondsOf(text: string): number {
  const parsed = parseDuration(text);
  if (typeof parsed === 'number' && parsed >= 1000 && parsed <= 3_600_000) return Math.floor(parsed / 1000);
  const why = typeof parsed === 'number' ? 'is not between 1s and 1h' : parsed.refused;
  throw misuse(`--for ${text} ${why}. A join token is open for 1h at most, such as 15m.`);
}

/** What the node connects to: what was said, else what led here, else the best that the router knows of itself. */
function addressOf({ address, connect }: JoinOptions, { reach, addresses }: Joining, client: Client): string {
  const found = address ?? (reach === 'any' && connect ? client.address : undefined) ?? addresses[0];
  if (found !== undefined) return found;
  throw cliFault('NO_ADDRESS', undefined);
}

function guidance(
  options: JoinOptions,
  told: { identity: string; address: string; router: string; joining: Joining },
): string {
  const { identity, address, router, joining } = told;
  const { fingerprint, until, reach, addresses } = joining;
  const minutes = Math.max(1, Math.round((until - Date.now()) / 60_000));
  const further = addresses.filter((one) => one !== address);
  const others = joining.others ?? [];
  const lines = [
    `Paste the line below on the machine that is to be ${identity}, in an empty folder there where centreond is installed;`,
    'where its Debian package is, as root, without npx. It makes a key, pins this router, writes the config and starts;',
    'pasted again, it goes on where it was.',
    `  router    ${router}, ${address}`,
    `  key       ${fingerprint}`,
    ...others.map((other) => `  or        ${other.address}, key ${other.fingerprint}`),
    `  valid     once, until ${new Date(until).toISOString().slice(0, 19)}Z (${minutes} min); keep it to yourself until then`,
    `  watch     ${ownName()} nodes, where it is up a moment later`,
    `  withdraw  ${ownName()} keys revoke ${identity}`,
  ];
  if (options.address === undefined && reach === 'loopback') {
    lines.push(
      `The external door listens on ${address}, so the line serves on this machine only. For others set core.external.listen`,
      'to tcp://*:PORT or an address of this machine, or name what leads here with --address tcp://host:port.',
    );
  } else if (options.address === undefined && reach === 'any') {
    lines.push(
      `The external door listens on every address of this machine, and the line names ${address}.`,
      ...(further.length > 0 ? [`There is also ${further.join(', ')}.`] : []),
      'Where nodes do not reach that, name another with --address tcp://host:port.',
    );
  }
  return `${lines.join('\n')}\n\n`;
}
