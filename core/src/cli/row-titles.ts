import type { Client } from '@centreond/client';
import { type HistoryRow, isCentreondError } from '@centreond/protocol';
import type { StatusActions } from '../router/status-actions.ts';

type Plugins = ReturnType<StatusActions['information']>['plugins'];

/** What the rows of plugins say, by the titles that their manifests give to their codes. */
export class RowTitles {
  readonly #ofType = new Map<string, ReadonlyMap<number, string>>();
  readonly #typeOf = new Map<string, string>();

  constructor(plugins: Pick<Plugins[number], 'type' | 'actions' | 'codes' | 'codeTitles'>[]) {
    for (const { type, actions, codes, codeTitles } of plugins) {
      const titles = Object.entries(codeTitles).flatMap(([name, title]) => {
        const code = codes[name];
        return code === undefined ? [] : [[code, title] as const];
      });
      this.#ofType.set(type, new Map(titles));
      for (const { name } of actions) this.#typeOf.set(name, type);
    }
  }

  /** The title of a row's code, of the plugin that has its action, else of the one whose token it bears; undefined if there is none. */
  of({ code, type, token }: Pick<HistoryRow, 'code' | 'type' | 'token'>): string | undefined {
    const byAction = this.#ofType.get(this.#typeOf.get(type) ?? '')?.get(code);
    return byAction ?? this.#ofType.get(token.slice(0, Math.max(0, token.indexOf(':'))))?.get(code);
  }
}

/** What INFORMATION tells of the plugins of the router of `client`, and its time. A router of an earlier version tells no titles. */
export async function informationOf(client: Pick<Client, 'send'>): Promise<{ plugins: Plugins; time: number }> {
  const { data } = await client.send('INFORMATION', {});
  const { plugins, time } = data as unknown as { plugins: Plugins; time: number };
  return {
    plugins: plugins.map((plugin) => ({ ...plugin, codes: plugin.codes ?? {}, codeTitles: plugin.codeTitles ?? {} })),
    time,
  };
}

/** The titles that the router of `client` knows; none if it does not say: a node may not ask, and rows are shown without. */
export async function titlesOf(client: Pick<Client, 'send'>): Promise<RowTitles> {
  try {
    return new RowTitles((await informationOf(client)).plugins);
  } catch (error) {
    if (isCentreondError(error)) return new RowTitles([]);
    throw error;
  }
}
