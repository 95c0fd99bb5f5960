import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHROMIUM, NO_CHROMIUM } from '../chromium.ts';
import { barriers, DashboardStage, FIVE, logIn, overflow, SECRETS, type Visit } from './dashboard-stage.ts';

const stage = new DashboardStage();

const router = (id: string, more: object = {}) => ({
  id,
  fingerprint: `the-key-of-${id}`,
  endpoint: `tcp://${id}.example:5555`,
  version: '0.1.0',
  state: 'up',
  startedAt: Date.now() - 3 * 86_400_000,
  silentSeconds: 0.6,
  self: id === 'central',
  open: 12,
  nodes: 3,
  nats: true,
  ...more,
});
const THREE = {
  cluster: 'prod',
  natsAway: null as string | null,
  clockSkewSeconds: 0,
  routers: [router('central'), router('central-b', { open: 1204, nodes: 2 }), router('central-c', { nodes: 0 })],
};
/** What may become of them. */
const TROUBLED: typeof THREE = {
  cluster: 'prod',
  natsAway: 'nats://10.0.0.9:4222 does not answer',
  clockSkewSeconds: -3.5,
  routers: [
    router('central', { nats: false }),
    router('central-b', { state: 'silent', silentSeconds: 14 }),
    router('central-c', { state: 'taken', silentSeconds: 7300 }),
    router('central-d', { state: 'stopped', silentSeconds: 90_000, endpoint: '' }),
  ],
};
const NODES = FIVE.map((node) => (node.labels.site === 'paris' ? { ...node, router: 'central-b' } : node));
const REQUESTS = ['central-b', 'central', null].map((at, index) => ({
  id: 3 - index,
  token: `token-${index}`,
  owner: 'http/ops',
  action: 'COMMAND',
  target: 'paris-1',
  acceptedAt: Math.floor(Date.now() / 1000) - 20,
  endedAt: at === null ? Math.floor(Date.now() / 1000) - 5 : null,
  code: at === null ? 2 : null,
  error: null,
  ...(at !== null && { router: at }),
  data: { command: 'uptime' },
}));

