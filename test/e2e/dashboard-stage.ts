import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import path from 'node:path';
import type { AxeResults } from 'axe-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { expect } from 'vitest';
import { openBrowser } from '../chromium.ts';
import { DaemonProcess, ROOT } from '../daemon-process.ts';

export const SECRETS = { ops: 'the-secret-of-ops-0123456789', reader: 'the-secret-of-reader-0123' } as const;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** A small fleet, with a node in each state and one behind another. */
export const FIVE = [
  {
    id: 'paris-1',
    state: 'up',
    kind: 'pull',
    address: '10.1.0.4:41522',
    version: '0.1.0',
    roundTripMs: 3.4,
    labels: { site: 'paris' },
    subnodes: ['inner-1'],
  },
  { id: 'paris-2', state: 'up', kind: 'pull', address: '10.1.0.5:41999', version: '0.1.0', labels: { site: 'paris' } },
  { id: 'lyon-1', state: 'connecting', kind: 'push', labels: { site: 'lyon' }, reason: 'its link is being opened' },
  {
    id: 'lyon-2',
    state: 'unreachable',
    kind: 'ssh',
    labels: { site: 'lyon' },
    reason: 'its host key is not the one in the config',
  },
  { id: 'nice-1', state: 'up', kind: 'push', labels: { site: 'nice' } },
];

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A page in a browser, and what went wrong in it. */
export interface Visit {
  readonly page: Page;
  /** Errors of the console, exceptions, and violations of the content security policy. */
  readonly faults: string[];
}

/** A daemon with the plugin http, and a browser that visits its dashboard. */
export class DashboardStage {
  readonly daemon = new DaemonProcess();
  base = '';
  #browser: Browser | undefined;

  async start(): Promise<void> {
    const port = await freePort();
    this.base = `http://127.0.0.1:${port}`;
    const { folder, settings } = this.daemon;
    for (const [name, secret] of Object.entries(SECRETS)) {
      writeFileSync(path.join(folder, `${name}.secret`), secret, { mode: 0o600 });
    }
    settings.plugins = [
      { package: path.join(ROOT, 'plugins/action') },
      { package: path.join(ROOT, 'test/fixtures/probe') },
      { package: path.join(ROOT, 'test/fixtures/ferry'), config: { ledger: path.join(folder, 'ledger') } },
      {
        package: path.join(ROOT, 'plugins/http'),
        allowCallers: true,
        config: {
          listen: `127.0.0.1:${port}`,
          tokens: [
            { name: 'ops', secret: 'file:ops.secret', roles: ['admin'] },
            { name: 'reader', secret: 'file:reader.secret', roles: ['client'] },
          ],
        },
      },
    ];
    const [, browser] = await Promise.all([this.daemon.start(), openBrowser()]);
    this.#browser = browser;
  }

  async close(): Promise<void> {
    await this.#browser?.close();
    await this.daemon.dispose();
  }

  /** Asks the API; throws where it is refused. */
  async ask(method: string, url: string, body?: unknown): Promise<Record<string, unknown>> {
    const response = await fetch(`${this.base}/api/${url}`, {
      method,
      headers: { authorization: `Bearer ${SECRETS.ops}` },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const answer = (await response.json()) as Record<string, unknown>;
    if (!response.ok) throw new Error(JSON.stringify(answer));
    return answer;
  }

  /** Calls an action and waits for its end. */
  call(action: string, data: object): Promise<Record<string, unknown>> {
    return this.ask('POST', `actions/${action}?wait=30s`, data);
  }

  /** Has the fixture carry nodes, instead of those that it carried before. */
  async carry(nodes: readonly object[]): Promise<void> {
    expect(await this.call('FERRY', { name: 'sea', nodes })).toMatchObject({ ok: true });
  }

  /** A browser of its own at the login. `refused` are parts of addresses that the server refuses: the browser reports those itself. */
  async visit(options: BrowserContextOptions = {}, refused: readonly string[] = []): Promise<Visit> {
    if (!this.#browser) throw new Error('the stage was not started');
    const context = await this.#browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    const faults: string[] = [];
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => {
      const isRefusal = message.text().startsWith('Failed to load resource');
      if (isRefusal && refused.some((part) => message.location().url.includes(part))) return;
      if (message.type() === 'error' || message.type() === 'warning') faults.push(message.text());
    });
    await page.goto(`${this.base}/`);
    return { page, faults };
  }

  /** A browser of its own, logged in. */
  async enter(
    name: keyof typeof SECRETS = 'ops',
    options: BrowserContextOptions = {},
    refused: readonly string[] = [],
  ): Promise<Visit> {
    const visit = await this.visit(options, refused);
    await logIn(visit.page, SECRETS[name]);
    await visit.page.getByRole('heading', { name: 'Fleet', level: 1 }).waitFor();
    return visit;
  }

  /** Goes to another page of the dashboard. */
  async goTo({ page }: Visit, hash: string): Promise<void> {
    await page.goto(`${this.base}/${hash}`);
    await page.getByRole('heading', { level: 1 }).waitFor();
  }

  /** Ends a visit, in which nothing may have gone wrong. */
  async leave({ page, faults }: Visit): Promise<void> {
    await page.context().close();
    expect(faults).toEqual([]);
  }
}

export async function logIn(page: Page, secret: string): Promise<void> {
  await page.getByLabel('Token').fill(secret);
  await page.getByRole('button', { name: 'Log in' }).click();
}

/** What axe finds that keeps people out, with where. */
export async function barriers(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const results = await page.evaluate<AxeResults>('axe.run(document, { resultTypes: ["violations"] })');
  return results.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id} at ${target}: ${failureSummary}`));
}

/** How far the page is wider than its window. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate<number>('document.scrollingElement.scrollWidth - innerWidth');
}
