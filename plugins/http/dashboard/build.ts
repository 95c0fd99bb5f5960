// Builds the dashboard into the folder that the plugin serves, unless it is up to date: a daemon may be starting from it.
import { globSync, statSync } from 'node:fs';
import path from 'node:path';
import { build } from 'vite';

const HERE = import.meta.dirname;
const changedAt = (file: string) => statSync(path.join(HERE, file), { throwIfNoEntry: false })?.mtimeMs ?? 0;

const inputs = ['index.html', 'build.ts', 'vite.config.ts', '../package.json', '../../../package-lock.json'];
inputs.push(...globSync('{src,static}/**/*.*', { cwd: HERE }));
if (changedAt('../public/index.html') < Math.max(...inputs.map(changedAt))) {
  await build({ configFile: path.join(HERE, 'vite.config.ts'), logLevel: 'warn' });
}
