import { registerHooks } from 'node:module';

const SHARED = /^(@centreond\/(plugin-sdk|protocol)|reflect-metadata|tsyringe)(\/|$)/;

/**
 * From here on every import of the SDK, of reflect-metadata and of tsyringe in this process gets the copies that this package uses:
 * two copies would not see each other's decorators and tokens, and a global installation has one for each package.
 */
export function loadOneCopy(): void {
  registerHooks({
    resolve: (specifier, context, next) =>
      next(specifier, SHARED.test(specifier) ? { ...context, parentURL: import.meta.url } : context),
  });
}
