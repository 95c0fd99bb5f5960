import { useState } from 'preact/hooks';

/** Copies a text, if the browser lets it: without HTTPS it does not, and the button is not shown. */
export function Copy({ text, what }: { text: string; what: string }) {
  const [isDone, setDone] = useState(false);
  if (!navigator.clipboard) return null;
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <button type="button" onClick={copy}>
      {isDone ? 'Copied' : `Copy ${what}`}
    </button>
  );
}
