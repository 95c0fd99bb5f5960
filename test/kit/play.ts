import { setTimeout as wait } from 'node:timers/promises';
import { changed, PEERS, reordered, type Step, type Who } from './script.ts';

const LIMIT_MS = Number(process.env.LIMIT_MS ?? 30_000);
const POLL_MS = 1;
/** After these, other requests go on. */
const STIRRING: ReadonlySet<string> = new Set(['OPEN', 'CANCEL', 'KILL', 'RELAY', 'BRIEF']);

/** A router with the plugin `actor`, and peers that are connected to it. */
export interface Router {
  readonly name: string;
  send(who: Who, message: string): void;
  /** All that a peer was sent, in order. */
  heard(who: Who): readonly string[];
}

/** What a script came to: equal for two routers that keep the same promises. */
export interface Played {
  /** The answer to each step. */
  readonly answers: unknown[];
  /** What a peer was sent of the tokens that it follows. */
  readonly followed: Record<string, unknown[]>;
  /** The history of each token. */
  readonly rows: Record<string, unknown[]>;
}

interface Reply {
  readonly verb: string;
  readonly token: string;
  readonly body: Record<string, unknown>;
}

function read(text: string): Reply {
  const [, verb = '', token = '', body = '{}'] = /^\[([A-Z]+)\] \[([^\]]*)\](?: \[\])? (.*)$/s.exec(text) ?? [];
  return { verb, token, body: JSON.parse(body) as Record<string, unknown> };
}

/** Without times, ids, and what is each router's own. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'string') {
    return value.replace(/; did you mean \w+\?/, '.').replace(/(within|waited) \d+ s/, '$1 N s');
  }
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => !['etime', 'ctime', 'hostname', 'version'].includes(key));
  const isRow = 'etime' in value && 'ctime' in value;
  return Object.fromEntries(kept.filter(([key]) => !(isRow && key === 'id')).map(([key, each]) => [key, plain(each)]));
}

/** Plays a script on a router; `run` makes its names different from those of other scripts. */
export async function play(router: Router, script: readonly Step[], run: string): Promise<Played> {
  return new Player(router, run).play(script);
}

class Player {
  readonly #tokens: string[] = [];
  /** The steps that named a token, each with it. */
  readonly #said: { readonly step: Step; readonly token: string }[] = [];
  readonly #watched = new Set<string>();
  readonly #accepted = new Set<string>();
  readonly #read: Record<Who, { readonly from: number; readonly replies: Reply[] }>;
  readonly #ends = new Set<string>();
  #number = 0;

  constructor(
    private readonly router: Router,
    private readonly run: string,
  ) {
    const fresh = (who: Who) => ({ from: router.heard(who).length, replies: [] });
    this.#read = { root: fresh('root'), alice: fresh('alice'), bob: fresh('bob') };
  }

  async play(script: readonly Step[]): Promise<Played> {
    const answers: unknown[] = [];
    for (const step of script) answers.push(await this.#step(step));
    await this.#finish();
    return { answers, followed: this.#followed(), rows: await this.#rows() };
  }

  #name(text: string): string {
    return text
      .replace(/<token:(\w+)>/, (_, at: string) => `${this.run}.${at}`)
      .replace(
        /<(gate|word):([^>]*)>/,
        (_, kind: string, at: string) => `${this.run}.${kind === 'gate' ? 'g' : ''}${at}`,
      );
  }

  #fill(data: unknown): unknown {
    return JSON.parse(JSON.stringify(data), (_, value) => (typeof value === 'string' ? this.#name(value) : value));
  }

  async #step(step: Step): Promise<unknown> {
    if (step.raw !== undefined) return plain((await this.#ask(step.who, step.raw, undefined)).body);
    if (!step.again) {
      const earlier = step.token === 'new' ? undefined : this.#tokens.at(-1 - step.token);
      const token = earlier ?? `${this.run}.${this.#tokens.length}`;
      if (!earlier) this.#tokens.push(token);
      this.#said.push({ step, token });
      return this.#say(step, token);
    }
    const { back, how } = step.again;
    const before = this.#said.at(-1 - back);
    if (!before) return undefined;
    const { data } = before.step;
    const said = how === 'same' ? data : how === 'reordered' ? reordered(data) : changed(data);
    return this.#say({ ...before.step, who: step.who === 'bob' ? 'bob' : before.step.who, data: said }, before.token);
  }

  async #say(step: Step, token: string): Promise<unknown> {
    const data = this.#fill(step.data) as { token?: string; data?: unknown };
    for (const one of [token, ...(data.token === undefined ? [] : [data.token])]) await this.#watch(one);
    const text = `[${step.action}] [${token}] [${step.target}] ${JSON.stringify(data)}`;
    const { body } = await this.#ask(step.who, text, token);
    const isAccepted = body.code === 0 && Object.keys(body.data as object).length === 0;
    if (isAccepted && !['FOLLOW', 'PUTLOG'].includes(step.action)) {
      this.#accepted.add(token);
      if (step.rest === 'ends') await this.#until(`the end of ${text}`, () => this.#ended(token));
      if (step.rest === 'stays' || STIRRING.has(step.action)) await this.#barrier();
    }
    if (body.code === 0 && step.action === 'FOLLOW') await this.#caughtUp(step.who, String(data.token));
    return plain(body);
  }

  /** The rows that a follow finds are read behind its ACK; a later read of the same peer comes after them. */
  async #caughtUp(who: Who, token: string): Promise<void> {
    const number = `${this.run}.c${++this.#number}`;
    await this.#ask(who, `[GETLOG] [${number}] [] ${JSON.stringify({ token })}`, number);
  }

  /** Root follows a token before it is used, and so sees its end. */
  async #watch(token: string): Promise<void> {
    if (this.#watched.has(token)) return;
    this.#watched.add(token);
    const number = `${this.run}.w${++this.#number}`;
    await this.#ask('root', `[FOLLOW] [${number}] [] ${JSON.stringify({ token })}`, number);
  }

  /** All that went to the plugin before has had its turn there. */
  async #barrier(): Promise<void> {
    for (let i = 0; i < 2; i++) await this.#run('ECHO', {});
  }