describe.skipIf(CHROMIUM === undefined)(`the dashboard of a cluster${NO_CHROMIUM}`, () => {
  beforeAll(async () => {
    await stage.start();
    await stage.carry(FIVE);
  }, 120_000);
  afterAll(() => stage.close());

  /** A visit to a router that answers as one of a cluster does. `told` may change meanwhile. */
  async function enter(
    told: { routers: object },
    options: Parameters<DashboardStage['visit']>[0] = {},
  ): Promise<Visit> {
    const visit = await stage.visit(options);
    const { page } = visit;
    await page.route('**/api/routers', (route) => route.fulfill({ json: told.routers }));
    await page.route('**/api/nodes', (route) => route.fulfill({ json: { nodes: NODES } }));
    await page.route('**/api/requests?*', (route) => route.fulfill({ json: { requests: REQUESTS, more: false } }));
    await logIn(page, SECRETS.ops);
    await page.getByRole('link', { name: /^Routers/ }).waitFor();
    return visit;
  }

  const cells = ({ page }: Visit, name: RegExp) => page.getByRole('row', { name }).getByRole('cell').allTextContents();

  test('has nothing about routers where there is one by itself', async () => {
    const visit = await stage.enter();
    const { page } = visit;
    await page.getByRole('columnheader', { name: 'Route' }).waitFor();
    await stage.goTo(visit, '#/routers');
    await page.getByText('There is no such page').waitFor();
    expect(await page.getByRole('link', { name: /^Routers/ }).count()).toBe(0);
    await stage.goTo(visit, '#/nodes');
    await page.getByRole('link', { name: 'paris-1', exact: true }).waitFor();
    expect(await page.getByRole('button', { name: 'Router', exact: true }).count()).toBe(0);
    await stage.leave(visit);
  });

  test('shows each router with what is open there, and leads to its nodes', async () => {
    const visit = await enter({ routers: THREE });
    const { page } = visit;
    await page.getByRole('link', { name: 'Routers', exact: true }).click();
    await page.getByRole('heading', { name: 'Routers', level: 1 }).waitFor();
    await page.getByText('3 of 3').waitFor();
    expect(await cells(visit, /^central-b/)).toEqual([...['up', 'reached', '1,204', '2', '0.1.0', '3 d ago', 'now']]);
    await page
      .getByRole('row', { name: /^central-b/ })
      .getByRole('link', { name: '2' })
      .click();
    await expect.poll(() => page.getByRole('rowheader').allTextContents()).toEqual(['inner-1', 'paris-1', 'paris-2']);
    await stage.leave(visit);
  });

  test('says which router carries a node, and at which a request is open', async () => {
    const visit = await enter({ routers: THREE });
    const { page } = visit;
    const at = (id: string) =>
      page.getByRole('row', { name: new RegExp(`Pick ${id} `) }).locator('[data-label=Router]');
    await page.getByRole('link', { name: 'paris-1', exact: true }).waitFor();
    const carriers = ['paris-1', 'inner-1', 'nice-1', 'lyon-2'].map((id) => at(id).textContent());
    expect(await Promise.all(carriers)).toEqual(['central-b', 'central-b', 'central', '']);
    await page.getByRole('button', { name: 'Router', exact: true }).click();
    await expect.poll(() => page.getByRole('rowheader').first().textContent()).toBe('lyon-1');
    await stage.goTo(visit, '#/requests');
    await page.getByRole('columnheader', { name: 'Router' }).waitFor();
    expect(await page.locator('[data-label=Router]').allTextContents()).toEqual(['central-b', 'central', '']);
    await stage.goTo(visit, '#/map?by=router');
    await page.getByRole('link', { name: 'at central-b' }).waitFor();
    await stage.leave(visit);
  });

  test('counts routers in trouble on every page, and says why NATS is away, until all is well', async () => {
    const told = { routers: TROUBLED };
    const visit = await enter(told);
    const { page } = visit;
    await page.getByRole('link', { name: 'Routers 3 in trouble' }).click();
    await page.getByText('This router does not reach NATS: nats://10.0.0.9:4222 does not answer.').waitFor();
    await page.getByText('3.5 s ahead of the database').waitFor();
    await page.getByText('another took over what was open there; start central-c again').waitFor();
    // Of a router that is gone there are no figures of now.
    expect(await cells(visit, /^central-d/)).toEqual([...['stopped', '', '', '', '0.1.0', '', '1 d ago']]);
    told.routers = THREE;
    await page.getByText('3 of 3').waitFor();
    expect(await page.getByText('does not reach NATS').count()).toBe(0);
    await page.getByRole('link', { name: 'Routers', exact: true }).waitFor();
    await stage.leave(visit);
  });

  const LOOKS = (['light', 'dark'] as const).flatMap((colorScheme) =>
    [1440, 390].map((width) => ({ colorScheme, width })),
  );
  test.each(LOOKS)('keeps nobody out and fits at $width px, $colorScheme', async ({ colorScheme, width }) => {
    const visit = await enter({ routers: TROUBLED }, { colorScheme, viewport: { width, height: 900 } });
    for (const [hash, shown] of [
      ['#/routers', 'central-d'],
      ['#/nodes', 'central-b'],
      ['#/map', 'at central-b'],
      ['#/nodes/paris-1', 'Its last requests'],
      ['#/requests', 'central-b'],
    ] as const) {
      await stage.goTo(visit, hash);
      await visit.page.locator('main').getByText(shown).first().waitFor();
      expect({ hash, barriers: await barriers(visit.page) }).toEqual({ hash, barriers: [] });
      expect({ hash, isTooWide: (await overflow(visit.page)) > 0 }).toEqual({ hash, isTooWide: false });
    }
    await stage.leave(visit);
  });
});
