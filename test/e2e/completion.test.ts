import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { candidatesFor } from '../../core/dist/cli/complete.js';
import { commandLine } from '../../core/dist/cli/main.js';
import { cli, DaemonProcess, ROOT, until } from '../daemon-process.ts';

const HOST_KEY = `SHA256:${'A'.repeat(43)}`;
const daemon = new DaemonProcess({
  plugins: [
    { package: path.join(ROOT, 'plugins/action') },
    {
      package: path.join(ROOT, 'plugins/cron'),
      config: { definitions: [{ id: 'probe', schedule: '@yearly', action: 'COMMAND' }] },
    },
    {
      package: path.join(ROOT, 'plugins/ssh'),
      config: {
        nodes: [{ id: 'paris-1', address: '127.0.0.1:1', user: 'root', key: '/no/key', hostKey: HOST_KEY }],
      },
    },
  ],
});
let home: string;
beforeAll(async () => {
  home = realpathSync(mkdtempSync(path.join(tmpdir(), 'completion-')));
  mkdirSync(path.join(home, 'bin'));
  const bin = path.join(ROOT, 'core/bin/centreond.js');
  writeFileSync(path.join(home, 'bin/centreond'), `#!/bin/sh\nexec '${process.execPath}' '${bin}' "$@"\n`);
  chmodSync(path.join(home, 'bin/centreond'), 0o755);
  await daemon.start();
  await until('the node is known', async () => (await daemon.cli('--json', 'nodes')).stdout.includes('paris-1'));
});
afterAll(async () => {
  await daemon.dispose();
  rmSync(home, { recursive: true, force: true });
});

const words = async (folder: string, ...line: string[]) => {
  const { code, stdout, stderr } = await cli(folder, 'complete', '--', ...line);
  expect([code, stderr]).toEqual([0, '']);
  return stdout === ''
    ? []
    : stdout
        .trimEnd()
        .split('\n')
        .map((one) => one.split('\t')[0]);
};

describe('the words that may stand on a line', () => {
  test('are verbs, options, actions, types, nodes, tokens, and the keys of an input', async () => {
    const config = path.join(daemon.folder, 'centreond.yaml');
    const here = async (...line: string[]) =>
      (await candidatesFor(commandLine(), ['--config', config, ...line])).map(({ word }) => word);
    expect(await here('st')).toEqual(['start', 'status', 'store']);
    expect(await here('store', 'copy', '--to', '')).toEqual(['postgres']);
    expect(await here('keys', 'ge')).toEqual(['generate']);
    expect(await here('complet')).toEqual(['completion']);
    expect(await here('requests', '--fai')).toEqual(['--failed']);
    expect(await here('requests', '--failed', '--f')).toEqual(['--finished']);
    expect(await here('--js')).toEqual(['--json']);
    expect(await here('call', 'GETCR')).toEqual(['GETCRON']);
    expect(await here('requests', '--action', 'ADDC')).toEqual(['ADDCRON']);
    expect(await here('kill', 'c')).toEqual(['core', 'cron']);
    expect(await here('nodes', 'p')).toEqual(['paris-1']);
    expect(await here('nodes', 'remove', 'p')).toEqual(['paris-1']);
    expect(await here('nodes', 're')).toEqual(['remove', 'rename']);
    expect(await here('call', 'COMMAND', '--target', 'a,b,p')).toEqual(['a,b,paris-1']);
    expect(await here('requests', '--node=p')).toEqual(['--node=paris-1']);
    expect(await here('call', 'COMMAND', '')).toContain('command=');
    expect(await here('--json', 'call', 'ADDCRON', 'id=x', 'm')).toEqual(['missed=']);
    expect(await here('call', 'ADDCRON', 'id=x', 'i')).toEqual([]);
    expect(await here('call', 'ADDCRON', 'missed=')).toEqual(['missed=skip', 'missed=once', 'missed=all']);
    expect(await here('call', 'ADDCRON', 'enabled=f')).toEqual(['enabled=false']);
    expect(await words(daemon.folder, 'call', 'COMMAND', '@centre')).toEqual(['@centreond.yaml']);
    expect(await words(daemon.folder, '--config', './va')).toEqual(['./var/']);
    expect(await here('completion', 'z')).toEqual(['zsh']);
    await daemon.cli('call', 'COMMAND', 'command=date', '--token', 'a-token-to-find');
    expect(await here('log', 'a-tok')).toEqual(['a-token-to-find']);
    expect(await here('cancel', 'a-tok'), 'it has ended').toEqual([]);
  });

  test('are found without a daemon as far as files tell them, and nothing is said beside', async () => {
    const file = path.join(daemon.folder, 'centreond.yaml');
    const lonely = path.join(home, 'lonely');
    mkdirSync(lonely);
    expect(await words(lonely, 'call', 'PIN')).toEqual(['PING']);
    expect(await words(lonely, 'call', 'COMM')).toEqual([]);
    expect(await words(lonely, 'nodes', '')).toEqual(['remove', 'rename']);
    expect(await words(lonely, '--context', 'none', 'nodes', 'p')).toEqual([]);
    expect(await words(lonely, '--config', path.join(lonely, 'none.yaml'), 'log', '')).toEqual([]);
    expect(await words(lonely, '--config', file, 'call', 'COMM')).toEqual(['COMMAND']);
    expect(await words(lonely, 'call', 'no', 'such', 'thing')).toEqual([]);
    expect(await words(lonely, '')).toContain('status');
  });
});

