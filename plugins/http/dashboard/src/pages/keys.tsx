import { useState } from 'preact/hooks';
import { ApiError } from '../api/http.ts';
import { Called, type Key, type KeyList } from '../api/shapes.ts';
import { plural } from '../format.ts';
import { isObject } from '../parts/data.tsx';
import { Ask } from '../parts/dialog.tsx';
import { Badge, type Mark } from '../parts/marks.tsx';
import { Empty, Fault, Loading } from '../parts/notices.tsx';
import { Page } from '../parts/page.tsx';
import { Ago } from '../parts/time.tsx';
import type { Polled } from '../state/polled.ts';
import { type Session, useSession } from '../state/session.ts';
import { useNow } from '../state/use-live.ts';

const ROLES = ['client', 'node', 'router', 'admin'];
const MARKS: Readonly<Record<string, Mark>> = {
  pending: 'warning',
  config: 'up',
  accepted: 'up',
  joined: 'up',
  invited: 'idle',
  revoked: 'unreachable',
};

/** Who may connect, and who waits for a decision. */
export function KeysPage({ keys: { value, error, refresh } }: { keys: Polled<KeyList> }) {
  const keys = value?.keys ?? [];
  const pending = keys.filter(({ state }) => state === 'pending');
  const known = keys.filter(({ state }) => state !== 'pending');
  return (
    <Page title="Keys">
      <Fault error={error} />
      {!value && error === undefined && <Loading what="the keys" />}
      {value && (
        <>
          <section>
            <h2>Waiting for a decision</h2>
            {pending.length === 0 ? (
              <Empty title="No key waits.">
                A client or node that connects with a key of its own appears here. Compare its fingerprint with what{' '}
                <code>centreond keys show</code> prints there.
              </Empty>
            ) : (
              <ul class="pending">
                {pending.map((key) => (
                  <Pending key={key.fingerprint} entry={key} onDone={refresh} />
                ))}
              </ul>
            )}
          </section>
          <section>
            <h2>Known</h2>
            {known.length === 0 ? (
              <Empty title="No key was let in yet." />
            ) : (
              <KnownKeys keys={known} onDone={refresh} />
            )}
          </section>
        </>
      )}
    </Page>
  );
}

/** Calls an action and waits for its end; throws what it failed with. */
async function settle({ api }: Session, action: string, body: object): Promise<void> {
  const { ok, data } = await api.ask(`actions/${action}?wait=30s`, Called, { method: 'POST', body });
  if (ok !== false) return;
  const { error, message } = isObject(data) ? data : {};
  throw new ApiError(200, String(error ?? 'FAILED'), String(message ?? `${action} failed.`));
}

function Pending({ entry, onDone }: { entry: Key; onDone(): void }) {
  const session = useSession();
  const now = useNow();
  const [identity, setIdentity] = useState('');
  const [role, setRole] = useState('client');
  const [error, setError] = useState<unknown>();
  const { fingerprint = '', firstSeen, lastSeen, lastAddress, count } = entry;
  const accept = async (event: Event) => {
    event.preventDefault();
    try {
      setError(undefined);
      await settle(session, 'ACCEPTKEY', { fingerprint, identity: identity.trim(), roles: [role] });
      onDone();
    } catch (thrown) {
      setError(thrown);
    }
  };
  return (
    <li>
      <div>
        <Badge mark="warning">pending</Badge> <code class="fingerprint">{fingerprint}</code>
      </div>
      <p class="quiet">
        {count !== undefined && `${plural(count, 'try', 'tries')}, `}
        {lastAddress !== undefined && `last from ${lastAddress} `}
        {lastSeen !== undefined && <Ago at={lastSeen} now={now} />}
        {firstSeen !== undefined && (
          <>
            , first <Ago at={firstSeen} now={now} />
          </>
        )}
      </p>
      <form class="inline" onSubmit={accept}>
        <label class="field-inline">
          <span>Identity</span>
          <input
            type="text"
            required
            spellcheck={false}
            autocomplete="off"
            value={identity}
            onInput={({ currentTarget }) => setIdentity(currentTarget.value)}
          />
        </label>
        <label class="field-inline">
          <span>Role</span>
          <select value={role} onChange={({ currentTarget }) => setRole(currentTarget.value)}>
            {ROLES.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
        <button type="submit" class="primary">
          Accept
        </button>
        <Revoke name={fingerprint} what="Refuse for good" onDone={onDone} />
      </form>
      <Fault error={error} />
    </li>
  );
}

function KnownKeys({ keys, onDone }: { keys: readonly Key[]; onDone(): void }) {
  const now = useNow();
  return (
    <table class="rows cards">
      <caption class="hidden-label">Known keys</caption>
      <thead>
        <tr>
          <th scope="col">Identity</th>
          <th scope="col">State</th>
          <th scope="col">Roles</th>
          <th scope="col">Fingerprint</th>
          <th scope="col">Since</th>
          <th scope="col">
            <span class="hidden-label">Change</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {keys.map(({ state, identity = '', fingerprint = '', roles, at, until, by }) => (
          <tr key={`${state} ${identity} ${fingerprint}`}>
            <th scope="row">{identity === '' ? <span class="quiet">unknown</span> : identity}</th>
            <td data-label="State">
              <Badge mark={MARKS[state] ?? 'idle'}>{state}</Badge>
            </td>
            <td data-label="Roles">{roles.join(', ')}</td>
            <td data-label="Fingerprint">
              <code class="fingerprint">{fingerprint}</code>
            </td>
            <td data-label="Since">
              {at !== undefined && <Ago at={at} now={now} />}
              {until !== undefined && (
                <>
                  , until <Ago at={until} now={now} />
                </>
              )}
              {by !== undefined && <span class="quiet"> by {by}</span>}
            </td>
            <td>
              {state !== 'revoked' && (
                <Revoke
                  name={fingerprint === '' ? identity : fingerprint}
                  shown={identity}
                  what={state === 'invited' ? 'Withdraw' : 'Revoke'}
                  onDone={onDone}
                />
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface RevokeProps {
  readonly name: string;
  readonly shown?: string;
  readonly what: string;
  onDone(): void;
}

/** Shuts a key out, after it was asked. */
function Revoke({ name, shown = name, what, onDone }: RevokeProps) {
  const session = useSession();
  const [isAsking, setAsking] = useState(false);
  const [error, setError] = useState<unknown>();
  const revoke = async () => {
    try {
      setError(undefined);
      await settle(session, 'REVOKEKEY', { key: name });
      onDone();
    } catch (thrown) {
      setError(thrown);
    }
  };
  return (
    <>
      <button type="button" class="danger small" aria-label={`${what} ${shown}`} onClick={() => setAsking(true)}>
        {what}
      </button>
      {isAsking && (
        <Ask
          title={`${what} ${shown}?`}
          confirm={what}
          isDangerous
          onConfirm={() => void revoke()}
          onClose={() => setAsking(false)}
        >
          <p>
            Its session ends at once, and this key is refused from then on. A machine that is to come back needs a new
            key.
          </p>
        </Ask>
      )}
      <Fault error={error} />
    </>
  );
}
