import type { ErrorData } from './errors.ts';
import type { JsonObject } from './frame.ts';
import type { Mistake } from './mistake.ts';
import type { Actions, Events } from './names.ts';

/** Any other text, so that an editor still completes the known names. */
type OtherText = string & Record<never, never>;

/** `Known` once the declaration file of `centreond-plugin types` is among the compiled files, else `Open`. */
type IfKnown<Known, Open> = [keyof Actions] extends [never] ? Open : Known;

/** Nothing to object to in `A`, or the sentence that the compiler prints. */
type CheckedAction<A extends string> = string extends A
  ? unknown
  : A extends keyof Actions
    ? unknown
    : Mistake<`No installed plugin declares the action ${A}. Run centreond-plugin types again after installing one.`>;

type CheckedEvent<E extends string> = string extends E
  ? unknown
  : E extends keyof Events
    ? unknown
    : Mistake<`No installed plugin declares the event ${E}. Declare it in @Plugin({ events }), build, and run centreond-plugin types again.`>;

type ActionInput<A> = A extends keyof Actions ? (Actions[A] extends { input: infer I } ? I : object) : object;
type ActionOutput<A extends keyof Actions> = Actions[A] extends { output: infer O } ? O : unknown;
type EventData<E> = E extends keyof Events ? Events[E] : object;

/** How the request of a known action ended: with its output, or with an error. */
type KnownOutcome<A, Outcome> = A extends keyof Actions
  ? Omit<Outcome, 'ok' | 'data'> & ({ ok: true; data: ActionOutput<A> } | { ok: false; data: ErrorData })
  : Outcome;

/** The ACK of a known action: its output if it answers in the ACK. */
type KnownAck<A, Ack> = A extends keyof Actions
  ? Omit<Ack, 'data'> & { data: Actions[A] extends { reply: 'ack' } ? ActionOutput<A> : JsonObject }
  : Ack;

/** `data` and the options: a plugin's transport asks for `data`, a client only where the action's input needs a field. */
type Arguments<Data, Options, MayOmit> = [MayOmit] extends [true]
  ? Record<never, never> extends Data
    ? [data?: Data, options?: Options]
    : [data: Data, options?: Options]
  : [data: Data, options?: Options];

/** The type of `call`. */
export type Call<Options, Outcome, MayOmit = false> = IfKnown<
  <A extends Extract<keyof Actions, string> | OtherText>(
    action: A & CheckedAction<A>,
    ...rest: Arguments<ActionInput<A>, Options, MayOmit>
  ) => Promise<KnownOutcome<A, Outcome>>,
  (action: string, ...rest: Arguments<object, Options, MayOmit>) => Promise<Outcome>
>;

/** The type of `send`. */
export type Send<Options, Ack, MayOmit = false> = IfKnown<
  <A extends Extract<keyof Actions, string> | OtherText>(
    action: A & CheckedAction<A>,
    ...rest: Arguments<ActionInput<A>, Options, MayOmit>
  ) => Promise<KnownAck<A, Ack>>,
  (action: string, ...rest: Arguments<object, Options, MayOmit>) => Promise<Ack>
>;

/** The type of `emit`. */
export type Emit = IfKnown<
  <E extends keyof Events | OtherText>(event: E & CheckedEvent<E>, data: EventData<E>) => Promise<void>,
  (event: string, data: object) => Promise<void>
>;

/** An event's name as `@On` takes it. */
export type EventName<E extends string> = E & IfKnown<CheckedEvent<E>, unknown>;
/** What a listener of `E` is given; `never`, which every parameter takes, if that is not known. */
export type EventOf<E extends string> = E extends keyof Events ? Events[E] : never;