/** How a shell is started and told to complete, and to show its line at Ctrl-T. */
const SHELLS: Readonly<Record<string, { command: string; setUp: string }>> = {
  bash: {
    command: 'bash --norc --noprofile -i',
    setUp: `source <(centreond completion bash); bind -x '"\\C-t": printf "<<%s>>" "$READLINE_LINE"'; echo done-$((1+1))`,
  },
  zsh: {
    command: 'zsh -f -i',
    setUp: `autoload -Uz compinit; compinit -D -u; source <(centreond completion zsh); show() { print -nr -- "<<$BUFFER>>" }; zle -N show; bindkey '^T' show; echo done-$((1+1))`,
  },
  fish: {
    command: 'fish --no-config -i',
    setUp: `set -g fish_autosuggestion_enabled 0; centreond completion fish | source; bind \\ct 'printf "<<%s>>" (commandline)'; echo done-(math 1 + 1)`,
  },
};

function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`]);
    return true;
  } catch {
    return false;
  }
}

describe.each(Object.entries(SHELLS))('at a Tab in %s', (shell, { command, setUp }) => {
  let terminal: ChildProcess | undefined;
  let output = '';
  afterEach(() => {
    terminal?.kill('SIGKILL');
    terminal = undefined;
  });

  test.skipIf(!isInstalled(shell))(`words are completed (${shell} must be installed)`, async () => {
    const env = {
      PATH: `${path.join(home, 'bin')}:${process.env.PATH}`,
      HOME: home,
      TERM: 'xterm',
      LANG: 'C.UTF-8',
    };
    const args = ['-qfec', `stty cols 200; exec ${command}`, '/dev/null'];
    terminal = spawn('script', args, { cwd: daemon.folder, env, stdio: ['pipe', 'pipe', 'inherit'] });
    terminal.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text));
    const type = (text: string) => terminal?.stdin?.write(text);
    const shown = async (what: string, pattern: RegExp) => {
      await until(`${what}: ${JSON.stringify(output.slice(-2000))}`, () => pattern.test(output));
      return pattern.exec(output)?.[1];
    };
    type(`${setUp}\r`);
    await shown('it is set up', /done-2/);
    /** What the line is after a Tab at its end. */
    const completed = async (line: string) => {
      output = '';
      type(`${line}\t\x14`);
      const text = await shown(line, /<<(.*?)>>/s);
      type('\x15');
      return text;
    };
    expect(await completed('centreond statu')).toBe('centreond status ');
    expect(await completed('centreond call COMM')).toBe('centreond call COMMAND ');
    // The value is to follow.
    expect(await completed('centreond call COMMAND comm')).toBe('centreond call COMMAND command=');
    expect(await completed('centreond call ADDCRON missed=o')).toBe('centreond call ADDCRON missed=once ');
    expect(await completed('centreond why cro')).toBe('centreond why cron ');
    expect(await completed('centreond nodes pa')).toBe('centreond nodes paris-1 ');
    expect(await completed('centreond requests --fai')).toBe('centreond requests --failed ');
    expect(await completed('centreond --config ./va')).toBe('centreond --config ./var/');
  });
});
