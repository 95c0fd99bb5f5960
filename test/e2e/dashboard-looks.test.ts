import { connect } from '@centreond/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHROMIUM, NO_CHROMIUM } from '../chromium.ts';
import { newIdentity } from '../daemon-process.ts';
import { barriers, DashboardStage, FIVE, overflow } from './dashboard-stage.ts';

const stage = new DashboardStage();

describe.skipIf(CHROMIUM === undefined)(`each page of the dashboard${NO_CHROMIUM}`, () => {
  beforeAll(async () => {
    await stage.start();
    await stage.carry(FIVE);
  }, 120_000);
  afterAll(() => stage.close());

  const LOOKS = (['light', 'dark'] as const).flatMap((colorScheme) =>
    [1440, 390].map((width) => ({ colorScheme, width })),
  );
  test.each(LOOKS)(
    'keeps nobody out and fits at $width px, $colorScheme',
    { timeout: 180_000 },
    async ({ colorScheme, width }) => {
      const { token } = await stage.call('COMMAND', { command: ['sh', '-c', 'echo one; echo two >&2'] });
      await expect(
        connect({
          ...stage.daemon.door(newIdentity(`waiting-${colorScheme}-${width}`, stage.daemon.folder)),
          timeoutMs: 2000,
        }),
      ).rejects.toThrow();
      const login = await stage.visit({ colorScheme, viewport: { width, height: 900 } });
      expect(await barriers(login.page)).toEqual([]);
      expect(await overflow(login.page)).toBeLessThanOrEqual(0);
      await stage.leave(login);
      const visit = await stage.enter('ops', { colorScheme, viewport: { width, height: 900 } });
      const places: [hash: string, shown: string][] = [
        ['#/nodes', 'its host key is not the one in the config'],
        ['#/map', 'this router'],
        ['#/nodes/paris-1', 'Its last requests'],
        ['#/plugins', 'Slowest plugin'],
        ['#/plugins/action', 'Slowest instance'],
        ['#/requests', 'COMMAND'],
        [`#/requests/${token}`, 'exitCode'],
        ['#/call', 'Run a command'],
        ['#/call/COMMAND?on=paris-1', 'This router, central'],
        ['#/keys', 'pending'],
        ['#/events', 'Events'],
        ['#/nowhere', 'There is no such page'],
      ];
      for (const [hash, shown] of places) {
        await stage.goTo(visit, hash);
        await visit.page.locator('main').getByText(shown).first().waitFor();
        expect({ hash, barriers: await barriers(visit.page) }).toEqual({ hash, barriers: [] });
        expect({ hash, isTooWide: (await overflow(visit.page)) > 0 }).toEqual({ hash, isTooWide: false });
      }
      await stage.leave(visit);
    },
  );
});
