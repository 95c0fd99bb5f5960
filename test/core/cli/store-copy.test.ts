import { expect, test } from 'vitest';
import { nextText } from '../../../core/dist/cli/store-copy.js';

const copied = { from: '/var/lib/centreond/history.sdb', to: 'postgresql://centreond@db/centreond' };
const url = 'file:/etc/centreond/postgres-url';

function told(file: string): string {
  const core = { id: 'central', dataDir: '/var/lib/centreond', store: { driver: 'sqlite' } };
  return nextText({ file, core } as never, copied, { url });
}

test('a copied history says how its daemon is started: by the system, where its package is', () => {
  expect(told('/etc/centreond/centreond.yaml')).toContain('Next:\n  systemctl start centreond\n');
  expect(told('/srv/central/centreond.yaml')).toMatch(/Next:\n {2}(npx )?centreond start\n/);
});

test('a copied history says what to write into the config, with the file beside it', () => {
  const lines = '  core:\n    store: { driver: postgres, url: "file:./postgres-url" }\n';
  expect(told('/etc/centreond/centreond.yaml')).toContain(`/etc/centreond/centreond.yaml:\n${lines}`);
});
