import { setTimeout as wait } from 'node:timers/promises';
import type { ActionManifest, Manifest } from '@centreond/plugin-sdk/internal';
import { FAILED, FINISHED, failure, isCentreondError } from '@centreond/protocol';
import type { ContractOptions } from './contract.ts';
import type { Findings } from './findings.ts';
import type { Leftovers } from './host.ts';
import { signal } from './processes.ts';
import { Samples } from './samples.ts';
import type { TestOutcome, TestRouter } from './test-router.ts';

const POLL_MS = 20;
const TAKEN_LIMIT = 5;
/** For an action that runs `here` there is a node that it works on. */
export const CALLER = { roles: ['admin', 'plugin'], target: 'node' } as const;

/** A running plugin. */
export interface Subject {
  readonly router: TestRouter;
  leftovers(): Promise<Leftovers>;
  end(): Promise<void>;
}

/** An action with an input to run it with. */
export interface Example {
  readonly action: string;
  readonly input: object;
}

/** The inputs that each action is run with: the author's, else the smallest and the fullest that its schema allows. */
export function examplesOf({ actions }: Manifest, { examples = {} }: ContractOptions): Example[] {
  return actions
    .filter(({ reply }) => reply === 'row')
    .flatMap(({ name, input }) => {
      const samples = new Samples(input);
      const made = [samples.minimal(), samples.full()].filter((each) => each !== undefined);
      const distinct = made.filter((each, i) => i === 0 || JSON.stringify(each) !== JSON.stringify(made[0]));
      return (examples[name] ?? distinct).map((each) => ({ action: name, input: each }));
    });
}

/** Checks each action in turn, in a plugin that `start` starts (again, where it has ended). */
export async function checkActions(
  manifest: Manifest,
  findings: Findings,
  options: ContractOptions,
  start: () => Promise<Subject | undefined>,
): Promise<void> {
  const check = new ActionCheck(findings, options, start);
  try {
    for (const action of manifest.actions.filter(({ reply }) => reply === 'row')) {
      if (!(await check.running())) return;
      await check.action(action, examplesOf({ ...manifest, actions: [action] }, options));
    }
  } finally {
    await check.over();
  }
}

class ActionCheck {
  #subject: Subject | undefined;
  #before: Leftovers = { processes: [], files: [] };

  constructor(
    readonly findings: Findings,
    readonly options: ContractOptions,
    private readonly start: () => Promise<Subject | undefined>,
  ) {}

