import { Carrying, type KindName, type NodeKind, type NodeSettings } from '@centreond/carrying';
import type { ActionContext, NewRow, TokenStore } from '@centreond/plugin-sdk';
import type { HistoryRow, Json } from '@centreond/protocol';
import { afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import { ProxyStage } from './proxy-stage.ts';

const Settings = z.strictObject({ id: z.string() });

const started: Carrying<NodeSettings>[] = [];
afterEach(() => Promise.all(started.splice(0).map((one) => one.stop())));

/** The rows of one token, as the core keeps and hands them out. */
class Rows implements TokenStore {
  readonly #rows: HistoryRow[] = [];
  #woken = Promise.withResolvers<void>();

  async append(rows: readonly NewRow[]): Promise<void> {
    for (const { token, code, data } of rows) {
      const id = this.#rows.length + 1;
      this.#rows.push({
        id,
        token,
        code,
        data: data as Json,
        node: 'central',
        type: 'sample',
        ctime: 0,
        etime: 0,
      } as HistoryRow);
    }
    this.#woken.resolve();
    this.#woken = Promise.withResolvers();
  }
  query(): Promise<HistoryRow[]> {
    return Promise.resolve([...this.#rows]);
  }
  async *follow(_: string, { signal }: { signal: AbortSignal }): AsyncGenerator<HistoryRow> {
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    for (let at = 0; !signal.aborted; ) {
      const row = this.#rows[at];
      if (row) {
        at++;
        yield row;
      } else await Promise.race([this.#woken.promise, aborted]);
    }
  }
}

/** A plugin that carries nodes of the kind `name`, beside others that CONSTATUS shows. */
async function carrying(name: KindName, nodes: readonly NodeSettings[], others: readonly object[]) {
  const stage = new ProxyStage();
  const kept = new Map<string, Json>();
  const state = {
    get: async (key: string) => kept.get(key),
    set: async (key: string, value: Json) => void kept.set(key, value),
    delete: async (key: string) => void kept.delete(key),
    list: async (prefix = '') =>
      [...kept].filter(([key]) => key.startsWith(prefix)).map(([key, value]) => ({ key, value })),
  };
  const send = async (action: string) => ({
    token: 't',
    data: action === 'PING' ? { id: 'central' } : ({ nodes: others } as never),
  });
  const kind: NodeKind<NodeSettings> = {
    name,
    schema: Settings,
    actions: { add: 'ADDSAMPLE', delete: 'DELSAMPLE' },
    clashesWith: (other) => other !== name,
    make: ({ id }) => ({
      id,
      announcement: () => ({ id, kind: name, state: 'up' }),
      deliver: async ({ token }) => ({ token, data: {} }),
      close: async () => {},
    }),
  };
  const plugin = new Carrying({
    kind,
    nodes,
    state,
    transport: { ...stage.transport, send },
    tokens: new Rows(),
    log: stage.log,
    instance: { type: 'sample', id: '1', of: 1 } as never,
  });
  started.push(plugin);
  await plugin.start();
  const context = { identity: 'root', signal: new AbortController().signal } as ActionContext;
  return { add: (id: string) => plugin.add({ id }, context), stage, kept };
}

test('an id that another plugin carries is refused while that node is not unreachable, and may be added after', async () => {
  const others = [
    { id: 'up', kind: 'ssh', state: 'up' },
    { id: 'coming', kind: 'ssh', state: 'connecting' },
    { id: 'away', kind: 'ssh', state: 'unreachable' },
    { id: 'same', kind: 'push', state: 'up' },
  ];
  const { add, stage, kept } = await carrying('push', [], others);
  for (const id of ['up', 'coming']) {
    await expect(add(id)).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: `ADDSAMPLE does not take this DATA: there is a node ${id} of kind ssh already; delete that one first, or give this one another id.`,
    });
  }
  expect(await add('away')).toEqual({ id: 'away', added: true });
  expect(await add('same')).toEqual({ id: 'same', added: true });
  expect(stage.last('away')).toMatchObject({ kind: 'push', state: 'up' });
  expect([...kept.keys()].filter((key) => key.startsWith('node:'))).toEqual(['node:away', 'node:same']);
});

test('a node of the config whose id another plugin carries is carried, and the log says what that means', async () => {
  const others = ['both', 'other'].map((id) => ({ id, kind: 'ssh', state: 'up' }));
  const { stage } = await carrying('push', [{ id: 'both' }, { id: 'own' }], others);
  const told = stage.lines.filter((line) => line.startsWith('warn'));
  expect(told).toEqual([
    'warn two nodes have the id both, one of kind ssh and one of kind push: a request may run on either of them, or on both. Give one of them another id',
  ]);
  expect(stage.last('both')).toMatchObject({ state: 'up' });
});
