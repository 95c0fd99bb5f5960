import type { TrustTable } from '../../../core/dist/doors/shared-trust.js';

/** The table of a cluster, in memory. */
export class FakeTable {
  version = 0;
  record = '';
  /** Nobody reaches it. */
  isAway = false;
  /** So many writes meet another version, which a router of no name wrote just before. */
  conflicts = 0;
  /** So many writes are done, and their answers lost. */
  lostAnswers = 0;

  /** The table as one router reaches it; `delay` says how many turns of the event loop a call takes on each way. */
  link(delay: () => number = () => 1): TableLink {
    return new TableLink(this, delay);
  }
}

/** What one router has of the table. */
export class TableLink implements TrustTable {
  isCut = false;

  constructor(
    private readonly table: FakeTable,
    private readonly delay: () => number,
  ) {}

  async readTrust(): Promise<{ version: number; record: string } | undefined> {
    await this.#way();
    const { version, record } = this.table;
    await this.#way();
    return version === 0 ? undefined : { version, record };
  }

  async writeTrust(record: string, over: number): Promise<boolean> {
    await this.#way();
    if (this.table.conflicts > 0) {
      this.table.conflicts--;
      this.table.version++;
      this.table.record ||= '{"version":1,"accepted":[],"revoked":[]}';
    }
    const isWritten = this.table.version === over;
    if (isWritten) Object.assign(this.table, { version: over + 1, record });
    const isLost = this.table.lostAnswers > 0;
    if (isLost) this.table.lostAnswers--;
    await this.#way();
    if (isLost) throw new Error('the server closed the connection');
    return isWritten;
  }

  async #way(): Promise<void> {
    for (let turns = this.delay(); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
    if (this.isCut || this.table.isAway) throw new Error('PostgreSQL is not there');
  }
}
