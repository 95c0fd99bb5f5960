import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from '@centreond/client';
import { type HistoryRow, isTerminal } from '@centreond/protocol';
import { z } from 'zod';
import { cut } from './cells.ts';
import { cliFault, misuse, openClient } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { exitText, whyOf } from './lifecycle.ts';
import { isAcceptance, printJson, rowLines } from './print.ts';
import { requestLines, requestOf } from './requests.ts';
import { informationOf, RowTitles } from './row-titles.ts';
import { momentOf } from './time.ts';

const PAGE = 1000;
const EVERY_MS = 200;
/** What changes seldom is asked for less often. */
const SELDOM_MS = 1000;
const TOKEN_CELLS = 13;
/** Of one row, with --rate. */
const SHOWN_CHARACTERS = 4096;

const Row = z.object({
  id: z.number(),
  token: z.string(),
  type: z.string(),
  node: z.string(),
  code: z.number(),
  etime: z.number(),
  ctime: z.number(),
  data: z.json(),
});
const Page = z.object({ result: z.array(Row), more: z.boolean() });

export interface PluginLogOptions extends Globals {
  readonly follow?: boolean;
  readonly since?: string;
  readonly rate?: string;
  readonly exits?: boolean;
}

/**
 * Prints the rows of all requests of a plugin's actions, and those under the tokens that it made, since a moment, and with --follow
 * those to come. Each request begins with who asked for what.
 */
export async function pluginLog(options: PluginLogOptions, type: string): Promise<number> {
  const { follow = false, since, exits = false } = options;
  if (!follow && since === undefined) throw misuse('log --plugin needs --follow, or --since, for example --since 1h.');
  if (exits && !follow) throw misuse('--exits goes with --follow; `centreond why TYPE` shows earlier ends.');
  const allowance = new Allowance(rateOf(options.rate));
  const moment = since === undefined ? undefined : momentOf('--since', since);
  await using client = await openClient(options);
  const plugin = await WatchedPlugin.find(client, type);
  const from = moment ?? Math.floor(plugin.now / 1000);
  const log = new PluginLog(client, plugin, from, allowance, options.json === true);
  await log.print();
  if (!follow) return EXIT.done;
  for (;;) {
    await pause(EVERY_MS);
    await log.print();
    if (exits) await log.printExits();
  }
}

function rateOf(text: string | undefined): number {
  const rate = text === undefined ? Number.POSITIVE_INFINITY : Number(text);
  if (text === undefined || (Number.isInteger(rate) && rate >= 1)) return rate;
  throw misuse(`--rate ${text}: write a whole number of rows, 1 at least.`);
}

/** A plugin of the router: the names of its actions, which a reload may change, and the titles of its codes. */
class WatchedPlugin {
  titles = new RowTitles([]);
  /** The router's time when it was last asked, in milliseconds. */
  now = 0;
  #actions: ReadonlySet<string> = new Set();
  #others = new Set<string>();
  #askedAt = 0;

  private constructor(
    private readonly client: Client,
    readonly type: string,
  ) {}

  /** Throws UNKNOWN_INSTANCE, as WHY does, where the router does not have it. */
  static async find(client: Client, type: string): Promise<WatchedPlugin> {
    await whyOf(client, type);
    const plugin = new WatchedPlugin(client, type);
    await plugin.#ask();
    return plugin;
  }

  /** Which of these rows are of its actions or under its tokens. Asks again for what a reload may have changed. */
  async own(rows: readonly HistoryRow[]): Promise<HistoryRow[]> {
    const isNew = ({ type }: HistoryRow) => !this.#actions.has(type) && !this.#others.has(type);
    if (rows.length > 0 && (performance.now() - this.#askedAt >= SELDOM_MS || rows.some(isNew))) {
      await this.#ask();
      for (const row of rows) if (isNew(row)) this.#others.add(row.type);
    }
    return rows.filter(({ type, token }) => this.#actions.has(type) || token.startsWith(`${this.type}:`));
  }

  async #ask(): Promise<void> {
    const { plugins, time } = await informationOf(this.client);
    const namesOf = (isOwn: boolean) =>
      new Set(
        plugins.flatMap(({ type, actions }) => ((type === this.type) === isOwn ? actions.map(({ name }) => name) : [])),
      );
    this.titles = new RowTitles(plugins);
    this.#actions = namesOf(true);
    this.#others = namesOf(false);
    this.now = time;
    this.#askedAt = performance.now();
  }
}

/** How many rows are shown in each second. Those that begin or end a request have an allowance of their own, as large. */
class Allowance {
  #second = -1;
  #left = { ends: 0, others: 0 };
  #refused = 0;

