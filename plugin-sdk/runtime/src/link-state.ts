import type { State } from '@centreond/plugin-sdk';
import type { Json, JsonObject } from '@centreond/protocol';
import type { Core } from './services.ts';

type Entry = { key: string; value: Json };

/** A plugin's state over the link to its core, which keeps it under the plugin's type. */
export class LinkState implements State {
  constructor(private readonly core: Core) {}

  async get(key: string): Promise<Json | undefined> {
    const { value } = await this.core.ask('GETSTATE', { key });
    return value;
  }

  async set(key: string, value: Json): Promise<void> {
    await this.core.ask('SETSTATE', { key, value });
  }

  async delete(key: string): Promise<void> {
    await this.core.ask('DELETESTATE', { key });
  }

  async list(prefix: string): Promise<Entry[]> {
    const entries: Entry[] = [];
    for (let page: JsonObject = { more: true }; page.more === true; ) {
      page = await this.core.ask('LISTSTATE', { prefix, after: entries.at(-1)?.key ?? '' });
      entries.push(...(page.entries as Entry[]));
    }
    return entries;
  }
}
