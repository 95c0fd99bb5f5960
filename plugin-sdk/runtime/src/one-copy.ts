import { registerHooks } from 'node:module';
import { SHARED_MODULES } from '@centreond/plugin-sdk/internal';

/** The SDK brings its protocol. */
const SHARED = new RegExp(`^(${[...SHARED_MODULES, '@centreond/protocol'].join('|')})(/|$)`);

/** The core is bundled, and its copies are files of the bundle: by specifier, relative to this module. */
declare const SHARED_IN_BUNDLE: Readonly<Record<string, string>> | undefined;
const bundled = new Map(typeof SHARED_IN_BUNDLE === 'undefined' ? [] : Object.entries(SHARED_IN_BUNDLE));

let isLoaded = false;

/**
 * From here on every import of the SDK, of reflect-metadata and of tsyringe in this process gets the copies that this package uses:
 * two copies would not see each other's decorators and tokens, and a global installation has one for each package.
 * Calling it again does nothing.
 */
export function loadOneCopy(): void {
  if (isLoaded) return;
  isLoaded = true;
  registerHooks({
    resolve: (specifier, context, next) => {
      const file = bundled.get(specifier);
      if (file !== undefined) return next(new URL(file, import.meta.url).href, context);
      return next(specifier, SHARED.test(specifier) ? { ...context, parentURL: import.meta.url } : context);
    },
  });
}
