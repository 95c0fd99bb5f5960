import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPublicKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import type { Listener, ListenerOptions } from '../../../../core/dist/doors/zmtp/listener.js';
import type { Dealer, DealerHandlers } from '../../../../plugin-sdk/client/dist/dealer/dealer.js';
import type * as Keys from '../../../../plugin-sdk/protocol/dist/channel/keys.js';

/** What the modules under test meet in the place of sockets, disk and thread pool. A scene plays at a time. */
export interface Scenery {
  listen(options: ListenerOptions): Pick<Listener, 'endpoint' | 'counters' | 'load' | 'close'>;
  dial(handlers: DealerHandlers): Dealer;
  readonly disk: Map<string, string>;
  /** A record is about to be sealed. */
  sealing(key: Uint8Array, nonce: Buffer): void;
  /** The router is about to use its private key. */
  opening(box: Buffer): void;
  signing(): void;
  /** The router verified a client's signature by the key with this modulus. */
  verified(modulus: string, label: string, h: Buffer): void;
}

export class Stage {
  scenery: Scenery | undefined;
  /** Computations under way that are not held. */
  computing = 0;
  /** Which computations of the router wait until they are released. */
  holding: 'none' | 'auths' | 'all' = 'none';
  readonly #held: (() => void)[] = [];

  get playing(): Scenery {
    if (!this.scenery) throw new Error('no scene is playing');
    return this.scenery;
  }

  get held(): number {
    return this.#held.length;
  }

  /** Lets one computation that is held go on. */
  release(pick: number): void {
    const [go] = this.#held.splice(pick % Math.max(1, this.#held.length), 1);
    go?.();
  }

  releaseAll(): void {
    this.holding = 'none';
    while (this.#held.length > 0) this.release(0);
  }

  async compute<T>(whose: 'client' | 'router' | 'auth', work: () => T | Promise<T>): Promise<T> {
    const isHeld = this.holding === 'all' ? whose !== 'client' : this.holding === 'auths' && whose === 'auth';
    if (isHeld) await new Promise<void>((resolve) => this.#held.push(resolve));
    this.computing++;
    try {
      return await work();
    } finally {
      this.computing--;
    }
  }
}

const moduli = new WeakMap<KeyObject, string>();

function modulusOf(key: KeyObject): string {
  let n = moduli.get(key);
  if (n === undefined) {
    n = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' }).n ?? '';
    moduli.set(key, n);
  }
  return n;
}

/** RSA as a proof assumes it: nobody signs or opens without the private key. Some hundred times quicker than RSA. */
function idealRsa(): Pick<typeof Keys, 'signPss' | 'verifyPss' | 'sealBox' | 'openBox'> {
  const secret = randomBytes(32);
  const under = (key: KeyObject, use: string) =>
    createHmac('sha256', secret)
      .update(`${use}\0${modulusOf(key)}`)
      .digest();
  const sign = (key: KeyObject, label: string, h: Buffer) => createHmac('sha256', under(key, label)).update(h).digest();
  return {
    signPss: async (key, label, h) => sign(key, label, h),
    verifyPss: async (key, label, h, signature) => sign(key, label, h).equals(signature),
    async sealBox(key, plaintext) {
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', under(key, 'box'), nonce);
      const text = Buffer.concat([cipher.update(plaintext), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), text]);
    },
    async openBox(key, box) {
      const decipher = createDecipheriv('aes-256-gcm', under(key, 'box'), box.subarray(0, 12));
      decipher.setAuthTag(box.subarray(12, 28));
      return Buffer.concat([decipher.update(box.subarray(28)), decipher.final()]);
    },
  };
}

/** The keys module, whose operations the stage sees and may hold. */
export function watchedKeys(actual: typeof Keys, stage: Stage, rsa: 'real' | 'ideal'): typeof Keys {
  const { signPss, verifyPss, sealBox, openBox } = rsa === 'ideal' ? idealRsa() : actual;
  return {
    ...actual,
    signPss(key, label, h) {
      const isRouters = label === 'router key';
      if (isRouters) stage.playing.signing();
      return stage.compute(isRouters ? 'router' : 'client', () => signPss(key, label, h));
    },
    verifyPss(key, label, h, signature) {
      const isRouters = label !== 'router key';
      const whose = label === 'client auth' ? 'auth' : isRouters ? 'router' : 'client';
      return stage.compute(whose, async () => {
        const isGood = await verifyPss(key, label, h, signature);
        if (isGood && isRouters) stage.playing.verified(modulusOf(key), label, h);
        return isGood;
      });
    },
    sealBox: (key, plaintext) => stage.compute('client', () => sealBox(key, plaintext)),
    openBox(key, box) {
      stage.playing.opening(box);
      return stage.compute('router', () => openBox(key, box));
    },
  };
}
