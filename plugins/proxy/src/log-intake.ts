import { failure, type JsonObject, type Transport } from '@centreond/plugin-sdk';
import type { CarriedRequest } from '@centreond/plugin-sdk/nodes';

/** Messages of one node that the core has and has not answered. */
const UNDER_WAY_LIMIT = 16;

/** What comes up a link that this router opened: rows of the node's log, and nothing else. */
export class LogIntake {
  #underWay = 0;

  constructor(
    private readonly id: string,
    private readonly transport: Transport,
  ) {}

  /** Hands a SETLOGS to the core as the node's, and resolves with its answer. Rejects with its refusal, FORBIDDEN or BUSY. */
  async take({ action, data }: CarriedRequest): Promise<JsonObject> {
    const { id } = this;
    if (action !== 'SETLOGS') {
      const remedy = 'By a link that its parent opened, a node only hands up its log, with SETLOGS.';
      throw failure('FORBIDDEN', { identity: id, what: `ask for ${action}`, remedy });
    }
    if (this.#underWay >= UNDER_WAY_LIMIT) {
      throw failure('BUSY', { what: `the list of messages with rows of ${id}`, limit: UNDER_WAY_LIMIT });
    }
    this.#underWay++;
    try {
      return (await this.transport.send('SETLOGS', data, { target: id })).data;
    } finally {
      this.#underWay--;
    }
  }
}
