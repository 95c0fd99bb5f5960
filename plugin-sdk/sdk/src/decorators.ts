import 'reflect-metadata';
import {
  type CoreEvents,
  type EventName,
  type EventOf,
  type Events,
  FIRST_PLUGIN_CODE,
  failure,
  isAction,
  type Mistake,
} from '@centreond/protocol';
import { injectable } from 'tsyringe';
import type { Access, ActionContext, CodesOf, DeclaredCodes, Effects, KillRequest } from './contract.ts';
import { TYPE_PATTERN } from './naming.ts';
import { faultOfSchema, type InputOf, type OutputOf, type Schema } from './schema.ts';

/** How many processes serve a plugin: one (left out), a pool, or one per value of a field of the input. */
export type Instances =
  | { readonly pool: number }
  | {
      /** A required field of every action's input, or a path of fields into its objects: `url.host`. Its value is text or a number. */
      readonly key: string;
      readonly start: 'eager' | 'on-demand';
      readonly idleSeconds?: number;
      /** Processes that may run at once; 64 if omitted. A further key waits until another has nothing to do. */
      readonly max?: number;
    };

/** What `@Plugin` declares. */
export interface PluginOptions {
  /** `[a-z][a-z0-9-]{0,63}`: the name in KILL, in `status` and in the log. */
  readonly type: string;
  readonly title: string;
  readonly config?: Schema;
  /**
   * Codes of the plugin's own rows, from 10 up, by name; each a number, or `{ code, title }`: `centreond log` shows the title beside
   * the code.
   */
  readonly codes?: DeclaredCodes;
  /** Events that the plugin emits, each with what it carries. */
  readonly events?: Readonly<Record<string, Schema>>;
  readonly instances?: Instances;
  /** `core` runs in the daemon's own process, where the operator allows it. Default `process`. */
  readonly isolation?: 'process' | 'core';
  /**
   * Where it runs in a cluster of routers. `each` (default): on every router that names it in its config, each for itself. `one`: on
   * one of them at a time; the others stand by and hand its requests over, and one of them starts it within 15 s of that router's
   * loss. What it has to go on with there it keeps in STATE, which the routers share. While a router that was cut off notices that
   * it was replaced, two may run it for seconds, so what it does has to be safe to repeat: by a token, which runs once in the
   * cluster. It needs processes of its own (`isolation: 'process'`). A router by itself runs both alike.
   */
  readonly placement?: 'each' | 'one';
}

const TITLE_CHARACTERS = 100;

interface ActionBase<In extends Schema, Out extends Schema> {
  readonly title: string;
  readonly description?: string;
  readonly input: In;
  readonly output: Out;
  /** Default `client`. Several add up. */
  readonly access?: Access | readonly Access[];
  /** Default `destructive`. */
  readonly effects?: Effects;
  /** Requests that one instance runs at once. Default 100. One in sixteen is kept for admins, none of fewer than sixteen. */
  readonly concurrency?: number;
  /** Default 60. */
  readonly timeoutSeconds?: number;
  /**
   * `row` (default): the request is recorded, and the answer is its terminal row. `ack`: no row is written, neither of the
   * request nor by it, and what the method returns (an object) is the ACK's data, what it throws the refusal. Such a request is
   * never run again by itself, nor kept: who asked is refused with PLUGIN_CRASHED or PLUGIN_KILLED where the instance dies with
   * it, TIMEOUT where it is not answered within `timeoutSeconds` (callers wait 30 s at most), and BUSY while 1,000 wait.
   */
  readonly reply?: 'row' | 'ack';
  /**
   * `target` (default): on the node that TARGET names. `here`: on the router that was asked, whatever node TARGET names; that
   * node is what it works on, as `ctx.target`.
   */
  readonly runs?: 'target' | 'here';
}

/** What `@Action` declares. Running a request again needs an idempotent action: the union does not compile otherwise. */
export type ActionOptions<In extends Schema = Schema, Out extends Schema = Schema> = ActionBase<In, Out> &
  (
    | { readonly idempotent: true; readonly inFlight?: 'fail' | 'requeue' }
    | { readonly idempotent?: false; readonly inFlight?: 'fail' }
  );

