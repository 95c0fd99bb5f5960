import type { Client } from '@centreond/client';
import type { HistoryRow, JsonObject } from '@centreond/protocol';
import { logText } from '../log/text.ts';
import { plain } from '../words.ts';
import { openClient } from './connection.ts';
import { dataOf } from './data-words.ts';
import { EXIT, type Globals } from './exit.ts';
import { degradedText } from './health-text.ts';
import { printJson } from './print.ts';
import { momentText } from './time.ts';

/** What happened to the plugins that share a process with the one that was asked for; nothing if none do. */
function othersText(sharedWith: unknown, happened: string): string {
  const others = Array.isArray(sharedWith) ? sharedWith : [];
  return others.length === 0 ? '' : ` It shares its process with ${others.join(', ')}, which ${happened}.`;
}

/** Ends an instance, or all of a plugin; says each step. */
export function kill(options: Globals, type: string, id: string | undefined): Promise<number> {
  return change(options, 'KILL', { type, ...(id !== undefined && { id }) }, ({ ended, sharedWith }) => {
    const what = (ended as string[]).join(', ') || 'nothing, none was running';
    return `${type}: ended ${what}.${othersText(sharedWith, 'ended with it')}`;
  });
}

/** Loads a package until the daemon stops. */
export async function load(
  options: Globals & { readonly as?: string },
  name: string,
  config: string | undefined,
): Promise<number> {
  const { as } = options;
  const data = {
    package: name,
    ...(as !== undefined && { as }),
    ...(config !== undefined && { config: await dataOf([config]) }),
  };
  return change(
    options,
    'LOADPLUGIN',
    data,
    ({ type, actions, standby }) =>
      `${type} is loaded: ${(actions as string[]).join(', ')}.${standby === undefined ? '' : ` It stands by here: ${standby}.`}`,
  );
}

/** Takes a plugin out of service. */
export function unload(options: Globals, type: string): Promise<number> {
  return change(options, 'UNLOADPLUGIN', { type }, () => `${type} is unloaded.`);
}

/** Replaces a plugin by what its package holds now. */
export function reload(options: Globals, type: string): Promise<number> {
  return change(options, 'RELOADPLUGIN', { type }, ({ version, sharedWith, standby }) => {
    if (standby !== undefined) return `${type} ${version} stands by here: ${standby}.`;
    return `${type} ${version} serves now.${othersText(sharedWith, 'were reloaded with it')}`;
  });
}

async function change(
  options: Globals,
  action: string,
  data: object,
  told: (output: JsonObject) => string,
): Promise<number> {
  await using client = await openClient(options);
  const onRow = ({ code, data: step }: HistoryRow) => {
    const said = (step as { step?: string } | null)?.step;
    if (code === 0 && said !== undefined && !options.json) process.stderr.write(`${said}\n`);
  };
  const { ok, data: output, row } = await client.call(action, data, { onRow });
  if (options.json) printJson(row);
  else if (ok) process.stdout.write(`${told(output as JsonObject)}\n`);
  else process.stderr.write(`${(output as { error: string }).error}: ${(output as { message: string }).message}\n`);
  return ok ? EXIT.done : EXIT.failed;
}

interface Why {
  type: string;
  state: string;
  reason: string | null;
  degraded: { instance: string; since: number; why: string }[];
  exits: Exit[];
}

/** How an instance ended, as WHY tells of it. */
export interface Exit {
  at: number;
  instance: string;
  version: string;
  tried?: true;
  cause: string;
  uptimeMs: number;
  running: string[];
  tail: string[];
}

/** How the instances of a plugin ended lately, newest first, each with the last lines that it wrote. */
export async function why(options: Globals, type: string): Promise<number> {
  await using client = await openClient(options);
  const data = await whyOf(client, type);
  if (options.json) printJson(data);
  else process.stdout.write(whyText(data));
  return EXIT.done;
}

/** What WHY answers of a plugin. */
export async function whyOf(client: Client, type: string): Promise<Why> {
  const { data } = await client.send('WHY', { type });
  return data as unknown as Why;
}

function whyText({ type, state, reason, degraded, exits }: Why): string {
  const unwell = degraded.map((one) => degradedText(`instance ${plain(one.instance)}`, one)).join('');
  const head = `${type} is ${state}${reason === null ? '' : `: ${reason}`}\n${unwell}`;
  if (exits.length === 0) return `${head}None of its instances has ended since the daemon started.\n`;
  return head + exits.map((exit) => `\n${exitText(exit)}`).join('');
}

/** One end of an instance: when, why, what it ran, and its last lines. */
export function exitText({ at, instance, version, tried, cause, uptimeMs, running, tail }: Exit): string {
  const unpainted = (_: string, text: string) => text;
  const ran = running.length > 0 ? `  ran     ${running.slice(0, 5).join(', ')}\n` : '';
  const lines = tail.flatMap((line) => logText(line, unpainted).split('\n')).map((line) => `  | ${line}\n`);
  const of = tried ? ` of version ${version}, which a reload tried,` : '';
  return `${momentText(at / 1000)}  instance ${plain(instance)}${of} after ${(uptimeMs / 1000).toFixed(1)} s: ${cause}\n${ran}${lines.join('')}`;
}
