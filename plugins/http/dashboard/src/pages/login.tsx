import { useEffect, useRef, useState } from 'preact/hooks';
import { Fault } from '../parts/notices.tsx';
import { farewell, logIn } from '../state/session.ts';
import { useStore } from '../state/store.ts';

/** Asks for a token. */
export function LoginPage() {
  const [secret, setSecret] = useState('');
  const [error, setError] = useState<unknown>();
  const [isAsking, setAsking] = useState(false);
  const why = useStore(farewell);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = 'Log in · centreond';
    input.current?.focus();
  }, []);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (secret === '') return;
    setAsking(true);
    try {
      await logIn(secret);
    } catch (thrown) {
      setError(thrown);
      setAsking(false);
      input.current?.select();
    }
  };
  return (
    <main class="login">
      <form onSubmit={submit}>
        <h1>
          <svg viewBox="0 0 32 32" aria-hidden="true" focusable="false">
            <path d="M5 16h9m0 0 7-8h6m-13 8 7 8h6" />
            <circle cx="14" cy="16" r="4" />
          </svg>
          centreond
        </h1>
        <input type="text" autocomplete="username" value="centreond" readOnly hidden />
        <label for="token">Token</label>
        <input
          id="token"
          ref={input}
          type="password"
          autocomplete="current-password"
          value={secret}
          onInput={({ currentTarget }) => setSecret(currentTarget.value)}
        />
        <button type="submit" class="primary" disabled={isAsking}>
          {isAsking ? 'Logging in…' : 'Log in'}
        </button>
        {error === undefined && why !== undefined && (
          <p class="notice" role="status">
            {why}
          </p>
        )}
        <Fault error={error} />
        <p class="quiet">
          The config of the plugin <code>http</code> lists the tokens, each with a name, its secret and its roles. The
          token stays in this tab until you log out or close it.
        </p>
      </form>
    </main>
  );
}
