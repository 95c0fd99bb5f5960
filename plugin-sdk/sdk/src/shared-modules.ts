/** Modules of which one process must hold one copy: two would not see each other's decorators and tokens. */
export const SHARED_MODULES: readonly string[] = ['@centreond/plugin-sdk', 'reflect-metadata', 'tsyringe'];
