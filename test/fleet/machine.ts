import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { keyPairOf } from '@centreond/protocol/channel';
import { DaemonProcess, type DaemonSettings, ROOT } from '../daemon-process.ts';
import { rsaKey } from '../rsa-keys.ts';
import type { Host } from './network.ts';

export const PROBE = path.join(ROOT, 'test/fixtures/probe');
export const PULL = path.join(ROOT, 'plugins/pull');
export const PROXY = path.join(ROOT, 'plugins/proxy');
const PORT = 5555;
/** Ends a daemon when the process that tests is gone, however that ended. */
export const WITH_PARENT = existsSync('/usr/bin/setpriv') ? ['/usr/bin/setpriv', '--pdeathsig', 'KILL'] : [];

export interface RouterKey {
  readonly pem: string;
  readonly fingerprint: string;
}

/** A router's key. */
export function routerKey(): RouterKey {
  const pem = rsaKey();
  return { pem, fingerprint: keyPairOf(pem).thumbprint };
}

export interface MachineOptions extends DaemonSettings {
  readonly id: string;
  readonly host: Host;
  readonly key: RouterKey;
  /** Whether others connect to it. */
  readonly door: boolean;
  /** What its daemon is started with besides, as a clock of its own. */
  readonly wrapper?: readonly string[];
}

/** A daemon on a machine of its own. Its address and its key are known before it starts. */
export class Machine extends DaemonProcess {
  readonly id: string;
  readonly host: Host;
  /** Put before the daemon's command; may change between two starts. */
  wrapper: readonly string[];
  readonly #key: RouterKey;

  constructor({ id, host, key, door, wrapper = [], core, ...settings }: MachineOptions) {
    const external = door ? { listen: `tcp://${host.address}:${PORT}` } : undefined;
    super({ trust: 'strict', ...settings, core: { id, external, log: { level: 'warn' }, ...core } });
    this.id = id;
    this.host = host;
    this.wrapper = wrapper;
    this.#key = key;
    const keys = path.join(this.folder, 'var/keys');
    mkdirSync(keys, { recursive: true, mode: 0o700 });
    writeFileSync(path.join(keys, 'router.pem'), key.pem, { mode: 0o600 });
    this.settings.plugins = [this.probe(), ...(settings.plugins ?? [])];
  }

  override get fingerprint(): string {
    return this.#key.fingerprint;
  }
  override get endpoint(): string {
    return `tcp://${this.host.address}:${PORT}`;
  }
  /** Where a wire to this machine ends. */
  get socketAddress(): { address: string; port: number } {
    return { address: this.host.address, port: PORT };
  }
  /** Whether its daemon was started and has not been ended since. */
  running = false;

  /** The probe plugin with a ledger of its runs. */
  probe(): object {
    return {
      package: PROBE,
      restart: { max: 1000, within: '1s' },
      startTimeout: '180s',
      config: { ledger: path.join(this.folder, 'ledger') },
    };
  }

  /** Starts it on its machine. */
  override async start(): Promise<this> {
    await super.start([...this.host.wrapper, ...WITH_PARENT, ...this.wrapper]);
    this.running = true;
    return this;
  }

  override async end(signal?: NodeJS.Signals): Promise<number | null> {
    this.running = false;
    return super.end(signal);
  }

  /** Resident memory of its daemon, in bytes. */
  get memory(): number {
    const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.pid}/status`, 'latin1'))?.[1];
    return Number(kilobytes) * 1024;
  }
}
