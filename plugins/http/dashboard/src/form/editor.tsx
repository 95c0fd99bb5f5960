import { useId } from 'preact/hooks';
import { Segments } from '../parts/page.tsx';
import { type Draft, draftOf, emptyDraft, type Issue, type Reading, readDraft, readJson } from './draft.ts';
import type { Field } from './schema.ts';
import { FieldView } from './view.tsx';

/** A form, or its DATA as JSON text. */
export interface Editor {
  readonly mode: 'form' | 'json';
  readonly draft: Draft;
  readonly text: string;
}

/** The editor that begins with `data`, JSON as text; with the schema's defaults if omitted. */
export function initialEditor(field: Field, data: string | undefined): Editor {
  const draft = emptyDraft(field);
  const isShapeless = field.kind === 'raw';
  if (data === undefined) return { mode: isShapeless ? 'json' : 'form', draft, text: isShapeless ? '{}' : '' };
  const { value } = readJson(data);
  const given = value === undefined ? undefined : draftOf(field, value);
  if (given !== undefined && !isShapeless) return { mode: 'form', draft: given, text: '' };
  return { mode: 'json', draft, text: value === undefined ? data : JSON.stringify(value, undefined, 2) };
}

/** What the editor's DATA is at present. */
export function readEditor(field: Field, { mode, draft, text }: Editor): Reading {
  if (mode === 'form') return readDraft(field, draft);
  const read = readJson(text);
  if (read.value === undefined || isObject(read.value)) return read;
  return { value: undefined, issues: [{ path: '', text: 'must be a JSON object' }] };
}

const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value);

export interface DataEditorProps {
  readonly field: Field;
  readonly editor: Editor;
  readonly issues: readonly Issue[];
  onChange(editor: Editor): void;
}

/** DATA as a form, or as JSON for what the form does not show. */
export function DataEditor({ field, editor, issues, onChange }: DataEditorProps) {
  const id = useId();
  const { mode, draft, text } = editor;
  const read = readJson(text);
  const asDraft = read.value === undefined ? undefined : draftOf(field, read.value);
  const hasForm = field.kind !== 'raw';
  const pick = (next: Editor['mode']) => {
    if (next === mode) return;
    if (next === 'form') {
      if (asDraft !== undefined) onChange({ mode: 'form', draft: asDraft, text: '' });
      return;
    }
    onChange({ mode: 'json', draft, text: JSON.stringify(readDraft(field, draft).value ?? {}, undefined, 2) });
  };
  return (
    <div class="editor">
      {hasForm && (
        <Segments
          label="Edit as"
          value={mode}
          options={[
            { value: 'form', label: 'Form' },
            { value: 'json', label: 'JSON' },
          ]}
          onPick={pick}
        />
      )}
      {mode === 'form' ? (
        <FieldView
          field={field}
          draft={draft}
          isNeeded
          path=""
          issues={issues}
          onChange={(next) => onChange({ ...editor, draft: next })}
        />
      ) : (
        <>
          <label for={id}>DATA as JSON</label>
          <textarea
            id={id}
            class="json"
            rows={12}
            spellcheck={false}
            value={text}
            aria-invalid={issues.length > 0}
            onInput={({ currentTarget }) => onChange({ ...editor, text: currentTarget.value })}
          />
          {issues.map((issue) => (
            <p key={issue.text} class="issue">
              It {issue.text}
            </p>
          ))}
          {hasForm && asDraft === undefined && (
            <p class="quiet">
              The form cannot show this: it has keys or values that the form has no field for, or is no JSON yet.
            </p>
          )}
        </>
      )}
    </div>
  );
}
