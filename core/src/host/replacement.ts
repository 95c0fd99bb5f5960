import { failure, reasonOf } from '@centreond/protocol';
import type { PluginHost, PluginVersion, Prepared } from './plugin-host.ts';

/** A plugin's change to another version. */
export interface Replacement {
  readonly host: PluginHost;
  readonly next: PluginVersion;
  /** Makes the actions of `next` known. May throw; then nothing has changed. */
  switched(): void;
  /** Makes those of the running version known again. */
  switchedBack(): void;
}

/**
 * Replaces the running versions of plugins, all or none: starts each next one beside the running one, hands over what waits and all that
 * comes, lets the old ones finish, then ends them. `switched` is called in the moment in which requests begin to go to the next ones.
 * Throws INVALID_PLUGIN, which says why and what serves, if one of them does not start; then the old ones stay.
 */
export async function replace(replacements: readonly Replacement[], switched: () => void): Promise<void> {
  const started = await Promise.allSettled(replacements.map(({ host, next }) => host.prepare(next)));
  const prepared = started.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
  const [failed] = started.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
  if (failed !== undefined) {
    await abandon(prepared);
    throw failed;
  }
  const done: Replacement[] = [];
  for (const one of replacements) {
    try {
      one.switched();
      done.push(one);
    } catch (error) {
      for (const { switchedBack } of done.reverse()) switchedBack();
      await abandon(prepared);
      const reason = `${reasonOf(error)}; ${one.host.whatServes()}`;
      throw failure('INVALID_PLUGIN', { plugin: one.next.manifest.type, reason });
    }
  }
  switched();
  await Promise.all(prepared.map((one) => one.takeOver()));
}

async function abandon(prepared: readonly Prepared[]): Promise<void> {
  await Promise.all(prepared.map((one) => one.abandon()));
}
