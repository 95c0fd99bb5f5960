import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { connect } from '@centreond/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHROMIUM, NO_CHROMIUM } from '../chromium.ts';
import { newIdentity, until } from '../daemon-process.ts';
import { DashboardStage, FIVE, logIn, SECRETS, type Visit } from './dashboard-stage.ts';

const stage = new DashboardStage();

const SITES = ['lille', 'lyon', 'nantes', 'nice', 'paris'];
const FIVE_HUNDRED = Array.from({ length: 500 }, (_, index) => ({
  id: `node-${index + 1}`,
  state: index % 50 === 49 ? 'unreachable' : 'up',
  kind: 'pull',
  labels: { site: SITES[index % SITES.length] },
}));

describe.skipIf(CHROMIUM === undefined)(`the dashboard, in a browser${NO_CHROMIUM}`, () => {
  beforeAll(async () => {
    await stage.start();
    await stage.carry(FIVE);
  }, 120_000);
  afterAll(() => stage.close());

  const rows = ({ page }: Visit) => page.getByRole('rowheader');

  test('is served under a policy that allows nothing but its own files', async () => {
    const response = await fetch(`${stage.base}/`);
    expect(response.headers.get('content-security-policy')).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    );
    const html = await response.text();
    expect(html).not.toMatch(/<style|style=|<script>|https?:\/\//);
  });

  test('lets in who has a token, for as long as the tab lives, and nobody else', async () => {
    const visit = await stage.visit({}, ['/api/whoami']);
    const { page } = visit;
    await logIn(page, 'a-wrong-secret');
    await page.getByRole('alert').getByText('This needs a token').waitFor();
    await logIn(page, SECRETS.ops);
    await page.getByRole('link', { name: 'paris-1', exact: true }).waitFor();
    await page.reload();
    await page.getByRole('link', { name: 'paris-1', exact: true }).waitFor();
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Token').waitFor();
    await page.reload();
    await page.getByLabel('Token').waitFor();
    // A token that is no longer taken leads back here, too.
    await page.evaluate("sessionStorage.setItem('centreond-token', 'gone')");
    await page.reload();
    await page.getByText('This needs a token').waitFor();
    await stage.leave(visit);
  });

  test('shows a fleet of five, and the ways to it', async () => {
    const visit = await stage.enter();
    const { page } = visit;
    await page.getByText('its host key is not the one in the config').waitFor();
    expect(await rows(visit).allTextContents()).toEqual([
      'inner-1',
      'lyon-1',
      'lyon-2',
      'nice-1',
      'paris-1',
      'paris-2',
    ]);
    await page.keyboard.press('/');
    await page.keyboard.type('site=lyon');
    await expect.poll(() => rows(visit).allTextContents()).toEqual(['lyon-1', 'lyon-2']);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'unreachable 1' }).click();
    await expect.poll(() => rows(visit).allTextContents()).toEqual(['lyon-2']);
    await page.getByRole('button', { name: 'All 6' }).click();
    await page.getByRole('button', { name: 'Map' }).click();
    await page.getByRole('list', { name: 'Behind paris-1' }).getByRole('link', { name: 'inner-1' }).click();
    await page.getByRole('heading', { name: 'inner-1', level: 1 }).waitFor();
    await page.getByRole('link', { name: 'paris-1' }).click();
    await page.getByText('10.1.0.4:41522').waitFor();
    await page.goBack();
    await page.getByRole('heading', { name: 'inner-1', level: 1 }).waitFor();
    await stage.leave(visit);
  });

  test('is reached by the keyboard alone', async () => {
    const visit = await stage.enter();
    const { page } = visit;
    await page.reload();
    await rows(visit).first().waitFor();
    await page.locator('body').press('Shift+Tab');
    await page.getByRole('button', { name: 'Skip to the content' }).focus();
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.activeElement.tagName')).toBe('MAIN');
    await page.getByRole('link', { name: 'nice-1', exact: true }).focus();
    expect(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')).toBe('solid');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'nice-1', level: 1 }).waitFor();
    await stage.leave(visit);
  });

  test('shows a fleet of five hundred a page at a time, and its map in groups', async () => {
    await stage.carry(FIVE_HUNDRED);
    const visit = await stage.enter();
    const { page } = visit;
    await page.getByText('1 to 100 of 500').waitFor();
    expect(await rows(visit).count()).toBe(100);
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByText('101 to 200 of 500').waitFor();
    expect(await rows(visit).first().textContent()).toBe('node-101');
    await page.getByRole('button', { name: 'State' }).click();
    await page.getByText('1 to 100 of 500').waitFor();
    expect(await rows(visit).first().textContent()).toBe('node-50');
    await page.keyboard.press('/');
    await page.keyboard.type('site=paris state:unreachable');
    await expect.poll(() => rows(visit).count()).toBe(10);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Map' }).click();
    await page.getByText('100 nodes: 90 up, 10 unreachable').waitFor();
    await page.getByRole('link', { name: 'lille' }).click();
    await expect.poll(() => rows(visit).count()).toBe(100);
    await stage.leave(visit);
    await stage.carry(FIVE);
  });

  test('calls an action by its form, and follows it until it ends', async () => {
    const flag = path.join(stage.daemon.folder, 'flag');
    const visit = await stage.enter();
    const { page } = visit;
    await page.getByRole('link', { name: 'Call', exact: true }).click();
    await page.keyboard.press('/');
    await page.keyboard.type('run a command');
    await page.getByRole('link', { name: 'COMMAND' }).click();
    // What is missing is said at the field, which gets the focus.
    await page.getByRole('button', { name: 'Call on central' }).click();
    await page.getByText('It is needed.').waitFor();
    await expect.poll(() => page.evaluate("document.activeElement.getAttribute('aria-invalid')")).toBe('true');
    await page.getByLabel('command', { exact: true }).first().selectOption('as list of text');
    for (const [index, word] of [
      'sh',
      '-c',
      `echo "<b>one</b>"; until [ -e ${flag} ]; do sleep 0.1; done; echo two`,
    ].entries()) {
      if (index > 0)
        await page
          .getByRole('group', { name: /^command/ })
          .getByRole('button', { name: 'Add an entry' })
          .click();
      await page.getByLabel(String(index + 1), { exact: true }).fill(word);
    }
    await page.getByLabel('timeoutSeconds optional').fill('60');
    await page.getByRole('button', { name: 'Call on central' }).click();
    await page
      .getByRole('dialog', { name: 'Call COMMAND on central?' })
      .getByRole('button', { name: 'Call on central' })
      .click();
    // It goes on: its output is here, its end is not.
    const output = page.locator('.timeline .output').filter({ hasText: '<b>one</b>' });
    await output.first().waitFor();
    await page.getByText('running', { exact: true }).waitFor();
    expect(await page.locator('.timeline b', { hasText: /^one$/ }).count()).toBe(0);
    writeFileSync(flag, '');
    await page.getByText('exitCode').waitFor();
    expect(await page.locator('.step-head b').allTextContents()).toEqual(['accepted', 'output', 'finished']);
    expect(await output.first().textContent()).toBe('<b>one</b>\ntwo\n');
    expect(await page.getByText('running', { exact: true }).count()).toBe(0);
    await stage.leave(visit);
  });

  test('shows what the router says against it', async () => {
    const visit = await stage.enter('ops', {}, ['/api/actions/COMMAND']);
    const { page } = visit;
    await stage.goTo(visit, '#/call/COMMAND');
    await page.getByRole('button', { name: 'JSON' }).click();
    await page.getByLabel('DATA as JSON').fill('{"command": "ls", "timeoutSeconds": "soon"}');
    await page.getByRole('button', { name: 'Call on central' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Call on central' }).click();
    await page
      .getByRole('alert')
      .getByText(/^COMMAND does not take this DATA: .*timeoutSeconds/)
      .waitFor();
    await stage.leave(visit);
  });

  test('calls an action on several nodes, and tells what became of each', async () => {
    const visit = await stage.enter('ops', {}, ['/api/nodes/lyon-2/']);
    const { page } = visit;
    for (const id of ['nice-1', 'paris-1', 'lyon-2']) await page.getByLabel(`Pick ${id}`, { exact: true }).check();
    await page.getByRole('link', { name: 'Call an action on them' }).click();
    await page.getByRole('link', { name: 'ECHO', exact: true }).click();
    await page.getByRole('button', { name: 'Call on 3 nodes' }).click();
    await page.getByText('2 finished, 1 refused').waitFor();
    await page.getByText(/lyon-2 .*its host key is not the one in the config/).waitFor();
    await stage.leave(visit);
  });

  test('keeps a call for a node that is away, if asked to', async () => {
    const visit = await stage.enter('ops', {}, ['/api/nodes/lyon-2/']);
    const { page } = visit;
    await stage.goTo(visit, '#/call/ECHO?on=lyon-2');
    await page.getByRole('button', { name: 'Call on lyon-2' }).click();
    await page.getByText(/lyon-2 .*its host key is not the one in the config/).waitFor();
    await page.getByLabel('If a node is away').selectOption('keep the call for an hour');
    await page.getByRole('button', { name: 'Call on lyon-2' }).click();
    await page.getByText('accepted', { exact: true }).waitFor();
    const { requests } = await stage.ask('GET', 'requests?node=lyon-2&state=open');
    expect(requests).toMatchObject([{ action: 'ECHO', target: 'lyon-2', endedAt: null }]);
    await stage.leave(visit);
  });

  test('cancels what runs', async () => {
    const { token } = await stage.ask('POST', 'actions/COMMAND', { command: 'sleep 600' });
    const visit = await stage.enter();
    const { page } = visit;
    await stage.goTo(visit, `#/requests/${token}`);
    await page.getByRole('button', { name: 'Cancel it' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel COMMAND' }).click();
    await page.getByText('CANCELLED', { exact: true }).waitFor();
    expect(await page.locator('.step-head b').allTextContents()).toEqual(['accepted', 'failed']);
    await stage.leave(visit);
  });

  test('filters requests', async () => {
    await stage.call('COMMAND', { command: ['no-such-program'] });
    await stage.call('ECHO', { said: 'hello' });
    const visit = await stage.enter();
    const { page } = visit;
    await page.getByRole('link', { name: 'Requests', exact: true }).click();
    await page.getByText('{"said":"hello"}').waitFor();
    await page.getByRole('button', { name: 'Failed' }).click();
    const action = page.getByLabel('Action');
    await action.fill('COMM');
    // What is half typed survives that the page is drawn again, each second.
    const ago = page.locator('tbody time').first();
    const before = await ago.textContent();
    await expect.poll(() => ago.textContent(), { timeout: 90_000 }).not.toBe(before);
    expect(await action.inputValue()).toBe('COMM');
    await action.fill('COMMAND');
    await action.press('Enter');
    await page.getByText('{"said":"hello"}').waitFor({ state: 'detached' });
    await page.getByText('COMMAND_NOT_STARTED').first().waitFor();
    await expect.poll(() => page.url()).toContain('#/requests?state=failed&action=COMMAND');
    await page.getByText('{"command":["no-such-program"]}').waitFor();
    await page
      .getByRole('row', { name: /no-such-program/ })
      .getByRole('link', { name: 'COMMAND' })
      .click();
    await page.getByText('no folder of PATH has a program of this name').waitFor();
    await stage.leave(visit);
  });

  test('lets a key in that waits, and shuts it out', async () => {
    const { daemon } = stage;
    const stranger = newIdentity('stranger', daemon.folder);
    const visit = await stage.enter();
    const { page } = visit;
    await expect(connect({ ...daemon.door(stranger), timeoutMs: 2000 })).rejects.toThrow();
    await page.getByRole('link', { name: 'Keys 1 waiting' }).click();
    await page.getByText(stranger.fingerprint).waitFor();
    await page.getByLabel('Identity').fill('stranger');
    await page.getByRole('button', { name: 'Accept' }).click();
    await page.getByText('No key waits.').waitFor();
    const client = await connect(daemon.door(stranger));
    expect((await client.send('PING')).data).toMatchObject({ id: 'central' });
    await page.getByRole('button', { name: 'Revoke stranger' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await page.getByRole('row', { name: /stranger.*revoked/ }).waitFor();
    await client.close();
    await stage.leave(visit);
  });

  test('offers a client nothing that is for admins', async () => {
    const visit = await stage.enter('reader');
    const { page } = visit;
    await page.getByRole('link', { name: 'paris-1', exact: true }).waitFor();
    const links = page.getByRole('navigation', { name: 'Pages' }).getByRole('link');
    await expect.poll(() => links.allTextContents()).toEqual(['Fleet', 'Plugins', 'Requests', 'Call']);
    await stage.goTo(visit, '#/keys');
    await page.getByText('There is no such page').waitFor();
    await stage.goTo(visit, '#/plugins/action');
    await page.getByRole('link', { name: 'COMMAND' }).waitFor();
    expect(await page.getByText('End it').count()).toBe(0);
    await stage.goTo(visit, '#/call');
    await page.getByRole('link', { name: 'ECHO', exact: true }).waitFor();
    expect(await page.getByRole('link', { name: 'LOCKED' }).count()).toBe(0);
    await stage.leave(visit);
  });

  test('draws figures of the plugins over time', async () => {
    const visit = await stage.enter();
    const { page } = visit;
    await page.getByRole('link', { name: 'Plugins' }).click();
    await page.getByRole('row', { name: /^action ready/ }).waitFor();
    expect(await page.locator('.chart canvas').count()).toBe(4);
    // Two samples make a rate.
    await page.getByText(/^accepted [\d.]+\/s$/).waitFor();
    await page.getByRole('link', { name: 'action', exact: true }).click();
    await page.getByRole('button', { name: 'Show its last exits and log lines' }).click();
    await page.locator('.output').waitFor();
    await stage.leave(visit);
  });

  test('shows what happened, and what happens as it happens', async () => {
    await stage.carry([...FIVE, { id: 'quimper-1', state: 'up', kind: 'pull' }]);
    const visit = await stage.enter();
    const { page } = visit;
    await page.getByRole('link', { name: 'Events' }).click();
    const events = page.locator('.events li');
    await events.filter({ hasText: 'quimper-1' }).first().waitFor();
    await stage.carry([...FIVE, { id: 'brest-1', state: 'up', kind: 'pull' }]);
    await events.first().filter({ hasText: 'brest-1' }).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('NODE_DOWN');
    await events.filter({ hasText: 'brest-1' }).waitFor({ state: 'detached' });
    await stage.carry(FIVE);
    await stage.leave(visit);
  });

  test('asks nothing while its tab is hidden', async () => {
    const visit = await stage.visit();
    const { page } = visit;
    await page.clock.install();
    await page.reload();
    await logIn(page, SECRETS.ops);
    await rows(visit).first().waitFor();
    const show = (isHidden: boolean) =>
      page.evaluate(`
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => ${isHidden} });
        document.dispatchEvent(new Event('visibilitychange'));
      `);
    await show(true);
    let asked = 0;
    page.on('request', () => asked++);
    await page.clock.runFor(120_000);
    expect(asked).toBe(0);
    await show(false);
    await until('it asks again', () => asked >= 3);
    await stage.leave(visit);
  });
});
