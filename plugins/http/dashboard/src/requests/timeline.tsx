import type { Row } from '../api/shapes.ts';
import { durationText, plural, timeText, zoneText } from '../format.ts';
import { Data } from '../parts/data.tsx';
import { type Mark, MarkIcon } from '../parts/marks.tsx';
import { isoOf } from '../parts/time.tsx';
import { useStore } from '../state/store.ts';
import { codeTitle, useLive } from '../state/use-live.ts';
import { type Entry, entriesOf, type Piece, ROWS } from './entries.ts';

export interface TimelineProps {
  readonly rows: readonly Row[];
  /** What was asked, shown at the first row. */
  readonly asked: unknown;
  readonly isOpen: boolean;
  /** The router's time. */
  readonly now: number;
}

/** The steps of a request's life, with the time between them. */
export function Timeline({ rows, asked, isOpen, now }: TimelineProps) {
  const entries = entriesOf(rows);
  const first = entries[0];
  const last = entries.at(-1);
  return (
    <>
      {rows.length >= ROWS && (
        <p class="notice">
          These are the last {ROWS.toLocaleString('en-GB')} rows. <code>centreond log {rows[0]?.token}</code> shows all.
        </p>
      )}
      <ol class="timeline" aria-live="polite" aria-relevant="additions">
        {entries.map((entry, index) => (
          <Step key={entry.id} entry={entry} before={entries[index - 1]} asked={entry === first ? asked : undefined} />
        ))}
        {isOpen && (
          <li class="step step-open">
            <MarkIcon mark="open" />
            <div class="step-head">
              <b>{first ? 'running' : 'waiting for its first row'}</b>
              {last && (
                <span class="quiet">
                  {durationText(Math.max(0, Math.floor(now / 1000) - last.until))} since its last row
                </span>
              )}
            </div>
          </li>
        )}
      </ol>
    </>
  );
}

const markOf = (code: number): Mark => (code === 1 ? 'failed' : code === 2 ? 'finished' : code === 0 ? 'up' : 'step');

function Step({ entry, before, asked }: { entry: Entry; before: Entry | undefined; asked: unknown }) {
  const plugins = useStore(useLive().declared);
  const { code, type, node, from, until, rows, output, data } = entry;
  const title = code === 0 && before ? 'progress' : codeTitle(plugins, type, code);
  return (
    <li class={`step step-${markOf(code)}`}>
      <MarkIcon mark={markOf(code)} />
      <div class="step-head">
        <b>{title}</b>
        <time dateTime={isoOf(from * 1000)}>
          {timeText(from * 1000)} {zoneText(from * 1000)}
        </time>
        {before && <span class="quiet">+{durationText(Math.max(0, from - before.until))}</span>}
        <span class="quiet">{node}</span>
        {rows > 1 && (
          <span class="quiet">
            {plural(rows, 'row')}
            {until > from && ` over ${durationText(until - from)}`}
          </span>
        )}
      </div>
      <div class="step-body">
        {output ? <Pieces pieces={output} /> : <Data value={code === 0 && asked !== undefined ? asked : data} />}
      </div>
    </li>
  );
}

/** Characters of one output that are shown; the end is what matters while it runs. */
const LONGEST = 100_000;

/** Output of several streams in the order in which it came; what is not stdout is marked. */
function Pieces({ pieces }: { pieces: readonly Piece[] }) {
  const all = pieces.reduce((sum, { text }) => sum + text.length, 0);
  let left = Math.max(0, all - LONGEST);
  const shown = pieces.flatMap((piece, index) => {
    const cut = Math.min(left, piece.text.length);
    left -= cut;
    return cut === piece.text.length && cut > 0 ? [] : [{ ...piece, text: piece.text.slice(cut), index }];
  });
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard
    <pre class="output" tabIndex={0}>
      {all > LONGEST && (
        <span class="quiet">
          … {(all - LONGEST).toLocaleString('en-GB')} earlier characters{'\n'}
        </span>
      )}
      {shown.map(({ index, stream, text }) =>
        stream === 'stderr' ? (
          <span key={index} class="stderr" title="stderr">
            {text}
          </span>
        ) : (
          <span key={index}>{text}</span>
        ),
      )}
    </pre>
  );
}
