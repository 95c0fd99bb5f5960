import { Action, type ActionContext, Plugin } from '@centreond/plugin-sdk';
import { type CentreondError, failure, type JsonObject } from '@centreond/protocol';
import { z } from 'zod';
import { CORE_TYPE } from '../router/authorize.ts';
import { NOTHING, READ, TYPE } from '../router/declaring.ts';
import type { Registry } from '../router/registry.ts';
import type { Loader } from './loader.ts';

const OfType = z.strictObject({ type: TYPE });
const KillInput = z.strictObject({ type: TYPE, id: z.string().max(1024).exactOptional() });
const LoadInput = z.strictObject({
  package: z.string().min(1).max(4096),
  as: TYPE.exactOptional(),
  config: z.record(z.string(), z.json()).exactOptional(),
});
/** The types of the plugins that share its process. */
const SHARED_WITH = z.array(z.string()).exactOptional();
/** Why it does not run here: another router of the cluster runs it, or is to. */
const STANDBY = z.string().exactOptional();
/** Ends and starts take as long as plugins declare; each step in them has its own limit. */
const LIFECYCLE_SECONDS = 600;

export interface PluginActionsOptions {
  readonly registry: Registry;
  readonly loader: Loader;
}

/** What runs. */
@Plugin({ type: 'core', title: 'The router itself', isolation: 'core' })
export class PluginActions {
  constructor(private readonly options: PluginActionsOptions) {}

  @Action('GETMANIFESTS', {
    ...READ,
    title: 'Ask what the plugins declare: their actions with both schemas, and the codes of their rows',
    input: NOTHING,
    access: 'client',
  })
  getManifests() {
    const plugins = this.options.registry.plugins.map(({ manifest }) => {
      const { type, title, codes, codeTitles = {}, actions } = manifest;
      return { type, title, codes, codeTitles, actions: actions.map(({ method: _, ...action }) => action) };
    });
    return { plugins };
  }

  @Action('KILL', {
    title: 'End an instance of a plugin, or all, with what shares their process; they start again as declared',
    input: KillInput,
    output: z.strictObject({ type: z.string(), ended: z.array(z.string()), sharedWith: SHARED_WITH }),
    access: 'router',
    effects: 'destructive',
    timeoutSeconds: LIFECYCLE_SECONDS,
  })
  async kill({ type, id = '' }: z.output<typeof KillInput>, context: ActionContext) {
    const executor = this.options.registry.executorOf(type);
    const ended = (executor?.ids() ?? []).filter((one) => id === '' || one === id);
    await executor?.kill(id, (step) => void context.progress(0, { step }));
    const { sharedWith } = executor?.status() ?? {};
    return { type, ended, ...(sharedWith && { sharedWith: [...sharedWith] }) };
  }

  @Action('LOADPLUGIN', {
    title: 'Load a plugin package, until the daemon stops',
    input: LoadInput,
    output: z.strictObject({ type: z.string(), actions: z.array(z.string()), standby: STANDBY }),
    access: 'admin',
    effects: 'write',
    timeoutSeconds: LIFECYCLE_SECONDS,
  })
  loadPlugin(input: z.output<typeof LoadInput>) {
    return this.options.loader.load(input as { package: string; as?: string; config?: JsonObject });
  }

  @Action('UNLOADPLUGIN', {
    title: 'Take a plugin out of service; what it accepted may finish',
    input: OfType,
    output: OfType,
    access: 'admin',
    effects: 'destructive',
    timeoutSeconds: LIFECYCLE_SECONDS,
  })
  unloadPlugin({ type }: z.output<typeof OfType>) {
    return this.options.loader.unload(type);
  }

  @Action('RELOADPLUGIN', {
    title: 'Replace a plugin by what its package holds now; nothing is lost, nothing runs twice',
    input: OfType,
    output: z.strictObject({
      type: z.string(),
      version: z.string(),
      actions: z.array(z.string()),
      sharedWith: SHARED_WITH,
      standby: STANDBY,
    }),
    access: 'admin',
    effects: 'write',
    timeoutSeconds: LIFECYCLE_SECONDS,
  })
  reloadPlugin({ type }: z.output<typeof OfType>) {
    return this.options.loader.reload(type);
  }

  @Action('WHY', {
    ...READ,
    title: 'Ask how a plugin fares, and how its instances ended lately, with their last log lines',
    input: OfType,
    access: 'admin',
  })
  why({ type }: z.output<typeof OfType>) {
    const { loader } = this.options;
    const host = loader.host(type);
    const standby = host ? undefined : loader.standby(type)?.status();
    if (standby) return { type, state: standby.state, reason: standby.reason ?? null, degraded: [], exits: [] };
    if (!host) throw this.#unknownInstance(type, '');
    const { state, reason = null, instances } = host.status();
    const degraded = instances.flatMap(({ id, health }) =>
      health?.state === 'degraded' ? [{ instance: id, ...health }] : [],
    );
    return { type, state, reason, degraded, exits: host.exits() };
  }

  /** Why KILL cannot be accepted, or undefined; asked before it is recorded. */
  admit(action: string, data: JsonObject): CentreondError | undefined {
    if (action !== 'KILL') return undefined;
    const { type, id = '' } = data as { type: string; id?: string };
    const ids = type === CORE_TYPE ? undefined : this.options.registry.executorOf(type)?.ids();
    return ids && (id === '' || ids.includes(id)) ? undefined : this.#unknownInstance(type, id);
  }

  #unknownInstance(type: string, id: string): CentreondError {
    const { registry } = this.options;
    const types = registry.plugins.map(({ manifest }) => manifest.type).filter((one) => one !== CORE_TYPE);
    const ids = types.includes(type) ? registry.executorOf(type)?.ids() : undefined;
    return failure('UNKNOWN_INSTANCE', { type, id, known: ids ? ids.map((one) => `${type}/${one}`) : types });
  }
}
