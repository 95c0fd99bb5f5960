import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { DaemonProcess } from '../daemon-process.ts';

const GONE_AFTER_MS = 1000;

test.each(['store-writer', 'store-reader'])(
  'a daemon whose thread %s ends is gone within a second, with the cause in its log',
  async (name) => {
    const daemon = new DaemonProcess({ plugins: [] });
    onTestFinished(() => daemon.dispose());
    const order = path.join(daemon.folder, 'order');
    const hook = path.join(daemon.folder, 'hook.mjs');
    // Each thread of the process runs it first; the one that is meant ends itself when it is told to.
    writeFileSync(
      hook,
      `import { existsSync } from 'node:fs';
       import { isMainThread, threadName } from 'node:worker_threads';
       if (!isMainThread && threadName === ${JSON.stringify(name)})
         setInterval(() => existsSync(${JSON.stringify(order)}) && process.exit(3), 10).unref();`,
    );
    await daemon.start(['env', `NODE_OPTIONS=--import=${hook}`]);
    writeFileSync(order, '');
    const startedAt = performance.now();
    const code = await daemon.ended();
    expect(performance.now() - startedAt).toBeLessThan(GONE_AFTER_MS + 10);
    expect(code).toBe(1);
    expect(daemon.stderr).toMatch(/thread of the token store ended/);
  },
);
