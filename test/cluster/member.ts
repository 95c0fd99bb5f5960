import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { keyPairOf } from '@centreond/protocol/channel';
import { DaemonProcess, ROOT } from '../daemon-process.ts';
import { processesOf } from '../faults/ledger.ts';
import { PULL, WITH_PARENT } from '../fleet/machine.ts';
import { rsaKey } from '../rsa-keys.ts';

const PROBE = path.join(ROOT, 'test/fixtures/probe');

/** A daemon whose key is known before it starts, with the probe plugin, which writes a line for each run into a ledger. */
export class Member extends DaemonProcess {
  readonly id: string;
  readonly #fingerprint: string;
  /** What {@link pause} has stopped. */
  #paused: number[] = [];

  constructor(id: string, core: object, plugins: object[] = []) {
    super({ trust: 'strict', core: { id, log: { level: 'info' }, ...core } });
    this.id = id;
    const ledger = path.join(this.folder, 'ledger');
    const probe = { package: PROBE, restart: { max: 1000, within: '1s' }, startTimeout: '180s', config: { ledger } };
    this.settings.plugins = [probe, ...plugins];
    const pem = rsaKey();
    this.#fingerprint = keyPairOf(pem).thumbprint;
    const keys = path.join(this.folder, 'var/keys');
    mkdirSync(keys, { recursive: true, mode: 0o700 });
    writeFileSync(path.join(keys, 'router.pem'), pem, { mode: 0o600 });
  }

  override get fingerprint(): string {
    return this.#fingerprint;
  }

  /** Whether its daemon runs, as far as it was not ended by itself. */
  running = false;

  override async start(): Promise<this> {
    await super.start(WITH_PARENT);
    this.running = true;
    void this.ended().then(() => {
      this.running = false;
    });
    return this;
  }

  override async end(signal?: NodeJS.Signals): Promise<number | null> {
    this.running = false;
    this.resume();
    return super.end(signal);
  }

  /** Stops the daemon; with all that it started, as a machine that is suspended does, unless `isWhole` is false. */
  pause(isWhole = true): void {
    this.#paused = [this.pid, ...(isWhole ? processesOf(this) : [])];
    for (const pid of this.#paused) signal(pid, 'SIGSTOP');
  }

  resume(): void {
    for (const pid of this.#paused.splice(0)) signal(pid, 'SIGCONT');
  }

  /** The tokens that ran here, once for each run. */
  get ledger(): string[] {
    const file = path.join(this.folder, 'ledger');
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    // It ended by itself meanwhile.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** What a router is started with. */
export interface RouterPlan {
  readonly id: string;
  readonly port: number;
  /** The URL of its database for the process of that name. */
  readonly url: (process: string) => string;
  /** core.cluster, as far as there is one; `credentials` are what their file has. */
  readonly cluster: { readonly name: string; readonly nats: string; readonly credentials?: string } | undefined;
}

/** A router of a cluster. Each of its starts is a process with a name of its own, which PostgreSQL is told. */
export class Router extends Member {
  readonly #plan: RouterPlan;
  #starts = 0;

  constructor(plan: RouterPlan) {
    const { id, port, cluster } = plan;
    const address = `tcp://127.0.0.1:${port}`;
    const { credentials, ...told } = cluster ?? {};
    super(id, {
      store: { driver: 'postgres', url: 'file:./postgres-url' },
      external: { listen: address, advertise: address },
      ...(cluster && { cluster: { ...told, ...(credentials && { credentials: 'file:./nats-credentials' }) } }),
    });
    if (credentials) this.#secret('nats-credentials', credentials);
    this.#plan = plan;
  }

  /** The name of the process that runs, or ran last. */
  get process(): string {
    return `${this.id}.${this.#starts}`;
  }

  override get endpoint(): string {
    return `tcp://127.0.0.1:${this.#plan.port}`;
  }

  override async start(): Promise<this> {
    this.#starts++;
    this.#secret('postgres-url', this.#plan.url(this.process));
    return super.start();
  }

  #secret(name: string, text: string): void {
    writeFileSync(path.join(this.folder, name), `${text}\n`, { mode: 0o600 });
  }
}

/** A node that connects to a router, and to others where that is lost. */
export class PulledNode extends Member {
  constructor(id: string, router: Router, others: readonly Router[]) {
    const door = ({ endpoint: address, fingerprint }: Router) => ({ address, fingerprint });
    const config = { router: door(router), ...(others.length > 0 && { others: others.map(door) }) };
    super(id, { external: undefined }, [{ package: PULL, allowCore: true, config }]);
  }
}
