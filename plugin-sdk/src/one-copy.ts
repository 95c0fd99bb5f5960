import { registerHooks } from 'node:module';

const SHARED = /^(@centreond\/plugin-sdk|reflect-metadata|tsyringe)(\/|$)/;

/**
 * From here on whoever imports this package, reflect-metadata or tsyringe in this process gets the copies that this package uses:
 * two copies would not see each other's decorators and tokens, and a global installation has one for each package.
 */
export function loadOneCopy(): void {
  registerHooks({
    resolve: (specifier, context, next) =>
      next(specifier, SHARED.test(specifier) ? { ...context, parentURL: import.meta.url } : context),
  });
}