/** The declaration of one action. */
export interface ActionDeclaration {
  readonly name: string;
  readonly method: string;
  readonly options: ActionOptions;
}
/** A method that hears an event. */
export interface ListenerDeclaration {
  readonly event: string;
  readonly method: string;
  /** Given for a keyed plugin of which one instance is to hear each event, not every live one. */
  readonly in?: 'one';
}
/** The whole declaration of a plugin class. */
export interface PluginDeclaration {
  readonly options: PluginOptions;
  readonly actions: readonly ActionDeclaration[];
  readonly listens: readonly ListenerDeclaration[];
  readonly kill: { readonly method: string; readonly graceSeconds: number } | undefined;
}

interface Draft {
  options?: PluginOptions;
  actions: ActionDeclaration[];
  listens: ListenerDeclaration[];
  kill?: { method: string; graceSeconds: number };
}

// On the prototype and by a global symbol, so that a class decorated by another copy of this package is still read.
const DRAFT = Symbol.for('centreond.declaration');

function draftOf(prototype: object, second?: unknown): Draft {
  // A standard decorator is handed the method and a context, where a legacy one is handed the prototype and a name.
  if (typeof second === 'object' && second !== null && 'kind' in second) {
    throw failure('INVALID_PLUGIN', {
      plugin: 'that is being loaded',
      reason:
        'it was compiled with standard decorators; set "experimentalDecorators": true in its tsconfig.json and build again',
    });
  }
  if (!Object.hasOwn(prototype, DRAFT)) {
    const inherited = (prototype as { [DRAFT]?: Draft })[DRAFT];
    const draft: Draft = {
      actions: [...(inherited?.actions ?? [])],
      listens: [...(inherited?.listens ?? [])],
    };
    if (inherited?.kill) draft.kill = inherited.kill;
    Object.defineProperty(prototype, DRAFT, { value: draft });
  }
  return (prototype as { [DRAFT]: Draft })[DRAFT];
}

/** A class that can be a plugin. Legacy decorators demand `any` in a constructor's type. */
// biome-ignore lint/suspicious/noExplicitAny: a constructor type that accepts every class
export type PluginClass = new (...args: any[]) => object;

/** The codes that `@Plugin` options declare. */
type CodesIn<O> = O extends { readonly codes: infer Declared extends DeclaredCodes } ? CodesOf<Declared> : never;

/** The codes of rows that a type writes: of a context's `progress`, or of a store's `append`. */
type WrittenCodes<T> = T extends { readonly progress: (code: infer Code, data: never) => unknown }
  ? Exclude<Extract<Code, number>, Mistake<string>>
  : T extends { append(rows: infer Rows): unknown }
    ? Rows extends readonly { code: infer Code }[]
      ? Exclude<Extract<Code, number>, Mistake<string>>
      : never
    : never;

/** The codes that the methods and the constructor of `C` write. */
type RowCodesOf<C extends PluginClass> =
  | WrittenCodes<ConstructorParameters<C>[number]>
  | {
      [K in keyof InstanceType<C>]: InstanceType<C>[K] extends (...args: infer A) => unknown
        ? WrittenCodes<A[1 & keyof A]>
        : never;
    }[keyof InstanceType<C>];

type Declares<C extends PluginClass, Declared> = [RowCodesOf<C>] extends [Declared | 0]
  ? unknown
  : Mistake<`The class writes rows of the code ${Exclude<RowCodesOf<C>, Declared | 0> & number}, which @Plugin({ codes }) does not declare.`>;

/** Whether values of `T` have a key at `Path`. What is not known of them does not count against it. */
type HasKey<T, Path extends string> = unknown extends T
  ? true
  : NonNullable<T> extends readonly unknown[]
    ? false
    : NonNullable<T> extends object
      ? Path extends `${infer Field}.${infer Rest}`
        ? Field extends keyof NonNullable<T>
          ? HasKey<NonNullable<T>[Field], Rest>
          : false
        : Path extends keyof NonNullable<T>
          ? unknown extends NonNullable<T>[Path]
            ? true
            : NonNullable<NonNullable<T>[Path]> extends string | number
              ? true
              : false
          : false
      : false;

/** For each method of a type that takes an object, whether that has a key at `Path`. One that takes nothing and answers may. */
type KeysOf<T, Path extends string> = {
  [K in keyof T]: T[K] extends (input: infer In, ...rest: never[]) => infer Out
    ? Parameters<T[K]> extends []
      ? Awaited<Out> extends void
        ? never
        : true
      : HasKey<In, Path>
    : never;
}[keyof T];