  async #run(action: string, data: object): Promise<void> {
    const token = `${this.run}.b${++this.#number}`;
    this.#watched.add(token);
    this.router.send('root', `[FOLLOW] [${token}f] [] ${JSON.stringify({ token })}`);
    this.router.send('root', `[${action}] [${token}] [] ${JSON.stringify(data)}`);
    await this.#until(`the end of ${action} ${token}`, () => this.#ended(token));
  }

  /** What a peer was sent during this script. Each message is read once. */
  #replies(who: Who): readonly Reply[] {
    const { from, replies } = this.#read[who];
    for (const text of this.router.heard(who).slice(from + replies.length)) {
      const reply = read(text);
      replies.push(reply);
      if (who === 'root' && reply.verb === 'LOG' && isEnd(reply.body)) this.#ends.add(reply.token);
    }
    return replies;
  }

  #ended(token: string): boolean {
    this.#replies('root');
    return this.#ends.has(token);
  }

  async #ask(who: Who, text: string, token: string | undefined): Promise<Reply> {
    const before = this.#replies(who).length;
    this.router.send(who, text);
    let reply: Reply | undefined;
    await this.#until(`an answer to ${text.slice(0, 200)}`, () => {
      const since = this.#replies(who).slice(before);
      reply = since.find(({ verb, token: of }) => (verb === 'ACK' || verb === 'PONG') && (token ?? of) === of);
      return reply !== undefined;
    });
    return reply as Reply;
  }

  async #until(what: string, condition: () => boolean): Promise<void> {
    const limit = Date.now() + LIMIT_MS;
    while (!condition()) {
      if (Date.now() > limit) throw new Error(`${this.router.name}: not within ${LIMIT_MS} ms: ${what}`);
      await wait(POLL_MS);
    }
  }

  /** Opens every gate and cancels what is open still, so that each token ends. */
  async #finish(): Promise<void> {
    const open = () => [...this.#accepted].filter((token) => !this.#ended(token));
    if (open().length === 0) return;
    await Promise.all([0, 1].map((gate) => this.#run('OPEN', { gate: `${this.run}.g${gate}` })));
    await this.#barrier();
    for (const token of open()) await this.#run('CANCEL', { token });
    await this.#until('every end', () => open().length === 0);
  }

  #followed(): Record<string, unknown[]> {
    const all: Record<string, unknown[]> = {};
    for (const who of Object.keys(PEERS) as Who[]) {
      for (const { verb, token, body } of this.#replies(who)) {
        if (verb !== 'LOG' || token.startsWith(`${this.run}.b`)) continue;
        const name = `${who} ${token}`;
        all[name] = [...(all[name] ?? []), plain(body)];
      }
    }
    return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  async #rows(): Promise<Record<string, unknown[]>> {
    const all: Record<string, unknown[]> = {};
    const tokens = [...this.#watched].filter((token) => !token.startsWith(`${this.run}.b`)).sort();
    const read = async (token: string) => {
      const number = `${this.run}.r${++this.#number}`;
      const { body } = await this.#ask('root', `[GETLOG] [${number}] [] ${JSON.stringify({ token })}`, number);
      all[token] = plain((body.data as { result: unknown[] }).result) as unknown[];
    };
    await Promise.all(tokens.map(read));
    return Object.fromEntries(tokens.map((token) => [token, all[token] ?? []]));
  }
}

function isEnd({ code }: Record<string, unknown>): boolean {
  return code === 1 || code === 2;
}