  constructor(private readonly rate: number) {}

  get isBounded(): boolean {
    return this.rate !== Number.POSITIVE_INFINITY;
  }

  /** Begins a second if one is over. Returns how many rows were refused in the last one. */
  renew(): number {
    const second = Math.floor(performance.now() / 1000);
    if (second === this.#second) return 0;
    const refused = this.#refused;
    this.#second = second;
    this.#left = { ends: this.rate, others: this.rate };
    this.#refused = 0;
    return refused;
  }

  takes(row: HistoryRow): boolean {
    const kind = isTerminal(row.code) || isAcceptance(row) ? 'ends' : 'others';
    if (this.#left[kind] === 0) {
      this.#refused++;
      return false;
    }
    this.#left[kind]--;
    return true;
  }
}

/** The rows of one plugin, printed as they are found. */
class PluginLog {
  #last: number | undefined;
  #exitShown: number;
  #exitsAskedAt = 0;

  constructor(
    private readonly client: Client,
    private readonly plugin: WatchedPlugin,
    /** Whole seconds since the epoch. */
    private readonly from: number,
    private readonly allowance: Allowance,
    private readonly json: boolean,
  ) {
    this.#exitShown = from * 1000;
  }

  /** Prints the rows that were written since the last time. */
  async print(): Promise<void> {
    for (let more = true; more; ) {
      const refused = this.allowance.renew();
      if (refused > 0 && !this.json) {
        process.stdout.write(`… ${refused} more rows are not shown: \`centreond log TOKEN\` has all of a request.\n`);
      }
      const page = await this.#page();
      ({ more } = page);
      for (const row of await this.plugin.own(page.result)) {
        if (this.allowance.takes(row)) await this.#show(row);
      }
      this.#last = page.result.at(-1)?.id ?? this.#last;
    }
  }

  /** Prints how instances ended since the last time. */
  async printExits(): Promise<void> {
    if (performance.now() - this.#exitsAskedAt < SELDOM_MS) return;
    this.#exitsAskedAt = performance.now();
    const { exits } = await whyOf(this.client, this.plugin.type);
    for (const exit of exits.filter(({ at }) => at > this.#exitShown).reverse()) {
      this.#exitShown = exit.at;
      if (this.json) printJson(exit);
      else process.stdout.write(exitText(exit));
    }
  }

  async #page(): Promise<z.output<typeof Page>> {
    const filter = this.#last === undefined ? { ctime: Math.max(0, this.from - 1) } : { id: this.#last };
    const { data } = await this.client.send('GETLOG', { ...filter, limit: PAGE });
    const { success, data: page, error } = Page.safeParse(data);
    if (success) return page;
    const reason = z.prettifyError(error);
    throw cliFault('UNKNOWN_ANSWER', { router: this.client.id, action: 'GETLOG', reason });
  }

  async #show(row: HistoryRow): Promise<void> {
    if (this.json) {
      printJson(row);
      return;
    }
    const request = isAcceptance(row) ? await requestOf(this.client, row.token) : undefined;
    const text = request
      ? requestLines(request, row.token)
      : rowLines(row, this.plugin.titles, { token: cut(row.token, TOKEN_CELLS, 'middle') });
    process.stdout.write(this.allowance.isBounded ? bounded(text, row.token) : text);
  }
}

/** A row's text, cut where it is long. */
function bounded(text: string, token: string): string {
  if (text.length <= SHOWN_CHARACTERS) return text;
  const [shown, rest] = [text.slice(0, SHOWN_CHARACTERS), text.length - SHOWN_CHARACTERS];
  return `${shown.toWellFormed()}…\n  … ${rest} more characters: \`centreond log ${token}\` has them.\n`;
}
