import { globSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type Client, connect } from '@centreond/client';
import { describe, expect, onTestFinished, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

const FAKETIME = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1')[0];
const DAY_SECONDS = 86_400;
/** The purge runs once a minute, and when the store opens. */
const AHEAD_MS = process.env.LONG === '1' ? 600_000 : 65_000;

if (FAKETIME === undefined) process.stderr.write('no libfaketime here: that the clock is 30 days ahead is not tried\n');

describe.skipIf(FAKETIME === undefined)('a clock that is 30 days ahead for a while, also over a restart', () => {
  test(
    'costs no row, runs no token again and does not stop what is scheduled',
    async () => {
      const daemon = new DaemonProcess();
      onTestFinished(() => daemon.dispose());
      const clock = path.join(daemon.folder, 'clock');
      const ledger = path.join(daemon.folder, 'ledger');
      const ticks = path.join(daemon.folder, 'ticks');
      const set = (days: number) => writeFileSync(clock, `+${days * DAY_SECONDS}s\n`);
      const wrapper = [
        'env',
        `LD_PRELOAD=${FAKETIME}`,
        `FAKETIME_TIMESTAMP_FILE=${clock}`,
        'FAKETIME_NO_CACHE=1',
        'FAKETIME_DONT_FAKE_MONOTONIC=1',
      ];
      for (const file of [ledger, ticks]) writeFileSync(file, '');
      daemon.settings.plugins = [
        { package: path.join(ROOT, 'test/fixtures/probe'), config: { ledger } },
        { package: path.join(ROOT, 'plugins/action') },
        {
          package: path.join(ROOT, 'plugins/cron'),
          config: {
            definitions: [
              {
                id: 'tick',
                schedule: '* * * * * *',
                action: 'COMMAND',
                data: { command: ['sh', '-c', `echo >> ${ticks}`] },
              },
            ],
          },
        },
      ];
      const lines = (file: string) => readFileSync(file, 'utf8').split('\n').length - 1;
      const tokens = Array.from({ length: 50 }, (_, i) => `job-${i}`);
      /** Each token is known, with its rows, and was run once. */
      const check = async (client: Client) => {
        for (const token of tokens) {
          const { data } = await client.send('ONCE', { ms: 0, rows: 2 }, { token });
          expect(data).toMatchObject({ duplicate: true });
          expect((await client.query({ token })).map(({ code }) => code)).toEqual([0, 50, 50, 2]);
        }
        expect(lines(ledger)).toBe(tokens.length);
      };
      const ticking = async () => {
        const before = lines(ticks);
        await until('two more ticks', () => lines(ticks) >= before + 2, 30_000);
      };

      set(0);
      await daemon.start(wrapper);
      // Through the local socket: at the door both clocks must agree.
      let client = await connect({ address: daemon.socket });
      onTestFinished(() => client.close());
      await Promise.all(tokens.map((token) => client.call('ONCE', { ms: 0, rows: 2 }, { token })));
      await ticking();
      set(30);
      await ticking();
      await wait(AHEAD_MS / 2);
      await check(client);
      await client.close();
      expect(await daemon.end()).toBe(0);
      await daemon.start(wrapper);
      client = await connect({ address: daemon.socket });
      await wait(AHEAD_MS / 2);
      await check(client);
      await ticking();
      set(0);
      await ticking();
      await check(client);
      await client.close();
      expect(await daemon.end()).toBe(0);
      await daemon.start(wrapper);
      client = await connect({ address: daemon.socket });
      await check(client);
      await ticking();
    },
    AHEAD_MS + 300_000,
  );
});