  get #graceMs(): number {
    return this.options.graceMs ?? 6000;
  }

  /** The plugin, started where it does not run. */
  async running(): Promise<Subject | undefined> {
    if (this.#subject?.router.gone) await this.over();
    if (!this.#subject) {
      this.#subject = await this.start();
      if (this.#subject) this.#before = await this.#subject.leftovers();
    }
    return this.#subject;
  }

  /** Ends the plugin and reads what it wrote too late. */
  async over(): Promise<void> {
    const subject = this.#subject;
    if (!subject) return;
    await wait(this.options.settleMs ?? 200);
    this.#subject = undefined;
    await subject.end();
    for (const { token, action, code } of subject.router.late) {
      if (subject.router.abandoned.includes(token)) continue;
      this.findings.add(
        'ROW_AFTER_END',
        `${action}: it wrote a row of code ${code} after the end of its token; the router drops it`,
        action,
      );
    }
  }

  async action(action: ActionManifest, examples: readonly Example[]): Promise<void> {
    const { name } = action;
    const { open = [], examples: given = {} } = this.options;
    const samples = new Samples(action.input);
    if (!open.includes(name)) for (const at of samples.open('input')) this.findings.unknownKeys(at, name);
    await this.#wrongInputs(action, samples);
    const refusals: string[] = [];
    for (const { input } of examples) {
      const ran = await this.#run(name, input);
      if (ran === undefined) continue;
      if (typeof ran === 'string') {
        refusals.push(`${JSON.stringify(input)}: ${ran}`);
        continue;
      }
      await this.#abort(name, input, 0);
      await this.#abort(name, input, Math.min(ran.tookMs / 2, 50));
    }
    if (given[name]) {
      for (const refusal of refusals)
        this.findings.add('EXAMPLE_REFUSED', `${name}: it refuses the example ${refusal}`, name);
    } else if (refusals.length === examples.length) {
      // Of what was made from the schema one is enough.
      const tried = refusals.length === 0 ? 'none could be made from its schema.' : `it refuses ${refusals.join(' ')}`;
      this.findings.add(
        'NO_EXAMPLE',
        `${name}: no valid input is known: ${tried} Give one in the option examples.`,
        name,
      );
    }
    await this.#cleanUp(name);
  }

  /** What the router would refuse goes to the plugin all the same: its own schema must refuse it too. */
  async #wrongInputs({ name, unexpressed }: ActionManifest, samples: Samples): Promise<void> {
    const taken = new Set<string>();
    for (const { path, what, value } of samples.wrong('input')) {
      if (taken.size >= TAKEN_LIMIT) break; // each of them ran
      const outcome = await this.#outcome(name, value, true);
      if (!outcome || (outcome.data as { error?: string }).error === 'INVALID_DATA') continue;
      // What the manifest names there is known to differ: a coercion, a preprocess, a default in place of what is wrong.
      if (!unexpressed.some((each) => each.startsWith(`${path}:`))) taken.add(`${path} (${what})`);
    }
    if (taken.size === 0) return;
    const shown = [...taken].join(', ');
    this.findings.add(
      'WRONG_INPUT_TAKEN',
      `${name}: its own schema takes what its JSON Schema refuses: ${shown}`,
      name,
    );
  }

  /** A run with a valid input: how long it took, why it was refused, or undefined where there is no more to try with it. */
  async #run(name: string, input: object): Promise<{ tookMs: number } | string | undefined> {
    const before = Date.now();
    let outcome: TestOutcome | undefined;
    try {
      outcome = await this.#outcome(name, input, false);
    } catch (error) {
      if (isCentreondError(error)) return error.message;
      throw error;
    }
    if (!outcome) return undefined;
    const { error, message = '' } = outcome.data as { error?: string; message?: string };
    if (!outcome.ok && error === 'INVALID_DATA') return message;
    if (!outcome.ok && error === 'INVALID_OUTPUT') this.findings.add('INVALID_OUTPUT', `${name}: ${message}`, name);
    return { tookMs: Date.now() - before };
  }

  /** How a request ended that is aborted once it takes longer than a run may; undefined where it did not, or the plugin died. */
  async #outcome(name: string, input: object, unchecked: boolean): Promise<TestOutcome | undefined> {
    const subject = await this.running();
    if (!subject) return undefined;
    const { router } = subject;
    const { runMs = 1000 } = this.options;
    const token = router.send(name, input, { ...CALLER, unchecked });
    await this.#untilEnded(router, token, runMs);
    if (router.open.includes(token) && !(await this.#mustEnd(router, name, token, input))) return undefined;
    const rows = router.history.rows.filter((row) => row.token === token);
    const row = rows.at(-1);
    if (!row) return undefined;
    const { error, message } = row.data as { error?: string; message?: string };
    if (row.code === 1 && error === 'PLUGIN_CRASHED') {
      this.findings.add('CRASHED', `${name}: ${message} It was given ${JSON.stringify(input)}.`, name);
      return undefined;
    }
    const ok = row.code === FINISHED;
    return { token, ok, code: ok ? FINISHED : FAILED, data: row.data, row, rows };
  }

  async #abort(name: string, input: object, afterMs: number): Promise<void> {
    const subject = await this.running();
    if (!subject) return;
    const token = subject.router.send(name, input, CALLER);
    if (afterMs > 0) await wait(afterMs);
    await this.#mustEnd(subject.router, name, token, input);
  }

  /** Aborts a request, which must then end within the grace; else the plugin is started afresh. */
  async #mustEnd(router: TestRouter, name: string, token: string, input: object): Promise<boolean> {
    router.abort(token, failure('CANCELLED', { token, by: 'the contract check' }));
    const graceMs = this.#graceMs;
    await this.#untilEnded(router, token, graceMs);
    if (!router.open.includes(token) && !router.abandoned.includes(token)) return true;
    this.findings.add(
      'ABORT_IGNORED',
      `${name}: its token does not end within ${graceMs / 1000} s of the abort, with ${JSON.stringify(input)}; pass the signal of its context on to whatever waits`,
      name,
    );
    await this.over();
    return false;
  }

  async #untilEnded(router: TestRouter, token: string, limitMs: number): Promise<void> {
    if (!router.open.includes(token)) return;
    await new Promise<void>((resolve) => {
      let stop = () => {};
      const done = () => {
        clearTimeout(timer);
        stop();
        resolve();
      };
      const timer = setTimeout(done, limitMs);
      stop = router.history.follow(token, 0, ({ code }) => (code === 1 || code === 2) && setImmediate(done));
    });
  }

  /** What the action started and wrote must be gone within the grace; what is not is found, and removed. */
  async #cleanUp(name: string): Promise<void> {
    const subject = this.#subject;
    if (!subject || subject.router.gone) return;
    const known = new Set(this.#before.processes.map(({ pid }) => pid));
    const limit = Date.now() + this.#graceMs;
    for (;;) {
      const { processes, files } = await subject.leftovers();
      const left = processes.filter(({ pid }) => !known.has(pid));
      const written = files.filter((file) => !this.#before.files.includes(file));
      if (left.length === 0 && written.length === 0) return;
      if (Date.now() > limit) {
        this.findings.left(left, written, 'after its last token had ended', name);
        for (const { pid } of left) signal(pid, 'SIGKILL');
        this.#before = { processes: this.#before.processes, files };
        return;
      }
      await wait(POLL_MS);
    }
  }
}
