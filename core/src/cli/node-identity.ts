import { openClient, outputOf } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { countText, printJson } from './print.ts';

/** What REMOVENODE and RENAMENODE answer. */
interface Removed {
  readonly fingerprint: string | null;
  readonly ended: number;
}
type Renamed = Removed & { readonly fingerprint: string };

/** `nodes remove ID`: forgets a node that was let in. */
export async function removeNode(globals: Globals, id: string): Promise<number> {
  const { router, answer } = await ask<Removed>(globals, 'REMOVENODE', { id });
  const { fingerprint, ended } = answer;
  if (globals.json) printJson(answer);
  else {
    process.stdout.write(
      [
        `${id} is no node of ${router} any more${endedText(ended)}.`,
        fingerprint === null
          ? 'It had not joined: its join token is withdrawn.'
          : `  revoked  ${fingerprint}, the key by which it came`,
        'Its rows stay in the history. The machine goes on with what it has: stop its daemon there.',
        `Another machine becomes ${id} by \`centreond join ${id}\`; this one too, once its folder keys is moved away.`,
        '',
      ].join('\n'),
    );
  }
  return EXIT.done;
}

/** `nodes rename OLD NEW`: lets the machine that is OLD in as NEW. */
export async function renameNode(globals: Globals, id: string, to: string): Promise<number> {
  const { router, answer } = await ask<Renamed>(globals, 'RENAMENODE', { id, to });
  const { fingerprint, ended } = answer;
  if (globals.json) printJson(answer);
  else {
    process.stdout.write(
      [
        `${router} lets ${id} in as ${to} from now on${endedText(ended)}.`,
        `  key  ${fingerprint}`,
        `Now set core.id to ${to} in the config of that machine, and start its daemon again: until then ${router} refuses it.`,
        `Its rows until now stay under ${id}.`,
        '',
      ].join('\n'),
    );
  }
  return EXIT.done;
}

function endedText(ended: number): string {
  return ended === 0 ? '' : `; ${countText(ended, 'request')} for it ended`;
}

async function ask<T>(globals: Globals, action: string, data: object): Promise<{ router: string; answer: T }> {
  await using client = await openClient(globals);
  return { router: client.id, answer: (await outputOf(client, action, data)) as T };
}
