import { useState } from 'preact/hooks';
import { Cancelled } from '../api/shapes.ts';
import { Ask } from '../parts/dialog.tsx';
import { Fault } from '../parts/notices.tsx';
import { useSession } from '../state/session.ts';

/** Ends an open request, after it was asked. */
export function Cancel({ token, action }: { token: string; action: string }) {
  const { api } = useSession();
  const [isAsking, setAsking] = useState(false);
  const [error, setError] = useState<unknown>();
  const cancel = async () => {
    try {
      setError(undefined);
      await api.ask(`requests/${encodeURIComponent(token)}`, Cancelled, { method: 'DELETE' });
    } catch (thrown) {
      setError(thrown);
    }
  };
  return (
    <>
      <button type="button" class="danger" onClick={() => setAsking(true)}>
        Cancel it
      </button>
      {isAsking && (
        <Ask
          title={`Cancel this ${action}?`}
          confirm={`Cancel ${action}`}
          isDangerous
          onConfirm={() => void cancel()}
          onClose={() => setAsking(false)}
        >
          <p>It is told to stop now. What it has done so far stays done.</p>
        </Ask>
      )}
      <Fault error={error} />
    </>
  );
}