type DeclaredKey<O> = O extends { readonly instances: { readonly key: infer Key extends string } } ? Key : never;

/** Nothing to object to in the key of the instances, or the sentence that the compiler prints. */
type Keyed<C extends PluginClass, Key extends string> = [Key] extends [never]
  ? unknown
  : [KeysOf<InstanceType<C>, Key>] extends [never]
    ? unknown
    : true extends KeysOf<InstanceType<C>, Key>
      ? unknown
      : Mistake<`No method of the class takes an input with a text or a number at ${Key}, which instances.key names.`>;

/**
 * Declares the class a plugin, and injectable. One a class; the class is the module's default export. Throws INVALID_PLUGIN if a
 * schema does not describe itself as JSON Schema.
 */
export function Plugin<const O extends PluginOptions>(
  options: O,
): <C extends PluginClass>(target: C & Declares<C, CodesIn<O>> & Keyed<C, DeclaredKey<O>>) => void {
  return (target: PluginClass, context?: unknown) => {
    draftOf(target.prototype, context).options = options;
    if (options.config) refuseUndescribed(target.name, 'config', options.config);
    for (const [event, schema] of Object.entries(options.events ?? {}))
      refuseUndescribed(target.name, `events.${event}`, schema);
    injectable()(target);
  };
}

function refuseUndescribed(plugin: string, what: string, schema: unknown): void {
  const fault = faultOfSchema(schema);
  if (fault) throw failure('INVALID_PLUGIN', { plugin, reason: `${what}: ${fault}` });
}

/** Nothing to object to in a method, or the sentence that the compiler prints. */
type Fit<F extends (...args: never[]) => unknown, In extends Schema, Out extends Schema> =
  Parameters<F> extends []
    ? Answers<F, Out>
    : [OutputOf<In>] extends [Parameters<F>[0]]
      ? FitsContext<Parameters<F>[1]> extends true
        ? Answers<F, Out>
        : Mistake<'The second parameter of the method is not an ActionContext.'>
      : Mistake<'The first parameter of the method does not take what the input schema yields. Declare it as z.output<typeof Input>.'>;

type FitsContext<P> = [P] extends [ActionContext | undefined]
  ? true
  : [ActionContext<number>] extends [P]
    ? true
    : false;

type Answers<F extends (...args: never[]) => unknown, Out extends Schema> = [Awaited<ReturnType<F>>] extends [
  InputOf<Out>,
]
  ? unknown
  : Mistake<'The method does not return what the output schema takes. Declare it as z.input<typeof Output>, or a promise of it.'>;

/**
 * Declares a method to be the action `name` (`[A-Z][A-Z0-9_-]{0,63}`). It gets the validated input and an ActionContext; what
 * it returns becomes the terminal row of code 2, what it throws the one of code 1.
 */
export function Action<In extends Schema, Out extends Schema>(name: string, options: ActionOptions<In, Out>) {
  return <F extends (...args: never[]) => unknown>(
    target: object,
    key: string,
    _descriptor: TypedPropertyDescriptor<F> & Fit<F, In, Out>,
  ): void => {
    const draft = draftOf(target, key);
    const plugin = target.constructor.name;
    if (!isAction(name)) {
      throw failure('INVALID_PLUGIN', {
        plugin,
        reason: `@Action('${name}'): a name is a capital letter and up to 63 of A-Z 0-9 _ -`,
      });
    }
    for (const side of ['input', 'output'] as const)
      refuseUndescribed(plugin, `@Action('${name}'): ${side}`, options[side]);
    draft.actions.push({
      name,
      method: key,
      options: options as ActionOptions,
    });
  };
}

const CORE_EVENTS: readonly string[] = ['REGISTERNODE', 'UNREGISTERNODE', 'HAPPENED'] satisfies (keyof CoreEvents)[];

type Hears<F extends (...args: never[]) => unknown, E extends string> =
  Parameters<F> extends []
    ? unknown
    : [EventOf<E>] extends [Parameters<F>[0]]
      ? OneArgument<F, unknown, Mistake<`The listener of ${E} has a second parameter. It is given the event alone.`>>
      : Mistake<`The parameter of the listener does not take what the event ${E} carries.`>;

