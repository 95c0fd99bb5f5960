import path from 'node:path';
import { assertPluginContract, type ContractOptions, checkPluginContract } from '@centreond/plugin-kit';
import { buildManifest } from '@centreond/plugin-kit/build';
import { describe, expect, test } from 'vitest';
import { processesWith } from '../daemon-process.ts';
import { pluginSource, ROOT, tempPackage } from '../plugin-sdk/temp-package.ts';

const fixture = (name: string) => path.join(ROOT, 'test/fixtures', name);
const QUICK: ContractOptions = { graceMs: 500, runMs: 300, settleMs: 100 };
/** For what ends in time: a busy machine may take a while, and nobody waits for longer than that. */
const PATIENT: ContractOptions = { ...QUICK, graceMs: 4000 };

async function found(plugin: string, options: ContractOptions): Promise<string[]> {
  const findings = await checkPluginContract(plugin, options);
  return findings.map(({ code, message }) => `${code}: ${message}`);
}

describe('ended midway by SIGKILL, SIGTERM, KILL and the stop of the daemon', () => {
  test('a good plugin passes', async () => {
    const examples = {
      CRASH: [],
      DEAF: [{ ms: 50 }],
      SLEEP: [{ ms: 60_000 }],
      STEPS: [{ rows: 3 }],
      WRONG: [],
      RELAY: [{ action: 'ECHO', data: {} }],
    };
    expect(await found(fixture('probe'), { ...PATIENT, examples, open: ['ECHO', 'ECHO_ONCE', 'RELAY'] })).toEqual([]);
  });

  test('the bundled plugin that runs commands passes', async () => {
    const examples = { COMMAND: [{ command: 'true' }, { command: ['sleep', '600'] }] };
    await assertPluginContract(path.join(ROOT, 'plugins/action'), { ...PATIENT, examples });
  });

  const imports = `import { spawn } from 'node:child_process'; import fs from 'node:fs'; import os from 'node:os'; import path from 'node:path';\n`;
  async function ofSource(body: string, methods: string, options: ContractOptions): Promise<string[]> {
    const folder = tempPackage({ 'index.js': imports + pluginSource('', body, methods) });
    await buildManifest(folder);
    return found(folder, options);
  }

  test('what a plugin leaves when it is ended, and a handler and a stop() that take too long', async () => {
    const methods = `
      wait(input, { signal }) { return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))); }
      start() { this.child = spawn('sleep', ['700'], { detached: true, stdio: 'ignore' }); }
      release() { return new Promise(() => {}); }`;
    const body = `act('WAIT', {}, 'wait'); Kill({ graceSeconds: 0.1 })(Sample.prototype, 'release');`;
    const findings = await ofSource(body, methods, QUICK);
    expect(findings).toContainEqual(
      expect.stringMatching(/^PROCESS_LEFT: it left the process 'sleep 700' behind after SIGTERM/),
    );
    expect(findings).toContainEqual(expect.stringMatching(/^PROCESS_LEFT: .* after stop/));
    expect(findings).toContainEqual(expect.stringMatching(/^KILL_IGNORED: .* grace of 0.1 s/));
    expect(processesWith('sleep\u0000700')).toEqual([]);
  });

  test('a process that hides from the host', async () => {
    const methods = `wait(input, { signal }) {
        const child = spawn('sleep', ['800'], { detached: true, stdio: 'ignore', env: { PATH: process.env.PATH } });
        return new Promise((_, reject) => signal.addEventListener('abort', () => { child.kill(); reject(signal.reason); })); }`;
    const findings = await ofSource(`act('WAIT', {}, 'wait');`, methods, PATIENT);
    expect(findings).toEqual([expect.stringMatching(/^PROCESS_ESCAPED: its process 'sleep 800' outlives SIGKILL/)]);
    expect(processesWith('sleep\u0000800')).toEqual([]);
  });
});
