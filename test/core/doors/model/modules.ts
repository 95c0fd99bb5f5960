import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { vi } from 'vitest';
import type * as External from '../../../../core/dist/doors/external.js';
import type * as TrustModule from '../../../../core/dist/doors/trust.js';
import type { ListenerOptions } from '../../../../core/dist/doors/zmtp/listener.js';
import type * as ConnectionModule from '../../../../plugin-sdk/client/dist/connection.js';
import type { DealerHandlers, DealerOptions } from '../../../../plugin-sdk/client/dist/dealer/dealer.js';
import type * as AeadModule from '../../../../plugin-sdk/protocol/dist/channel/aead.js';
import type * as Channel from '../../../../plugin-sdk/protocol/dist/channel/index.js';
import type * as Keys from '../../../../plugin-sdk/protocol/dist/channel/keys.js';
import { ROOT } from '../../../daemon-process.ts';
import { Stage, watchedKeys } from './stage.ts';

/** A fault put into a copy of a module under test: `from`, which is there once, becomes `to`. */
export interface Planted {
  readonly module: string;
  readonly from: string;
  readonly to: string;
}

/** The modules under test, both sides of the channel, on a stage of their own. */
export interface Modules {
  readonly stage: Stage;
  readonly door: typeof External;
  readonly trust: typeof TrustModule;
  readonly channel: typeof Channel;
  readonly connection: typeof ConnectionModule;
}

/** The modules that are not their own now. */
const replaced = new Set<string>();
const at = (module: string) => path.join(ROOT, module);

/** The module's source with the fault in it, as a file whose imports still find their way. */
function variantOf({ module, from, to }: Planted, folder: string): string {
  const text = readFileSync(at(module), 'utf8');
  if (text.split(from).length !== 2) throw new Error(`${module} does not hold this once: ${from}`);
  const file = path.join(folder, path.basename(module));
  const imports = /(from |import\()'(\.[^']+)'/g;
  const moved = text
    .replace(from, () => to)
    .replace(/\/\/# sourceMappingURL=.*/, '')
    .replace(imports, (_, word: string, name: string) => `${word}'${path.join(path.dirname(at(module)), name)}'`);
  writeFileSync(file, moved);
  return file;
}

/** Loads the modules again, with one fault in them or none. */
export async function load(rsa: 'real' | 'ideal', planted?: Planted): Promise<Modules> {
  const stage = new Stage();
  const folder = mkdtempSync(path.join(tmpdir(), 'planted-'));
  unload();
  const unaltered = async <T>(module: string): Promise<T> =>
    planted?.module === module ? await import(variantOf(planted, folder)) : await vi.importActual<T>(at(module));
  const replace = (module: string, make: () => unknown) => {
    replaced.add(module);
    vi.doMock(at(module), async () => await make());
  };
  const aead = 'plugin-sdk/protocol/dist/channel/aead.js';
  const keys = 'plugin-sdk/protocol/dist/channel/keys.js';
  try {
    if (planted && planted.module !== aead) replace(planted.module, () => unaltered(planted.module));
    replace(keys, async () => watchedKeys(await unaltered<typeof Keys>(keys), stage, rsa));
    replace(aead, async () => {
      const actual = await unaltered<typeof AeadModule>(aead);
      class Aead extends actual.Aead {
        readonly #key: Uint8Array;
        constructor(...[cipher, key]: ConstructorParameters<typeof actual.Aead>) {
          super(cipher, key);
          this.#key = key;
        }
        override seal(...args: Parameters<AeadModule.Aead['seal']>): void {
          stage.playing.sealing(this.#key, args[2]);
          super.seal(...args);
        }
      }
      return { ...actual, Aead };
    });
    replace('plugin-sdk/client/dist/dealer/dealer.js', () => ({
      IMPLEMENTATION: 'own',
      openDealer: (_: DealerOptions, handlers: DealerHandlers) => stage.playing.dial(handlers),
    }));
    replace('core/dist/doors/zmtp/listener.js', () => ({
      openListener: async (options: ListenerOptions) => stage.playing.listen(options),
    }));
    replace('core/dist/private-file.js', () => ({
      readPrivateFile(file: string) {
        const text = stage.playing.disk.get(file);
        return text === undefined ? undefined : { text, mode: 0o600 };
      },
      writePrivateFile(file: string, text: string) {
        stage.playing.disk.set(file, text);
        return true;
      },
    }));
    const [door, trust, channel, connection] = await Promise.all([
      import('../../../../core/dist/doors/external.js'),
      import('../../../../core/dist/doors/trust.js'),
      import('@centreond/protocol/channel'),
      import('../../../../plugin-sdk/client/dist/connection.js'),
    ]);
    return { stage, door, trust, channel, connection };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Puts the modules back as they are for everybody else. */
export function unload(): void {
  for (const module of replaced) vi.doUnmock(at(module));
  replaced.clear();
  vi.resetModules();
}
