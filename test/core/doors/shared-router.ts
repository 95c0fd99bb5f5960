import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SharedTrust } from '../../../core/dist/doors/shared-trust.js';
import { type ClientsConfig, Trust } from '../../../core/dist/doors/trust.js';
import { readTrust, type TrustRecord } from '../../../core/dist/doors/trust-file.js';
import { TestClock, until } from './attacker.ts';
import type { FakeTable, TableLink } from './shared-table.ts';

/** A router of a cluster, as far as it is about who may connect: a folder, its trust, and what it has of the table. */
export class SharedRouter {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'shared-trust-'));
  readonly file = path.join(this.folder, 'keys', 'trust.json');
  readonly lines: string[] = [];
  /** Fingerprints whose sessions had to end. */
  readonly ended: string[] = [];
  #running: { trust: Trust; shared: SharedTrust; link: TableLink } | undefined;

  constructor(
    private readonly table: FakeTable,
    readonly clock = new TestClock(),
    private readonly options: {
      authorized?: ClientsConfig['authorized'];
      delay?: () => number;
      written?: (by: SharedRouter, version: number) => void;
    } = {},
  ) {}

  get trust(): Trust {
    return this.#now.trust;
  }

  get shared(): SharedTrust {
    return this.#now.shared;
  }

  get isUp(): boolean {
    return this.#running !== undefined;
  }

  get record(): TrustRecord {
    return readTrust(this.file);
  }

  get #now() {
    if (!this.#running) throw new Error('it does not run');
    return this.#running;
  }

  /** What a command does on the folder while no daemon runs. */
  offline(): Trust {
    return new Trust({ file: this.file, clients: this.#clients, clock: this.clock });
  }

  get #clients(): ClientsConfig {
    return { trust: 'pending', authorized: this.options.authorized ?? [] };
  }

  async start(): Promise<this> {
    const trust = this.offline();
    trust.onRevoked(({ fingerprint }) => this.ended.push(fingerprint));
    const link = this.table.link(this.options.delay);
    const line = (text: unknown) => this.lines.push(String(text));
    const shared = await SharedTrust.open({
      ...{ trust, table: link, clock: this.clock, log: { info: line, warn: line, error: line } },
      written: (version) => this.options.written?.(this, version),
    });
    this.#running = { trust, shared, link };
    return this;
  }

  /** Stops; what it could not write within `ms` is left. */
  async stop(ms = 5000): Promise<void> {
    await this.#running?.shared.close(ms);
    this.#running = undefined;
  }

  /** Ends at once, whatever is under way. */
  async kill(): Promise<void> {
    this.#now.link.isCut = true;
    await this.stop(0);
  }

  async inStep(): Promise<void> {
    await until(() => !this.shared.counters.waiting, 'the trust in step');
  }

  async remove(): Promise<void> {
    await this.stop(0);
    rmSync(this.folder, { recursive: true });
  }
}
