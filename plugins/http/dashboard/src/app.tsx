import { useEffect, useMemo, useState } from 'preact/hooks';
import { sentenceOf } from './api/http.ts';
import { Frame } from './frame.tsx';
import { LoginPage } from './pages/login.tsx';
import { Live } from './state/live.ts';
import { farewell, keptToken, logIn, SessionContext, session } from './state/session.ts';
import { useStore } from './state/store.ts';
import { LiveContext } from './state/use-live.ts';

/** The login, or the pages of who is logged in. */
export function App() {
  const current = useStore(session);
  const [isResuming, setResuming] = useState(() => keptToken() !== undefined);
  useEffect(() => {
    const token = keptToken();
    if (token === undefined) return;
    logIn(token)
      .catch((error: unknown) => farewell.set(sentenceOf(error)))
      .finally(() => setResuming(false));
  }, []);
  const live = useMemo(() => current && new Live(current), [current]);
  useEffect(() => live?.start(), [live]);
  if (!current || !live) return isResuming ? null : <LoginPage />;
  return (
    <SessionContext.Provider value={current}>
      <LiveContext.Provider value={live}>
        <Frame />
      </LiveContext.Provider>
    </SessionContext.Provider>
  );
}
