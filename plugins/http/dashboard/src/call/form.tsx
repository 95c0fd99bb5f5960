import { useMemo, useRef, useState } from 'preact/hooks';
import { ApiError } from '../api/http.ts';
import { Answer, Called, type DeclaredAction } from '../api/shapes.ts';
import { namedIn, pathsOf } from '../form/draft.ts';
import { DataEditor, initialEditor, readEditor } from '../form/editor.tsx';
import { fieldOf, type Json } from '../form/schema.ts';
import { plural } from '../format.ts';
import { Data } from '../parts/data.tsx';
import { Ask } from '../parts/dialog.tsx';
import { Badge } from '../parts/marks.tsx';
import { Fault } from '../parts/notices.tsx';
import { hrefOf } from '../state/address.ts';
import { goTo } from '../state/place.ts';
import { useSession } from '../state/session.ts';
import { Batch, type BatchCall } from './batch.tsx';
import { Hold } from './hold.tsx';
import { Targets } from './targets.tsx';
import { callPath, newToken } from './token.ts';

/** How many calls of a batch go out at once. */
const AT_ONCE = 4;

export interface CallFormProps {
  readonly action: DeclaredAction;
  readonly query: Readonly<Record<string, string>>;
}

/** Asks for DATA and nodes, then calls the action and shows or leads to what becomes of it. */
export function CallForm({ action, query }: CallFormProps) {
  const { api, who } = useSession();
  const field = useMemo(() => fieldOf(action.input), [action.input]);
  const [editor, setEditor] = useState(() => initialEditor(field, query.data));
  const [targets, setTargets] = useState<readonly string[]>(() => (query.on ? query.on.split(',') : ['']));
  const [hold, setHold] = useState('');
  const [isTried, setTried] = useState(false);
  const [isAsking, setAsking] = useState<Json>();
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const [answer, setAnswer] = useState<unknown>();
  const [batch, setBatch] = useState<readonly BatchCall[]>();
  // Kept until an answer came: sent again under it, a call never runs twice.
  const token = useRef<string>(undefined);
  const reading = readEditor(field, editor);
  const issues = isTried ? reading.issues : [];
  const named = error instanceof ApiError ? namedIn(error.message, pathsOf(field)) : undefined;
  const serverIssue = named === undefined || !(error instanceof Error) ? [] : [{ path: named, text: error.message }];

  const call = async (data: Json) => {
    setBusy(true);
    setError(undefined);
    setAnswer(undefined);
    token.current ??= newToken(Date.now(), (bytes) => crypto.getRandomValues(bytes));
    const base = token.current;
    try {
      if (targets.length > 1) {
        token.current = undefined;
        await callEach(data, base);
      } else {
        const path = callPath(action.name, targets[0] ?? '', base, hold);
        if (action.reply === 'ack') setAnswer(await api.ask(path, Answer, { method: 'POST', body: data }));
        else {
          const called = await api.ask(path, Called, { method: 'POST', body: data });
          goTo(hrefOf(['requests', called.token]));
        }
        token.current = undefined;
      }
    } catch (thrown) {
      if (thrown instanceof ApiError && thrown.status !== 0) token.current = undefined;
      setError(thrown);
    }
    setBusy(false);
  };

  /** A call for each node, a few at once; refusals are told among them. */
  const callEach = async (data: Json, base: string) => {
    const calls: BatchCall[] = targets.map((target) => ({
      target,
      token: `${base}:${target || who.router.id}`,
      error: undefined,
    }));
    setBatch(calls);
    const left = [...calls.keys()];
    const work = async () => {
      for (let at = left.shift(); at !== undefined; at = left.shift()) {
        const { target, token: own } = calls[at] as BatchCall;
        try {
          await api.ask(callPath(action.name, target, own, hold), Answer, { method: 'POST', body: data });
        } catch (thrown) {
          calls[at] = { target, token: own, error: thrown };
          setBatch([...calls]);
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  };

  const submit = (event: Event) => {
    event.preventDefault();
    setTried(true);
    if (reading.value === undefined || reading.issues.length > 0) {
      const form = event.currentTarget;
      // After the issues are drawn.
      if (form instanceof HTMLElement) {
        requestAnimationFrame(() => form.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus());
      }
      return;
    }
    if (action.effects === 'destructive') setAsking(reading.value);
    else void call(reading.value);
  };
  const where = targets.length === 1 ? targets[0] || who.router.id : plural(targets.length, 'node');
  return (
    <form class="call" onSubmit={submit} noValidate>
      <Fault error={error} />
      <div class="call-parts">
        <section class="call-data">
          <h2>Data</h2>
          <DataEditor
            field={field}
            editor={editor}
            issues={[...issues, ...serverIssue]}
            onChange={(next) => {
              setEditor(next);
              setError(undefined);
              token.current = undefined;
            }}
          />
        </section>
        <section class="call-targets">
          <h2>Where</h2>
          <Targets action={action.name} picked={targets} onPicked={setTargets} />
          {action.reply !== 'ack' && targets.some((target) => target !== '') && <Hold value={hold} onPick={setHold} />}
        </section>
      </div>
      {issues.length > 0 && (
        <p class="notice notice-bad" role="alert">
          {plural(issues.length, 'field')} to look at before it is sent.
        </p>
      )}
      <div class="buttons">
        <button type="submit" class="primary" disabled={isBusy || targets.length === 0}>
          {isBusy ? 'Calling…' : `Call on ${where}`}
        </button>
        {targets.length === 0 && <span class="quiet">Pick a node first.</span>}
      </div>
      {isAsking !== undefined && (
        <Ask
          title={`Call ${action.name} on ${where}?`}
          confirm={`Call on ${where}`}
          isDangerous
          onConfirm={() => void call(isAsking)}
          onClose={() => setAsking(undefined)}
        >
          <p>
            <Badge mark="warning">destructive</Badge> It may change or end something that cannot be brought back.
          </p>
          {targets.length > 1 && <p class="quiet">{targets.map((target) => target || who.router.id).join(', ')}</p>}
          <Data value={isAsking} />
        </Ask>
      )}
      {answer !== undefined && (
        <section aria-live="polite">
          <h2>Answer</h2>
          <Data value={answer} />
        </section>
      )}
      {batch && <Batch calls={batch} action={action.name} isReply={action.reply === 'ack'} />}
    </form>
  );
}
