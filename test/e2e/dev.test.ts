import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess, until } from '../daemon-process.ts';
import { pluginSource, ROOT, tempPackage } from '../plugin-sdk/temp-package.ts';

const source = (answer: string) =>
  pluginSource(
    '',
    `act('LOOK', { output: z.strictObject({ text: z.string() }) });`,
    `run() { return { text: '${answer}' }; }`,
  );

/** `centreond-plugin dev` in a package's folder, with pipes as its standard output and error. */
class Dev {
  stdout = '';
  stderr = '';
  readonly #child: ChildProcess;
  readonly #closed: Promise<number | null>;

  constructor(
    readonly folder: string,
    ...args: string[]
  ) {
    const bin = path.join(ROOT, 'plugin-sdk/kit/bin/centreond-plugin.js');
    this.#child = spawn(process.execPath, [bin, 'dev', ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.#closed = new Promise((resolve) => this.#child.once('close', resolve));
  }

  /** The config that it made and names. */
  get config(): string {
    return /--config (\S+)/.exec(this.stdout)?.[1] ?? '';
  }

  async says(pattern: RegExp | string): Promise<string> {
    const found = () => (typeof pattern === 'string' ? this.stdout.includes(pattern) : pattern.test(this.stdout));
    await until(`it says ${pattern}`, found, 60_000).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.stdout.slice(-4000)}\n${this.stderr.slice(-4000)}`);
    });
    return this.stdout;
  }

  /** Saves as editors do that never leave half a file behind, and resolves with what is said of it. */
  async save(text: string): Promise<string> {
    const before = this.stdout.length;
    writeFileSync(path.join(this.folder, 'new.tmp~'), text);
    renameSync(path.join(this.folder, 'new.tmp~'), path.join(this.folder, 'index.js'));
    const of = () => this.stdout.slice(before).match(/^index\.js changed: .*\n( {4}.*\n)*/m)?.[0];
    await until(`a line on the change: ${this.stderr}`, () => of() !== undefined, 60_000);
    return of() as string;
  }

  /** A client of the router that it started. */
  client(): Promise<Client> {
    return connect({ address: `ipc://${path.join(path.dirname(this.config), 'var/run/router.ipc')}` });
  }

  /** Resolves with its exit code. */
  async end(): Promise<number | null> {
    if (this.#child.exitCode === null) this.#child.kill('SIGTERM');
    return this.#closed;
  }
}

describe('centreond-plugin dev, in a package without a config', () => {
  let dev: Dev;
  let client: Client;
  beforeAll(async () => {
    dev = new Dev(tempPackage({ 'index.js': source('one') }));
    await dev.says('is ready.');
    client = await dev.client();
  }, 70_000);
  afterAll(async () => {
    await client.close();
    await dev.end();
  });

  test('serves the plugin from a temporary config that it names', async () => {
    expect(existsSync(dev.config)).toBe(true);
    expect((await client.call('LOOK', {})).data).toEqual({ text: 'one' });
  });

  test('sees each atomic save, and says in one line what it did', async () => {
    for (const answer of ['two', 'three']) {
      expect(await dev.save(source(answer))).toMatch(
        /^index\.js changed: built and reloaded, sample 1\.0\.0 serves now \(\d+ ms\)\n$/,
      );
      expect((await client.call('LOOK', {})).data).toEqual({ text: answer });
    }
  }, 120_000);

  test('shows a build that failed as a line with its stack below, and the version before serves', async () => {
    expect(await dev.save('\nthrow new Error("out of order");')).toMatch(
      /^index\.js changed: the build failed: The plugin temp-plugin cannot be used: .*out of order\n {4,}at .*index\.js:2/,
    );
    expect((await client.call('LOOK', {})).data).toEqual({ text: 'three' });
  }, 90_000);

  test('leaves nothing behind', async () => {
    const { config } = dev;
    expect(await dev.end()).toBe(0);
    expect(existsSync(path.dirname(config))).toBe(false);
  });
});

