import { useState } from 'preact/hooks';
import { Answer } from '../api/shapes.ts';
import { Output } from '../parts/data.tsx';
import { Fault } from '../parts/notices.tsx';
import { hrefOf } from '../state/address.ts';
import { useSession } from '../state/session.ts';

/** A plugin's last exits with its last log lines, asked for when they are wanted; and its reload. */
export function LastExits({ type }: { type: string }) {
  const { api } = useSession();
  const [answer, setAnswer] = useState<unknown>();
  const [error, setError] = useState<unknown>();
  const ask = async () => {
    try {
      setError(undefined);
      setAnswer(await api.ask('actions/WHY', Answer, { method: 'POST', body: { type } }));
    } catch (thrown) {
      setError(thrown);
    }
  };
  return (
    <>
      <div class="buttons">
        <button type="button" onClick={() => void ask()}>
          Show its last exits and log lines
        </button>
        <a class="button" href={hrefOf(['call', 'RELOADPLUGIN'], { data: JSON.stringify({ type }) })}>
          Reload it…
        </a>
      </div>
      <Fault error={error} />
      {answer !== undefined && <Output>{JSON.stringify(answer, undefined, 2)}</Output>}
    </>
  );
}
