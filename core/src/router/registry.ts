import { type ActionManifest, actionAs, type JsonSchema, type Manifest } from '@centreond/plugin-sdk/internal';
import { routerSchema } from '@centreond/plugin-sdk/json-schema';
import { near } from '../words.ts';
import type { Guarded } from './authorize.ts';
import type { Executor } from './executor.ts';
import type { RegisteredAction } from './request.ts';

/** Which plugin runs which action. The only list of actions; it comes from the manifests. */
export class Registry {
  readonly #actions = new Map<string, RegisteredAction>();
  readonly #plugins = new Map<string, { manifest: Manifest; executor: Executor }>();
  /** What is wrong with data of the events that a plugin emits, by type and name. */
  readonly #emitted = new Map<string, ReadonlyMap<string, (data: object) => string | undefined>>();

  /** Adds a plugin with all its actions; discovery has seen to it that their names are free. Throws if a schema does not compile. */
  add(manifest: Manifest, executor: Executor): void {
    for (const action of manifest.actions) {
      if (this.#actions.has(action.name)) throw new Error(`the action ${action.name} is registered twice`);
    }
    this.replace(manifest, executor);
  }

  /** Replaces a plugin by another version of it, or adds it: all of it or, if a schema does not compile, nothing. */
  replace(manifest: Manifest, executor: Executor): void {
    const { type } = manifest;
    const emitted = manifest.emits.map(({ name, schema }) => [name, faultsBy(schema)] as const);
    const actions = manifest.actions.map((action): RegisteredAction => {
      const { name } = action;
      const registered = this.#actions.get(name);
      if (registered && registered.type !== type) throw new Error(`the action ${name} belongs to ${registered.type}`);
      return { manifest: action, type, executor, fault: faultsBy(action.input) };
    });
    this.remove(type);
    this.#plugins.set(type, { manifest, executor });
    this.#emitted.set(type, new Map(emitted));
    for (const action of actions) this.#actions.set(action.manifest.name, action);
  }

  /** Takes a plugin and its actions out. Requests that were accepted keep theirs. */
  remove(type: string): void {
    this.#plugins.delete(type);
    this.#emitted.delete(type);
    for (const [name, action] of this.#actions) if (action.type === type) this.#actions.delete(name);
  }

  /** Says what is wrong with data of an event that the plugin declares; undefined where it declares none such. */
  emitted(type: string, event: string): ((data: object) => string | undefined) | undefined {
    return this.#emitted.get(type)?.get(event);
  }

  /** The type of the plugin that alone may use `token` first: the part before the first `:`, if such a plugin is loaded. */
  reservedFor(token: string): string | undefined {
    const colon = token.indexOf(':');
    if (colon < 1) return undefined;
    const type = token.slice(0, colon);
    return this.#plugins.has(type) ? type : undefined;
  }

  /** The executor of a plugin. */
  executorOf(type: string): Executor | undefined {
    return this.#plugins.get(type)?.executor;
  }

  get(action: string): RegisteredAction | undefined {
    return this.#actions.get(action);
  }

  /** The action that the plugin `type` declares as `action`, where the config gives that plugin its type. */
  own(type: string, action: string): RegisteredAction | undefined {
    if (this.#plugins.get(type)?.manifest.declaredType === undefined) return undefined;
    const own = this.#actions.get(actionAs(type, action));
    return own?.type === type ? own : undefined;
  }

  get actions(): string[] {
    return [...this.#actions.keys()].sort();
  }

  get plugins(): readonly { manifest: Manifest; executor: Executor }[] {
    return [...this.#plugins.values()];
  }

  /** The known action nearest to a misspelt one, if any is near. */
  near(action: string): string | undefined {
    return near(action, [...this.#actions.keys()]);
  }
}

/** An action that no plugin here declares: the node that runs it decides. */
export function unknownHere(name: string): Guarded & { readonly manifest: ActionManifest } {
  const manifest: ActionManifest = {
    name,
    title: '',
    method: '',
    input: {},
    output: {},
    access: ['client'],
    effects: 'destructive',
    idempotent: false,
    inFlight: 'fail',
    concurrency: 0,
    timeoutSeconds: 0,
    reply: 'row',
    unexpressed: [],
  };
  return { type: '', manifest };
}

/** What a schema has against data. Throws if it does not compile. */
function faultsBy(schema: JsonSchema): (data: object) => string | undefined {
  const { fault, check } = routerSchema(schema);
  if (fault !== undefined) throw new Error(fault);
  return check;
}
