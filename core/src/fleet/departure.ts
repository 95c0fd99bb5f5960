import type { ActionManifest, CentreondError, JsonObject } from '@centreond/plugin-sdk';
import { Answer, type Asked, type Runner } from '../host/plugin-host.ts';
import type { Guarded } from '../router/authorize.ts';
import { type Envelope, ownerOf } from '../router/envelope.ts';
import type { Peer } from '../router/peer.ts';
import type { OpenRequest } from '../router/request.ts';
import type { Forwarding } from './forwarding.ts';

/** The node ends an aborted request, and its row needs time to get here. */
const ABORT_GRACE_MS = 60_000;

/** Runs one request on another node. */
export class Departure implements Runner {
  readonly elsewhere = true;
  readonly abortGraceMs = ABORT_GRACE_MS;
  #held = 0;

  constructor(
    private readonly forwarding: Forwarding,
    private readonly target: string,
    private readonly envelope: Envelope,
  ) {}

  admit(action: ActionManifest, data: JsonObject, _peer: Peer, owner: string): CentreondError | undefined {
    const { forwarding, target, envelope } = this;
    const refusal = forwarding.refusal(action.name, target, envelope, owner);
    if (!refusal && envelope.hold && forwarding.waits(target, envelope)) {
      this.#held = JSON.stringify(data).length;
      forwarding.countHeld(owner, this.#held, 1);
    }
    return refusal;
  }

  async ask(action: ActionManifest, data: JsonObject, peer: Peer, { token }: Asked): Promise<Answer> {
    const { forwarding, target, envelope } = this;
    const owner = ownerOf(peer, envelope);
    const refusal = forwarding.refusal(action.name, target, { ...envelope, hold: false }, owner);
    if (refusal) throw refusal;
    // A read gets a token of its own there: the caller's may name a request that is on its way.
    const own = action.effects === 'read' ? '' : token;
    const request = { action: action.name, token: own, target, data: JSON.stringify(data) };
    return new Answer(await forwarding.ask(request, owner, envelope));
  }

  submit(open: OpenRequest): void {
    const held = this.#held > 0;
    this.#held = 0;
    this.forwarding.submit(open, this.envelope, held);
  }

  abort(open: OpenRequest): void {
    this.forwarding.cancel(open, this.envelope);
  }

  withdraw(open: OpenRequest): void {
    if (this.#held > 0) this.forwarding.countHeld(open.owner, this.#held, -1);
    this.#held = 0;
    this.forwarding.forget(open);
  }
}

/** What is known of an action that nobody here declares: the node decides. */
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