const TALKATIVE = pluginSource(
  `codes: { SEEN: { code: 50, title: 'seen' } }`,
  `import { inject, LOGGER } from '@centreond/plugin-sdk';
   inject(LOGGER)(Sample, undefined, 0);
   act('LOOK', { input: z.strictObject({ rows: z.int() }), output: z.strictObject({ text: z.string() }) }, 'look');
   act('TELL', {}, 'tell');
   act('CRASH', {}, 'crash');`,
  `constructor(log) { this.log = log; }
   async look({ rows }, context) {
     for (let i = 1; i <= rows; i++) await context.progress(50, { i });
     return { text: 'looked' };
   }
   async tell() { this.log.warn({ err: new Error('no rain') }, 'it is dry'); return {}; }
   crash() { setTimeout(() => { throw new Error('the roof fell in'); }); return new Promise(() => {}); }`,
);
const MOMENT = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d\d:\d\d`;

describe('what developers see of the requests that they make', () => {
  let dev: Dev;
  let client: Client;
  beforeAll(async () => {
    dev = new Dev(tempPackage({ 'index.js': TALKATIVE }));
    await dev.says('is ready.');
    client = await dev.client();
  }, 70_000);
  afterAll(async () => {
    await client.close();
    await dev.end();
  });

  test('is who asked for what, each row with its title and data, and the outcome', async () => {
    await client.call('LOOK', { rows: 2 }, { token: 'my-own-token-of-a-look' });
    const rows = [
      String.raw`^${MOMENT}  @local asked for LOOK, my-own-token-of-a-look\n  rows  2\n`,
      String.raw`${MOMENT}  dev  LOOK  my-own…a-look  seen \(50\)\n  i  1\n`,
      String.raw`${MOMENT}  dev  LOOK  my-own…a-look  seen \(50\)\n  i  2\n`,
      String.raw`${MOMENT}  dev  LOOK  my-own…a-look  finished \(2\)\n  text  looked\n`,
    ];
    await dev.says(new RegExp(rows.join(''), 'm'));
  });

  test('is nothing of the requests of others', async () => {
    await client.call('CANCEL', { token: 'my-own-token-of-a-look' }, { token: 'of-the-core' });
    await client.call('LOOK', { rows: 0 }, { token: 'after-that' });
    expect(await dev.says('after-that  finished (2)')).not.toContain('of-the-core');
  });

  test('is what the plugin logs and how it crashes, in lines with their stacks below, into pipes too', async () => {
    await client.call('TELL', {});
    await client.call('CRASH', {});
    await dev.says(/ CRASH {2}\S+ {2}failed \(1\)\n {2}error +PLUGIN_CRASHED\n {2}message +The plugin sample ended/);
    await until('the log has it', () => dev.stderr.includes('it starts again'));
    expect(dev.stderr).toMatch(/^\d\d:\d\d:\d\d WARN sample: it is dry.*\n {4}Error: no rain\n {8}at .*index\.js:\d/m);
    expect(dev.stderr).toMatch(/^.*the roof fell in.*\n(.*\n)* {4,}at .*index\.js:\d/m);
    expect(dev.stderr).not.toContain('{"level"');
    expect(dev.stderr).not.toContain('\\n');
  });

  test('is of 100,000 rows a part, with how many more there were, and the end', async () => {
    const before = dev.stdout.length;
    await client.call('LOOK', { rows: 100_000 }, { token: 'very-many', timeoutMs: 100_000 });
    await dev.says(/ LOOK {2}very-many {2}finished \(2\)/);
    const counts = () => {
      const said = dev.stdout.slice(before);
      const hidden = [...said.matchAll(/^… (\d+) more rows are not shown: .*\n/gm)].map(([, number]) => Number(number));
      return { shown: said.split('seen (50)').length - 1, hidden: hidden.reduce((sum, number) => sum + number, 0) };
    };
    await until('all are shown or counted', () => counts().shown + counts().hidden >= 100_000);
    const { shown, hidden } = counts();
    expect(shown + hidden).toBe(100_000);
    expect(shown).toBeGreaterThan(0);
    expect(hidden).toBeGreaterThan(80_000);
  }, 120_000);

  test('is of an action that a save adds, too', async () => {
    await dev.save(TALKATIVE.replace(`act('TELL', {}, 'tell');`, `act('SPEAK', {}, 'tell');`));
    await client.call('SPEAK', {}, { token: 'spoken' });
    await dev.says('  SPEAK  spoken  finished (2)');
  }, 90_000);
});

test('a daemon that runs already is used: rows are shown, and how the plugin crashes', async () => {
  const folder = tempPackage({ 'index.js': TALKATIVE });
  const built = await new Promise<number | null>((resolve) => {
    const bin = path.join(ROOT, 'plugin-sdk/kit/bin/centreond-plugin.js');
    spawn(process.execPath, [bin, 'build', '--quiet'], { cwd: folder, stdio: 'inherit' }).once('close', resolve);
  });
  expect(built).toBe(0);
  const daemon = new DaemonProcess({ plugins: [{ package: folder }] });
  await daemon.start();
  const dev = new Dev(folder, '--config', path.join(daemon.folder, 'centreond.yaml'));
  const client = await connect({ address: daemon.socket });
  try {
    await dev.says('built and reloaded');
    await client.call('LOOK', { rows: 1 }, { token: 'looked-at' });
    expect(await dev.says('  LOOK  looked-at  finished (2)')).toContain(
      '  central  LOOK  looked-at  seen (50)\n  i  1\n',
    );
    await client.call('CRASH', {}, { token: 'crashed' });
    await dev.says(
      / {2}instance 1 after .*exit code 1\n {2}ran +CRASH crashed\n {2}\| ERROR .*the roof fell in\n( {2}\| .*\n)* {2}\| +at .*index\.js:\d/,
    );
    expect(await dev.end()).toBe(0);
    await client.ping();
  } finally {
    await client.close();
    await dev.end();
    await daemon.dispose();
  }
}, 120_000);
