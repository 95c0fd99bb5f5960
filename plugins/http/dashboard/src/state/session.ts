import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import { Api } from '../api/http.ts';
import { WhoAmI } from '../api/shapes.ts';
import { Store } from './store.ts';

const KEPT_AS = 'centreond-token';

/** Somebody who is logged in. */
export interface Session {
  readonly api: Api;
  readonly who: WhoAmI;
}

/** The session; undefined while nobody is logged in. */
export const session = new Store<Session | undefined>(undefined);
/** Why the last session ended, for the login. */
export const farewell = new Store<string | undefined>(undefined);

/** Logs in with a token, which is kept for this tab. Rejects with the refusal. */
export async function logIn(secret: string): Promise<void> {
  const api = new Api(secret, (message) => logOut(message));
  const who = await api.ask('whoami', WhoAmI);
  sessionStorage.setItem(KEPT_AS, secret);
  farewell.set(undefined);
  session.set({ api, who });
}

/** Ends the session; `why` is shown at the login. */
export function logOut(why?: string): void {
  sessionStorage.removeItem(KEPT_AS);
  farewell.set(why);
  session.set(undefined);
}

/** The token of a session that this tab had before it was loaded again. */
export function keptToken(): string | undefined {
  return sessionStorage.getItem(KEPT_AS) ?? undefined;
}

export const SessionContext = createContext<Session | undefined>(undefined);

/** The session of the page. */
export function useSession(): Session {
  const given = useContext(SessionContext);
  if (!given) throw new Error('a page is shown without a session');
  return given;
}

/** Whether the caller has the role admin: what others may not do is not offered. */
export function useIsAdmin(): boolean {
  return useSession().who.roles.includes('admin');
}
