import { createContext } from 'preact';
import { useContext, useEffect, useState } from 'preact/hooks';
import type { DeclaredAction, DeclaredPlugin } from '../api/shapes.ts';
import type { Live } from './live.ts';
import { useSession } from './session.ts';
import { useStore } from './store.ts';

export const LiveContext = createContext<Live | undefined>(undefined);

/** What goes on in the router. */
export function useLive(): Live {
  const live = useContext(LiveContext);
  if (!live) throw new Error('a page is shown without a session');
  return live;
}

/** The router's time, each second. */
export function useNow(): number {
  const live = useLive();
  const [now, setNow] = useState(() => live.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(live.now()), 1000);
    return () => clearInterval(timer);
  }, [live]);
  return now;
}

/** What the action `name` declares. */
export function actionIn(plugins: readonly DeclaredPlugin[], name: string): DeclaredAction | undefined {
  return plugins.flatMap(({ actions }) => actions).find((action) => action.name === name);
}

/** The actions that the caller's roles allow, by plugin; those that only plugins and routers call are left out. */
export function useCallable(): readonly DeclaredPlugin[] {
  const { who } = useSession();
  const declared = useStore(useLive().declared);
  const isAdmin = who.roles.includes('admin');
  return declared
    .map((plugin) => ({ ...plugin, actions: plugin.actions.filter((action) => isFor(action, isAdmin)) }))
    .filter(({ actions }) => actions.length > 0);
}

function isFor({ access }: DeclaredAction, isAdmin: boolean): boolean {
  return isAdmin ? access.some((each) => each !== 'internal') : access.includes('client');
}

/** The title of a row's code: the plugin's own, or what every request has. */
export function codeTitle(plugins: readonly DeclaredPlugin[], action: string, code: number): string {
  if (code === 0) return 'accepted';
  if (code === 1) return 'failed';
  if (code === 2) return 'finished';
  const plugin = plugins.find(({ actions }) => actions.some(({ name }) => name === action));
  const [name] = Object.entries(plugin?.codes ?? {}).find(([, each]) => each === code) ?? [];
  if (name === undefined) return `code ${code}`;
  return plugin?.codeTitles[name] ?? name.toLowerCase();
}
