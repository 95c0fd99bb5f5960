import type { JsonObject, Mistake } from '@centreond/protocol';
import { inject as injectToken } from 'tsyringe';
import type { Instance, Logger, State, TokenStore, Transport } from './contract.ts';
import type { OutputOf, Schema } from './schema.ts';

declare const INJECTS: unique symbol;

/** What a constructor may ask for with `@inject`: a symbol that bears its name and its type. */
export interface PluginToken<Name extends string, Injected> {
  readonly [INJECTS]: readonly [Name, Injected];
}

function token<Name extends string, Injected>(name: Name): PluginToken<Name, Injected> {
  return Symbol.for(`centreond.${name}`) as unknown as PluginToken<Name, Injected>;
}

/** The symbol that a container knows `token` by. */
export function symbolOf(token: PluginToken<string, unknown>): symbol {
  return token as unknown as symbol;
}

/**
 * The plugin's config, checked by the schema of `@Plugin({ config })`: that schema's output. Without a schema it is the JSON
 * object of the config file.
 * @example constructor(@inject(CONFIG, Config) private readonly config: z.output<typeof Config>) {}
 */
export const CONFIG = token<'CONFIG', JsonObject>('CONFIG');

/**
 * A {@link Logger}: the daemon's log, with the plugin's type and instance on each line.
 * @example constructor(@inject(LOGGER) private readonly log: Logger) {}
 */
export const LOGGER = token<'LOGGER', Logger>('LOGGER');

/**
 * A {@link TokenStore}: reads, follows and writes history. Name the row codes that it writes, as for `ActionContext`.
 * @example constructor(@inject(TOKEN_STORE) private readonly tokens: TokenStore<CodesOf<typeof CODES>>) {}
 */
export const TOKEN_STORE = token<'TOKEN_STORE', TokenStore<number>>('TOKEN_STORE');

/**
 * A {@link Transport}: calls actions here and on other nodes, emits events, opens links.
 * @example constructor(@inject(TRANSPORT) private readonly transport: Transport) {}
 */
export const TRANSPORT = token<'TRANSPORT', Transport>('TRANSPORT');

/**
 * A {@link State}: keys and values on disk, of this plugin alone, shared by its instances.
 * @example constructor(@inject(STATE) private readonly state: State) {}
 */
export const STATE = token<'STATE', State>('STATE');

/**
 * An {@link Instance}: which of the plugin's processes this is.
 * @example constructor(@inject(INSTANCE) private readonly instance: Instance) {}
 */
export const INSTANCE = token<'INSTANCE', Instance>('INSTANCE');

/** A class whose constructor has parameters to inject. Legacy decorators demand `any` in a constructor's type. */
// biome-ignore lint/suspicious/noExplicitAny: a constructor type that accepts every class
type Injected = abstract new (...args: any[]) => object;

type Takes<C extends Injected, Index extends number, Value, Sentence extends string> = [Value] extends [
  ConstructorParameters<C>[Index],
]
  ? unknown
  : Mistake<Sentence>;

type ConfigSentence =
  '@inject(CONFIG, schema): the parameter does not take what the schema yields. Declare it as z.output<typeof schema>.';
type TokenSentence<Name extends string> = Name extends 'CONFIG'
  ? '@inject(CONFIG): the parameter is not a JsonObject. Write @inject(CONFIG, schema), with the schema of @Plugin({ config }).'
  : `@inject(${Name}): the parameter does not take what ${Name} injects. The comment of ${Name} names its type.`;

type Decorator<Value, Sentence extends string> = <C extends Injected, Index extends number>(
  target: C & Takes<C, Index, Value, Sentence>,
  key: undefined,
  index: Index,
) => void;

const CONFIG_SCHEMA = Symbol.for('centreond.config-schema');

/**
 * Injects what `token` names into a parameter of a constructor: of a plugin, or of a class that a plugin's constructor asks for.
 * A parameter of another type does not compile. `CONFIG` takes the schema of `@Plugin({ config })`, which gives the parameter
 * its type; another schema than the plugin's is refused by the build. A token of one's own, registered with tsyringe, is
 * taken too, unchecked; with `isOptional` the parameter is undefined where nothing is registered.
 */
export function inject<S extends Schema>(token: typeof CONFIG, schema: S): Decorator<OutputOf<S>, ConfigSentence>;
export function inject<Name extends string, Value>(
  token: PluginToken<Name, Value>,
): Decorator<Value, TokenSentence<Name>>;
export function inject(
  token: symbol | string | (new (...args: never[]) => object),
  options?: { readonly isOptional?: boolean },
): (target: Injected, key: undefined, index: number) => void;
export function inject(token: unknown, more?: Schema | { readonly isOptional?: boolean }) {
  const schema = token === CONFIG && more && '~standard' in more ? more : undefined;
  const options = schema ? undefined : (more as { isOptional?: boolean } | undefined);
  const decorate = injectToken(token as symbol, options);
  return (target: object, key: undefined, index: number): void => {
    decorate(target, key, index);
    if (schema) Object.defineProperty(target, CONFIG_SCHEMA, { value: schema, configurable: true });
  };
}

/** What JavaScript itself brings: no container makes a useful one of these. */
const BUILT_IN: ReadonlySet<unknown> = new Set([
  Object,
  String,
  Number,
  Boolean,
  BigInt,
  Symbol,
  Function,
  Array,
  Promise,
  Date,
  RegExp,
  Map,
  Set,
  Error,
  Buffer,
]);

/**
 * What is wrong with the constructor of a plugin whose `@Plugin({ config })` is `config`, as the rest of a sentence, or undefined:
 * a parameter that has neither `@inject` nor a class as its type, also of such a class, or another schema for CONFIG.
 */
export function faultOfInjection(plugin: object, config: unknown): string | undefined {
  const asked: unknown = Object.hasOwn(plugin, CONFIG_SCHEMA) ? Reflect.get(plugin, CONFIG_SCHEMA) : undefined;
  if (asked !== undefined && asked !== config)
    return 'its @inject(CONFIG, schema) names another schema than its @Plugin({ config })';
  return faultOfParameters(plugin, []);
}

function faultOfParameters(target: unknown, above: readonly unknown[]): string | undefined {
  if (typeof target !== 'function' || above.includes(target)) return undefined;
  const types: unknown[] = Reflect.getOwnMetadata('design:paramtypes', target) ?? [];
  const tokens: Record<string, unknown> = Reflect.getOwnMetadata('injectionTokens', target) ?? {};
  for (let i = 0; i < Math.max(types.length, target.length); i++) {
    if (tokens[i] !== undefined) continue;
    const type = types[i];
    if (typeof type !== 'function' || BUILT_IN.has(type)) {
      const where = `parameter ${i + 1} of ${above.length > 0 ? `the constructor of ${target.name}` : 'its constructor'}`;
      return `${where} has no @inject; write @inject(LOGGER), or the token that fits, before it`;
    }
    const fault = faultOfParameters(type, [...above, target]);
    if (fault) return fault;
  }
  return undefined;
}