/** `Yes` where one argument is enough to call `F`. */
type OneArgument<F extends (...args: never[]) => unknown, Yes, No> =
  Parameters<F> extends readonly [unknown?, ...infer More] ? ([] extends More ? Yes : No) : No;

/** In which instances of a keyed plugin a listener is called: in every live one (`each`, the default), or in `one` of them. */
export interface OnOptions {
  readonly in?: 'each' | 'one';
}

/**
 * Declares a method to be called for each event `event`, one after the other: in one instance of a pool, in every live one of a
 * keyed plugin, or in one of those (`{ in: 'one' }`). An event that goes to one instance waits until one is ready. What it throws is logged and harms nobody else. One that does not keep up loses what comes while 1,000 events
 * wait for it, counted and logged; after 60 s with one event it gets the next.
 */
export function On<E extends keyof Events | (string & Record<never, never>)>(
  event: EventName<E>,
  options: OnOptions = {},
) {
  return <F extends (...args: never[]) => unknown>(
    target: object,
    key: string,
    _descriptor: TypedPropertyDescriptor<F> & Hears<F, E>,
  ): void => {
    draftOf(target, key).listens.push({ event, method: key, ...(options.in === 'one' && { in: 'one' as const }) });
  };
}

type Kills<F extends (...args: never[]) => unknown> =
  Parameters<F> extends []
    ? unknown
    : [KillRequest] extends [Parameters<F>[0]]
      ? OneArgument<F, unknown, Mistake<'The @Kill method has a second parameter. It is given a KillRequest alone.'>>
      : Mistake<'The parameter of the @Kill method does not take a KillRequest.'>;

/**
 * Declares the method that releases what the instance holds, called before KILL ends it. It gets a KillRequest. At most one a
 * class.
 */
export function Kill(options: { readonly graceSeconds: number }) {
  return <F extends (...args: never[]) => unknown>(
    target: object,
    key: string,
    _descriptor: TypedPropertyDescriptor<F> & Kills<F>,
  ): void => {
    draftOf(target, key).kill = { method: key, graceSeconds: options.graceSeconds };
  };
}

/** Declared codes as a list; `title` is undefined for a code without one. */
export function rowCodesOf(codes: DeclaredCodes = {}): { name: string; code: number; title: string | undefined }[] {
  return Object.entries(codes).map(([name, one]) =>
    typeof one === 'object' ? { name, ...one } : { name, code: one, title: undefined },
  );
}

/** The declaration of a decorated class. Throws INVALID_PLUGIN that names the class and what it omits or says twice. */
export function declarationOf(plugin: PluginClass): PluginDeclaration {
  const refuse = (reason: string) =>
    failure('INVALID_PLUGIN', {
      plugin: plugin.name || 'without a name',
      reason,
    });
  const draft = draftOf(plugin.prototype);
  const { options } = draft;
  if (!options) throw refuse('its class has no @Plugin({ type, title })');
  if (!TYPE_PATTERN.test(options.type)) throw refuse(`its type '${options.type}' is not [a-z][a-z0-9-]{0,63}`);
  for (const event of Object.keys(options.events ?? {})) {
    if (!isAction(event)) throw refuse(`its event '${event}' is no capital letter and up to 63 of A-Z 0-9 _ -`);
    if (CORE_EVENTS.includes(event)) throw refuse(`its event ${event} is the core's own`);
  }
  for (const { event, method } of draft.listens) {
    if (!isAction(event)) throw refuse(`${method} listens to '${event}', which can be no event`);
  }
  const names = new Set<string>();
  for (const { name } of draft.actions) {
    if (names.has(name)) throw refuse(`it declares the action ${name} twice`);
    names.add(name);
  }
  for (const { name, code, title } of rowCodesOf(options.codes)) {
    if (title !== undefined && (typeof title !== 'string' || title.trim() === '' || title.length > TITLE_CHARACTERS)) {
      throw refuse(`the title of its code ${name} is empty or longer than ${TITLE_CHARACTERS} characters`);
    }
    if (!Number.isInteger(code) || code < FIRST_PLUGIN_CODE) {
      throw refuse(`its code ${name} is ${code}; codes of a plugin are whole numbers from ${FIRST_PLUGIN_CODE} up`);
    }
  }
  return {
    options,
    actions: draft.actions,
    listens: draft.listens,
    kill: draft.kill,
  };
}
