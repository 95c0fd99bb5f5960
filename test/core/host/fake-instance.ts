import { type CentreondError, parseReply } from '@centreond/protocol';
import type { InstanceEvents, InstanceOptions, InstanceProcess } from '../../../core/dist/host/instance.js';

/** What a process was given to run. */
export interface Given {
  readonly action: string;
  readonly token: string;
  /** Set if it answers in the ACK. */
  readonly number: string;
}

/** A process of a plugin without a process: a test says when it is ready, what it answers and how it dies. */
export class FakeInstance implements InstanceProcess {
  readonly type: string;
  readonly pid = undefined;
  readonly startedAt = Date.now();
  readonly tail: readonly string[] = [];
  wasReady = false;
  gone = false;
  /** What it runs. */
  readonly running: Given[] = [];
  readonly aborted: string[] = [];
  condemnedFor: string | undefined;

  constructor(
    readonly options: InstanceOptions,
    readonly events: InstanceEvents,
    private readonly onGiven: (given: Given, instance: FakeInstance) => void = () => {},
  ) {
    this.type = options.type;
  }

  ready(): void {
    if (this.gone) return;
    this.wasReady = true;
    this.events.ready();
  }

  send(message: string): void {
    const { action, token, target } = parseReply(message);
    if (action === 'ABORT') this.aborted.push(token);
    else if (!['BEAT', 'RELEASE', 'STOP', 'EVENT', 'STORED'].includes(action)) {
      const given = { action, token, number: target };
      this.running.push(given);
      this.onGiven(given, this);
    }
  }

  /** Says `code` of what it was given; a terminal one is over with it. */
  say(given: Given, code: number, data: unknown = code === 1 ? { error: 'NO', message: 'no' } : {}): void {
    if (this.gone) return;
    if (code === 1 || code === 2) this.running.splice(this.running.indexOf(given), 1);
    const name = given.number === '' ? given.token : `?${given.number}`;
    void this.events.said(name, code, typeof data === 'string' ? data : JSON.stringify(data));
  }

  /** Reports on itself, as its process would by this message. */
  report(message: string): void {
    try {
      const fault = this.events.reported(parseReply(message), (text) => text);
      if (fault !== undefined) this.condemn(`it sent ${fault}`);
    } catch (error) {
      this.condemn(`it sent a malformed message: ${String(error)}`);
    }
  }

  /** For a bystander, another plugin of its process was the cause. */
  exit(cause: string, isBystander = false): void {
    if (this.gone) return;
    this.gone = true;
    this.events.exited(this.condemnedFor ?? cause, isBystander);
  }

  condemn(what: string): void {
    this.condemnedFor ??= what;
    this.exit(what);
  }

  async release(_id: string, _reason: CentreondError, _graceMs: number): Promise<void> {}

  async stop(_limitMs: number): Promise<void> {
    await Promise.resolve();
    this.exit('stopped');
  }

  kill(signal: NodeJS.Signals): void {
    queueMicrotask(() => this.exit(`signal ${signal}`));
  }
}
