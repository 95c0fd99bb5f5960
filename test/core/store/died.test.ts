import { Worker } from 'node:worker_threads';
import { expect, onTestFinished, test, vi } from 'vitest';
import { eachDriver } from './drivers.ts';
import { request } from './opened.ts';

const original = Worker.prototype.postMessage;

eachDriver(({ opened }) => {
  test.each(['store-writer', 'store-reader'])(
    'the death of the thread %s is told once, with its cause',
    async (name) => {
      const threads = new Set<Worker>();
      const post = vi.spyOn(Worker.prototype, 'postMessage').mockImplementation(function (this: Worker, ...args) {
        threads.add(this);
        return original.apply(this, args);
      });
      onTestFinished(() => post.mockRestore());
      const causes: string[] = [];
      const store = await opened({ died: (error) => causes.push(error.message) });
      await store.accept(request('t'), '{}');
      await store.find('t');
      // The reader is told to open first.
      const [reader, writer] = [...threads];
      const victim = name === 'store-writer' ? writer : reader;
      // A message that its handler cannot read: the thread ends by an error of its own.
      original.call(victim as Worker, null);
      await vi.waitFor(() => expect(causes).toHaveLength(1));
      expect(causes[0]).toMatch(name === 'store-writer' ? /the writing thread.*ended/ : /the reading thread.*ended/);
      if (name === 'store-writer')
        await expect(store.accept(request('u'), '{}')).rejects.toMatchObject({ code: 'STORE_FAILED' });
      else await expect(store.find('t')).rejects.toMatchObject({ code: 'HISTORY_UNREADABLE' });
      expect(causes).toHaveLength(1);
    },
  );
});
