import { spawnSync } from 'node:child_process';
import { appendFileSync, copyFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { until } from '../daemon-process.ts';
import { ROOT, tempFolder } from '../plugin-sdk/temp-package.ts';
import { startAsTheUnit } from './as-the-unit.ts';
import { DebianHost } from './debian-host.ts';
import { Machine } from './machine.ts';
import { blocksOf } from './page.ts';

const TOOLS = [
  'mmdebstrap',
  'dpkg-deb',
  'unshare',
  'nsenter',
  'setpriv',
  'ip',
  'systemd-analyze',
  'python3',
  'buildah',
];
const missing = TOOLS.filter((tool) => spawnSync('which', [tool]).status !== 0);
const isRoot = process.getuid?.() === 0;
const why = missing.length > 0 ? `${missing.join(', ')} not found` : isRoot ? undefined : 'only root can make a chroot';
if (why !== undefined) process.stderr.write(`the tests of the Debian package are skipped: ${why}\n`);
test.runIf(process.env.CI)('the tools of these tests are here', () => expect(why).toBeUndefined());

const { version: VERSION } = JSON.parse(readFileSync(path.join(ROOT, 'core/package.json'), 'utf8'));
const NEXT = `${VERSION}.1`;
/** Everything that is made here is in memory: these are thousands of files. */
const folder = tempFolder();
let memory: Machine;
/** A clean Debian, made once for all tests; the variable names one that is there. */
const base = process.env.DEBIAN_BASE ?? path.join(folder, 'base.tar');
const [current, next] = [VERSION, NEXT].map((version) => `${folder}/dist/centreond_${version}_amd64.deb`);

beforeAll(async () => {
  if (why !== undefined) return;
  memory = await Machine.memory(folder);
  const options = ['--quiet', '--variant=minbase', '--include=adduser', '--dpkgopt=force-unsafe-io'];
  const made = process.env.DEBIAN_BASE ? undefined : memory.must('mmdebstrap', ...options, 'bookworm', base);
  const builder = path.join(ROOT, 'package/deb.ts');
  await memory.must(process.execPath, builder, '--out', path.join(folder, 'dist'), VERSION, NEXT);
  await made;
});
afterAll(() => memory?.close());

describe.skipIf(why !== undefined)('the Debian package', () => {
  let debian: Machine;
  let before: string[] = [];
  beforeAll(async () => {
    debian = await Machine.debian(memory, path.join(folder, 'debian'), base);
    before = await filesOf(debian);
  });
  afterAll(() => debian?.close());
  const install = async (file: string | undefined) => {
    await memory.must('cp', String(file), path.join(debian.root, 'root/centreond.deb'));
    await debian.does('apt-get install -q -y /root/centreond.deb');
  };

  test('installs by itself: user, folders, a config that is sound, a unit that is enabled', async () => {
    await install(current);
    expect(await debian.does('getent passwd centreond')).toMatch(
      /^centreond:x:\d+:\d+:.*:\/var\/lib\/centreond:.*nologin$/m,
    );
    expect(await debian.does("stat -c '%a %U %G %n' /var/lib/centreond /etc/centreond/*")).toBe(
      '700 centreond centreond /var/lib/centreond\n644 root root /etc/centreond/centreond.yaml\n755 root root /etc/centreond/conf.d\n',
    );
    expect(await debian.does('readlink /etc/systemd/system/multi-user.target.wants/centreond.service')).toBe(
      '/lib/systemd/system/centreond.service\n',
    );
    expect(await debian.does('centreond check')).toMatch(/1 sound plugin/);
    expect(await debian.does('dpkg --verify centreond')).toBe('');
    expect((await debian.run('which node')).code).toBe(1);
  });

  test('brings every bundled plugin', () => {
    const isPlugin = (name: string) => existsSync(path.join(ROOT, 'plugins', name, 'plugin.manifest.json'));
    const bundled = readdirSync(path.join(ROOT, 'plugins')).filter(isPlugin);
    const installed = readdirSync(debian.file('/usr/lib/centreond/node_modules/@centreond'));
    expect(bundled).toContain('action');
    expect(installed).toEqual(expect.arrayContaining(bundled.map((name) => `plugin-${name}`)));
  });

  test('has a page of the manual and completions as soon as the command line prints them', async () => {
    const verbs = await debian.does('centreond --help');
    const files = (await debian.does('dpkg -L centreond')).split('\n');
    const completions = [
      '/usr/share/bash-completion/completions/centreond',
      '/usr/share/zsh/vendor-completions/_centreond',
    ];
    for (const file of [...completions, '/usr/share/fish/vendor_completions.d/centreond.fish'])
      expect(files.includes(file), file).toBe(/^ {2}completion /m.test(verbs));
    expect(files.includes('/usr/share/man/man1/centreond.1.gz')).toBe(/^ {2}man /m.test(verbs));
  });

  test('the daemon runs as the unit has it, and so do commands', async () => {
    const daemon = await startAsTheUnit(debian);
    onTestFinished(() => daemon.close());
    expect(await debian.does('centreond status')).toMatch(/central/);
    expect(await debian.does("centreond call COMMAND command='id -un' --token before")).toMatch(/stdout +centreond$/m);
    // What the unit takes away is away from commands too, and what a check of the machine needs is there.
    const command = (line: string) =>
      debian.does(`centreond --json call COMMAND '${JSON.stringify({ command: ['sh', '-c', line] })}'`);
    expect(await command('grep -E "^(CapBnd|NoNewPrivs|Seccomp):" /proc/self/status | tr -s "\\t\\n" " "')).toContain(
      'CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2',
    );
    expect(await command('touch /usr/x || touch /etc/x || echo refused')).toContain('refused');
    expect(await command('unshare --user true || echo refused')).toContain('refused');
    expect(await command('echo kept > /tmp/x && cat /tmp/x /proc/loadavg && grep -c . /proc/1/comm')).toContain('kept');
    await daemon.stop();
  });

  test('an upgrade keeps what was edited, and the data', async () => {
    const config = debian.file('/etc/centreond/centreond.yaml');
    appendFileSync(config, '# edited\n');
    await debian.does('echo "plugins: [{ package: \\"@centreond/plugin-cron\\" }]" > /etc/centreond/conf.d/cron.yaml');
    await install(next);
    expect(await debian.does('dpkg-query -W centreond')).toBe(`centreond\t${NEXT}\n`);
    expect(readFileSync(config, 'utf8')).toMatch(/# edited\n$/);
    expect(await debian.does('centreond check')).toMatch(/2 sound plugins/);
    const daemon = await startAsTheUnit(debian);
    onTestFinished(() => daemon.close());
    expect(await debian.does('centreond log before')).toMatch(/stdout +centreond$/m);
    await daemon.stop();
  });

  test('removed, it keeps config and data; purged, it leaves nothing', async () => {
    await debian.does('apt-get remove -q -y centreond');
    expect((await debian.run('which centreond')).code).toBe(1);
    expect(existsSync(debian.file('/usr/lib/centreond'))).toBe(false);
    expect(existsSync(debian.file('/var/lib/centreond/keys/router.pem'))).toBe(true);
    expect(existsSync(debian.file('/etc/centreond/centreond.yaml'))).toBe(true);
    await debian.does('apt-get purge -q -y centreond');
    expect((await debian.run('getent passwd centreond || getent group centreond')).code).toBe(2);
    const after = await filesOf(debian);
    expect(after.filter((file) => !before.includes(file))).toEqual([]);
    expect(before.filter((file) => !after.includes(file))).toEqual([]);
  });
});

describe.skipIf(why !== undefined)('the page for Debian, typed on two clean machines', () => {
  const blocks = blocksOf('core/docs/debian.md');
  const hosts = new Map<string, DebianHost>();
  const address = '10.77.0.1';
  beforeAll(async () => {
    const central = await Machine.debian(memory, path.join(folder, 'central'), base);
    const paris = await Machine.debian(memory, path.join(folder, 'paris'), base);
    await Machine.connect([central, paris], [address, '10.77.0.2']);
    for (const [name, machine] of Object.entries({ central, paris })) hosts.set(name, new DebianHost(machine));
    for (const { machine } of hosts.values()) {
      for (const [file, name] of [
        [current, 'VERSION'],
        [next, 'NEWER'],
      ])
        await memory.must('cp', String(file), path.join(machine.root, `root/centreond_${name}_amd64.deb`));
      await machine.does(`echo ${address} central.example >> /etc/hosts`);
    }
  });
  afterAll(async () => {
    for (const host of hosts.values()) await host.close();
  });

  /** Types the next block, which stands below that heading, and resolves with what it printed. */
  async function typeNext(heading: string): Promise<string> {
    const block = blocks.shift();
    expect(block?.heading).toBe(heading);
    const said = await hosts.get(block?.machine ?? '')?.type(block?.text ?? '');
    const line = hosts.get('central')?.machine.file('/root/line.txt') ?? '';
    // What a person carries from one machine to the other.
    if (existsSync(line)) copyFileSync(line, hosts.get('paris')?.machine.file('/root/line.txt') ?? '');
    return said ?? '';
  }

  test('a router, and a second node that takes the place of the router that its package had started', async () => {
    expect(await typeNext('The first router')).toMatch(/central.*stdout +centreond$/ms);
    expect(await typeNext('The first router')).toContain('1 sound plugin');
    expect(await typeNext('The second node')).toMatch(
      /aside +\/var\/lib\/centreond\/replaced-.*systemctl start centreond/s,
    );
    expect(await typeNext('The second node')).toMatch(/finished \(2\)/);
    const { machine } = hosts.get('paris') as DebianHost;
    expect(
      await machine.does("stat -c '%a %U %n' /etc/centreond/centreond.yaml /var/lib/centreond/keys/router.pem"),
    ).toBe('644 root /etc/centreond/centreond.yaml\n600 centreond /var/lib/centreond/keys/router.pem\n');
  });

  test('a plugin that is wrong, why, and corrected', async () => {
    expect(await typeNext('A plugin')).toMatch(/cron\.yaml:1:\d+ .*61/);
    expect(await typeNext('A plugin')).toMatch(/sound plugins.*hourly/s);
    expect(await typeNext('A plugin')).toMatch(/cron/);
  });

  test('an upgrade', async () => {
    expect(await typeNext('An upgrade')).toMatch(/paris/);
    expect(await hosts.get('paris')?.machine.does('centreond cron list')).toContain('hourly');
    expect(blocks).toEqual([]);
  });
});

describe.skipIf(why !== undefined)('the container', () => {
  const buildah = (...args: string[]) => {
    const store = ['--root', path.join(folder, 'images'), '--runroot', path.join(folder, 'images-run')];
    return memory.must('buildah', ...store, '--storage-driver', 'overlay', ...args);
  };
  const BASE = 'docker.io/library/debian:bookworm-slim';
  let root = '';
  let words: { Entrypoint: string[]; Cmd: string[]; User: string; Healthcheck: { Test: string[] } };

  beforeAll(async () => {
    await memory.must('rm', String(next));
    // In place of the image of that name, which is as clean a Debian: no registry is asked.
    const scratch = (await buildah('from', 'scratch')).trim();
    await buildah('add', '--quiet', scratch, base, '/');
    await buildah('commit', '--quiet', '--rm', scratch, BASE);
    const file = path.join(ROOT, 'config/Containerfile');
    const options = ['--isolation', 'chroot', '--network', 'host', '--pull-never', '--format', 'docker'];
    await buildah('build', ...options, '--file', file, '--tag', 'centreond', folder);
    const { Docker } = JSON.parse(await buildah('inspect', '--type', 'image', 'centreond'));
    words = Docker.config;
    root = (await buildah('mount', (await buildah('from', '--pull-never', 'centreond')).trim())).trim();
  });

  /** Starts a container whose process 1 is `command`, and leaves an orphan of a command behind. */
  async function withOrphan(command: readonly string[]): Promise<{ container: Machine; orphan: number }> {
    const container = await Machine.container(memory, root, command);
    onTestFinished(() => container.close());
    await until('it is ready', () => container.printed.includes('is ready'), 60_000);
    await container.does('rm -f /tmp/orphan /tmp/end');
    // It outlives the shell that started it, which ends once the orphan has left its group.
    const orphaned = 'echo \\$\\$ > /tmp/orphan; until [ -e /tmp/end ]; do sleep 0.1; done';
    const line = `setsid sh -c "${orphaned}" > /dev/null 2>&1 & until [ -s /tmp/orphan ]; do sleep 0.1; done`;
    const data = JSON.stringify({ command: ['sh', '-c', line] });
    await container.does(`centreond call COMMAND '${data}'`, 'own', words.User);
    const orphan = Number(await container.does('cat /tmp/orphan'));
    expect(await stateOf(container, orphan)).toMatch(/[SR]/);
    await container.does('touch /tmp/end');
    return { container, orphan };
  }

  const stateOf = async (container: Machine, pid: number) => {
    const { stdout } = await container.run(`cat /proc/${pid}/stat`);
    return /\) (\w)/.exec(stdout)?.[1] ?? 'gone';
  };

  test('runs as its user, is healthy, reaps what commands leave behind, and stops on SIGTERM', async () => {
    expect(words.User).toBe('centreond');
    const { container, orphan } = await withOrphan([...words.Entrypoint, ...words.Cmd]);
    expect(await container.does('cat /proc/1/comm')).toBe('tini\n');
    expect(container.printed).not.toContain('PID 1');
    const [kind, ...health] = words.Healthcheck.Test;
    expect(kind).toBe('CMD');
    expect(await container.does(health.join(' '), 'own', words.User)).toContain('central');
    await until('the orphan was reaped', async () => (await stateOf(container, orphan)) === 'gone');
    container.signal('SIGTERM');
    expect(await container.ended()).toBe(0);
  });

  test('without an init the daemon says what it does not do, and a zombie stays', async () => {
    const { container, orphan } = await withOrphan(['centreond', ...words.Cmd]);
    expect(container.printed).toMatch(/PID 1 .*tini/);
    await until('the orphan has ended', async () => /Z|gone/.test(await stateOf(container, orphan)));
    expect(await stateOf(container, orphan)).toBe('Z');
  });
});

/** Every file of the machine, less what apt, dpkg and adduser note about their own work. */
async function filesOf(machine: Machine): Promise<string[]> {
  const own =
    'var/(cache|log|lib/(dpkg|apt))(/|$)|etc/(passwd|group|shadow|gshadow|subuid|subgid)-$|^./(root|run|tmp|etc/.pwd.lock)';
  return (await machine.does(`find . -xdev | grep -vE '${own}' | sort`)).split('\n');
}
