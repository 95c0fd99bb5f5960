import { expect, onTestFinished, test } from 'vitest';
import { SharedTrust } from '../../../../core/dist/doors/shared-trust.js';
import { Trust } from '../../../../core/dist/doors/trust.js';
import { readTrust } from '../../../../core/dist/doors/trust-file.js';
import { sameTrust } from '../../../../core/dist/doors/trust-merge.js';
import { until } from '../../doors/attacker.ts';
import { onPostgres } from '../drivers.ts';
import { folder } from '../opened.ts';
import { PostgresServer } from '../postgres-server.ts';

const KEYS = [...'ABCDEFGHIJKLMNOPQRSTUVWX'].map((letter) => letter.repeat(42).concat('A'));

onPostgres(({ opened }) => {
  test('routers that decide side by side come to one record, over a server that is killed meanwhile', async () => {
    const server = await new PostgresServer().start();
    onTestFinished(() => server.stop());
    const url = server.url(await server.database());
    const clock = { now: () => Date.now() };
    const routers = await Promise.all(
      ['a', 'b', 'c'].map(async (node, which) => {
        const { membership: table } = await opened({ node, router: { cluster: 'prod' } }, { url });
        if (!table) throw new Error('a store without a membership');
        await table.beat('', {});
        const file = `${folder()}/trust.json`;
        const trust = new Trust({ file, clients: { trust: 'pending', authorized: [] } });
        const line = () => undefined;
        const shared = await SharedTrust.open({ trust, table, clock, log: { info: line, warn: line, error: line } });
        onTestFinished(() => shared.close(0));
        return { which, file, trust, shared };
      }),
    );
    const decide = (from: number, to: number) => {
      for (const { trust, which } of routers) {
        for (const [i, fingerprint] of KEYS.entries()) {
          if (i < from || i >= to || i % 3 !== which) continue;
          trust.accept({ fingerprint, identity: `n${i}`, roles: ['node'] });
          if (i % 4 === 0) trust.revoke(fingerprint);
        }
      }
    };
    decide(0, 12);
    await server.kill();
    decide(12, 20);
    await until(() => routers.every(({ shared }) => shared.counters.failures > 0), 'the loss of the server');
    await server.start();
    decide(20, 24);
    await until(() => {
      for (const { shared } of routers) shared.changed();
      const [first, ...others] = routers.map(({ file }) => readTrust(file));
      return first?.accepted.length === 18 && others.every((other) => sameTrust(other, first));
    }, 'one record');
    for (const { trust } of routers) {
      expect(trust.nodes().length).toBe(18);
      expect(KEYS.filter((one) => trust.isRevoked(one)).length).toBe(6);
    }
  });
});
