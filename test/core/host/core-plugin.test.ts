import path from 'node:path';
import pino from 'pino';
import { expect, test } from 'vitest';
import { openCorePlugin } from '../../../core/dist/host/core-plugin.js';
import { pluginSource, tempPackage } from '../../plugin-sdk/temp-package.ts';

test('a plugin in the core reports its health like any other', async () => {
  const methods = `constructor(health) { this.health = health; }
  start() { this.health.report('degraded', 'it shares a process'); }
  run() { return {}; }`;
  const body = `inject(HEALTH)(Sample, undefined, 0); injectable()(Sample);
Reflect.defineMetadata('design:paramtypes', [Object], Sample); act('LOOK');`;
  const source = `import { inject, injectable } from 'tsyringe'; import { HEALTH } from '@centreond/plugin-sdk';
${pluginSource(`isolation: 'core'`, body, methods)}`;
  const folder = tempPackage({ 'index.js': source });
  const lines: string[] = [];
  const log = pino(
    { base: null },
    { write: (line: string) => void lines.push((JSON.parse(line) as { msg: string }).msg) },
  );
  const found = {
    main: path.join(folder, 'index.js'),
    package: 'sample',
    version: '1.0.0',
    config: {},
    secrets: [],
    type: 'sample',
  };
  const sent: string[] = [];
  const plugin = await openCorePlugin(found, {
    maxMessage: 1e6,
    log,
    requests: { row: () => undefined },
    clock: Date,
    chronicle: { tell() {} },
    message: (_, bytes) => void sent.push(String(bytes)),
  });
  const health = { state: 'degraded', why: 'it shares a process', since: expect.any(Number) };
  expect(plugin.status()).toMatchObject({ health: { instance: '1', ...health }, instances: [{ health }] });
  expect(lines).toEqual(['plugin sample is degraded: it shares a process']);
  expect(sent, 'nothing of it is a request').toEqual([]);
  await plugin.stop();
});

test('what a plugin in the core logs keeps its level', async () => {
  const methods = `constructor(log) { this.log = log; }
  start() {
    this.log.debug('one');
    this.log.info('two');
    this.log.warn({ city: 'Bern', plugin: 'another' }, 'three');
    this.log.error({ err: new Error('out of order') }, 'four');
  }
  run() { return {}; }`;
  const body = `inject(LOGGER)(Sample, undefined, 0); injectable()(Sample);
Reflect.defineMetadata('design:paramtypes', [Object], Sample); act('LOOK');`;
  const source = `import { inject, injectable } from 'tsyringe'; import { LOGGER } from '@centreond/plugin-sdk';
${pluginSource(`isolation: 'core'`, body, methods)}`;
  const folder = tempPackage({ 'index.js': source });
  const lines: { level: number; msg: string; plugin: string; city?: string }[] = [];
  const log = pino({ level: 'debug', base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const found = {
    main: path.join(folder, 'index.js'),
    package: 'sample',
    version: '1.0.0',
    config: {},
    secrets: [],
    type: 'sample',
  };
  const requests = { row: () => undefined };
  const plugin = await openCorePlugin(found, {
    maxMessage: 1e6,
    log,
    requests,
    clock: Date,
    chronicle: { tell() {} },
    message: () => {},
  });
  await plugin.stop();
  expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
    [20, 'one'],
    [30, 'two'],
    [40, 'three'],
    [50, 'four'],
  ]);
  expect(lines[2]).toMatchObject({ plugin: 'sample', city: 'Bern' });
});
