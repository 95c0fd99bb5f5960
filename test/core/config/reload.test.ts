import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type Config, loadConfig } from '../../../core/dist/config/config.js';
import { reload } from '../../../core/dist/config/reload.js';

const KEY = 'A'.repeat(43);
const FIRST = 'core: { id: central, dataDir: ./var, log: { level: info } }\n';

/** A daemon's parts, which keep what they are told; `write` changes the config file. */
async function stage() {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'centreond-reload-')));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'centreond.yaml');
  const write = (text: string) => writeFileSync(file, text);
  write(FIRST);
  const { config } = await loadConfig({ file, cwd: folder });
  if (!config) throw new Error('the config cannot be used');
  const told: unknown[] = [];
  const log = { level: 'info', warn: (line: string) => void told.push(`warn ${line}`) };
  const options = {
    config,
    trust: {
      configure: ({ authorized }: Config['clients']) =>
        void told.push(`trust ${authorized.map(({ identity }) => identity).join()}`),
      warnings: ['alice is named twice'],
    },
    loader: { apply: async () => ['the plugin cron needs a restart'] },
    cluster: { rereadTrust: () => void told.push('trust is read') },
    chronicle: { tell: (kind: string, fields: object) => void told.push([kind, fields]) },
    log: log as never,
  };
  return { write, told, log, file, reload: () => reload(options) };
}

test('a config that is read again has its clients, plugins and log level count, and says what only a restart changes', async () => {
  const { write, told, log, reload } = await stage();
  write(
    FIRST.replace('info', 'debug').replace('central', 'other') +
      `clients: { authorized: [{ identity: alice, fingerprint: ${KEY}, roles: [client] }] }\n`,
  );
  const remarks = ['the plugin cron needs a restart', 'core.id: only a restart changes that'];
  expect(await reload()).toEqual(remarks);
  expect(log.level).toBe('debug');
  expect(told).toEqual(['trust is read', 'trust alice', 'warn alice is named twice', ['CONFIG_READ', { remarks }]]);
});

test('of a config that cannot be used nothing counts, and it is said what is wrong; trust is read all the same', async () => {
  const { write, told, log, file, reload } = await stage();
  write(FIRST.replace('info', 'loud'));
  expect(await reload()).toEqual([expect.stringMatching(new RegExp(`^${file}:1:\\d+ CONFIG_\\w+ .*loud`))]);
  expect([log.level, told]).toEqual(['info', ['trust is read']]);
});
