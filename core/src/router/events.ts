import type { Manifest } from '@centreond/plugin-sdk/internal';
import { type CoreEvents, failure, formatMessage, parseReply } from '@centreond/protocol';
import type { Chronicle } from '../log/chronicle.ts';
import type { Log } from '../log.ts';
import type { Hearer } from './executor.ts';
import type { Peer } from './peer.ts';
import type { Registry } from './registry.ts';
import type { Verbs } from './verbs.ts';

/** Events that an instance was told and has not taken, and those kept for a plugin of which no instance is ready. */
const PER_LISTENER = 1000;
const LOG_EVERY = 1000;

interface Kept {
  readonly event: string;
  readonly data: string;
}

/**
 * Hands events to every plugin that listens: to one ready instance of a pool, to each live one of a keyed plugin unless it
 * listens in one. What a listener does not take within its bound is dropped, counted and logged; nobody else notices.
 */
export class Events {
  /** Told to an instance and not taken yet, by the instance's process. */
  readonly #untaken = new Map<Hearer, Set<number>>();
  readonly #toldTo = new Map<number, Hearer>();
  /** Kept until an instance is ready, by plugin type. */
  readonly #kept = new Map<string, Kept[]>();
  readonly #droppedOf = new Map<string, number>();
  #number = 0;
  readonly counters = { emitted: 0, delivered: 0, dropped: 0 };

  constructor(
    private readonly registry: Registry,
    private readonly log: Log,
    verbs: Verbs,
    chronicle: Pick<Chronicle, 'onTold'>,
  ) {
    verbs.on('HEARD', 'plugin', (peer, message) => this.#heard(peer, message));
    chronicle.onTold((happening) => this.emit('HAPPENED', { ...happening }));
  }

  /** Emits one of the core's own events. */
  emit<E extends keyof CoreEvents>(event: E, data: CoreEvents[E]): void {
    this.#emit(event, JSON.stringify(data));
  }

  /** Emits an event of the plugin `type`. Throws INVALID_EVENT where it is not declared or `data` does not fit. */
  emitFrom(type: string, event: string, data: object): void {
    const faultOf = this.registry.emitted(type, event);
    const reason = faultOf === undefined ? "it is not among the plugin's declared events" : faultOf(data);
    if (reason !== undefined) throw failure('INVALID_EVENT', { type, event, reason });
    this.#emit(event, JSON.stringify(data), type);
  }

  #emit(event: string, data: string, from?: string): void {
    const emitter = this.registry.plugins.find(({ manifest }) => manifest.type === from)?.manifest;
    this.counters.emitted++;
    for (const { manifest, executor } of this.registry.plugins) {
      const listener = manifest.listens.find((listens) => listens.event === event);
      if (!listener || executor.standsBy) continue;
      // A plugin's own event is its own: it does not hear that of the same package under another type.
      const isSibling =
        manifest.type !== from && (manifest.declaredType ?? manifest.type) === (emitter?.declaredType ?? from);
      if (isSibling && manifest.emits.some(({ name }) => name === event)) continue;
      const hearers = executor.hearers();
      const inEach = 'key' in manifest.instances && listener.in !== 'one';
      if (inEach) for (const hearer of hearers) this.#tell(manifest, hearer, { event, data });
      else if (hearers.length === 0) this.#keep(manifest, { event, data });
      else {
        // The first as long as it keeps up, so that one process sees events in their order.
        const free = hearers.find((hearer) => (this.#untaken.get(hearer)?.size ?? 0) < PER_LISTENER);
        this.#tell(manifest, free ?? (hearers[0] as Hearer), { event, data });
      }
    }
  }

  #tell({ type }: Manifest, hearer: Hearer, { event, data }: Kept): void {
    const number = ++this.#number;
    if (!hearer.inCore) {
      const untaken = this.#untakenBy(hearer);
      if (untaken.size >= PER_LISTENER) {
        this.#drop(type, event, 'its instance does not take them');
        return;
      }
      untaken.add(number);
      this.#toldTo.set(number, hearer);
    }
    this.counters.delivered++;
    hearer.send(formatMessage('EVENT', event, String(number), data));
  }

  #untakenBy(hearer: Hearer): Set<number> {
    let untaken = this.#untaken.get(hearer);
    if (!untaken) {
      untaken = new Set();
      this.#untaken.set(hearer, untaken);
    }
    return untaken;
  }

  #keep({ type }: Manifest, kept: Kept): void {
    const queue = this.#kept.get(type) ?? [];
    this.#kept.set(type, queue);
    if (queue.length < PER_LISTENER) queue.push(kept);
    else this.#drop(type, kept.event, 'none of its instances is ready');
  }

  #drop(type: string, event: string, why: string): void {
    this.counters.dropped++;
    const dropped = (this.#droppedOf.get(type) ?? 0) + 1;
    this.#droppedOf.set(type, dropped);
    if (dropped % LOG_EVERY !== 1) return;
    this.log.warn(
      { plugin: type, event, dropped },
      `events for the plugin ${type} are dropped, ${dropped} so far: ${why}, and ${PER_LISTENER} wait already`,
    );
  }

  /** An instance of `type` is ready: it gets what was kept for it. */
  ready(type: string, hearer: Hearer): void {
    const manifest = this.registry.plugins.find((plugin) => plugin.manifest.type === type)?.manifest;
    const kept = this.#kept.get(type);
    this.#kept.delete(type);
    if (manifest) for (const one of kept ?? []) this.#tell(manifest, hearer, one);
  }

  /** The process of an instance ended: what it had not taken is gone with it. */
  gone(hearer: Hearer): void {
    for (const number of this.#untaken.get(hearer) ?? []) this.#toldTo.delete(number);
    this.#untaken.delete(hearer);
  }

  /** An instance says that it has taken an event. */
  #heard(peer: Peer, message: Buffer): true {
    const number = Number(parseReply(message.toString('latin1')).target);
    const hearer = this.#toldTo.get(number);
    if (hearer && peer.identity === `@${hearer.type}`) {
      this.#toldTo.delete(number);
      this.#untaken.get(hearer)?.delete(number);
    }
    return true;
  }
}
