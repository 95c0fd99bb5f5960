import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { assertPluginContract, testPlugin } from '@centreond/plugin-kit';
import SamplePlugin from '../dist/index.js';

test('SAMPLE greets, and says each time that it did', async (t) => {
  const plugin = await testPlugin(SamplePlugin, { config: { greeting: 'Good day' } });
  t.after(() => plugin.stop());
  const outcome = await plugin.call('sample', { name: 'Ada', times: 2 });
  assert.deepEqual(outcome.data, { text: 'Good day, Ada!' });
  assert.deepEqual(
    outcome.rows.map(({ code }) => code),
    [0, 100, 100, 2],
  );
});

test('SAMPLE takes nothing that it does not know', async (t) => {
  const plugin = await testPlugin(SamplePlugin);
  t.after(() => plugin.stop());
  await assert.rejects(plugin.call('SAMPLE', { name: 'Ada', tmies: 2 }), { code: 'INVALID_DATA' });
});

test('the built plugin keeps the contract', async () => {
  await assertPluginContract(fileURLToPath(new URL('..', import.meta.url)));
});
