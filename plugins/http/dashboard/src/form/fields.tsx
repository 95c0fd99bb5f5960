import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { type Draft, type Issue, textOf } from './draft.ts';
import type { Field, NumberField, TextField } from './schema.ts';

export interface FieldProps<F extends Field = Field> {
  readonly field: F;
  readonly draft: Draft;
  readonly isNeeded: boolean;
  /** Where it is in DATA: names joined by dots. */
  readonly path: string;
  /** What it is called; the whole of DATA has no name. */
  readonly name?: string;
  readonly issues: readonly Issue[];
  onChange(draft: Draft): void;
}

/** Yes, no, or left out. */
export function Flag({ id, draft, onChange }: FieldProps & { id: string }) {
  return (
    <select id={id} value={textOf(draft)} onChange={({ currentTarget }) => onChange(currentTarget.value)}>
      <option value="">leave out</option>
      <option value="true">yes (true)</option>
      <option value="false">no (false)</option>
    </select>
  );
}

interface About {
  readonly 'aria-describedby': string | undefined;
  readonly 'aria-invalid': boolean;
}
interface LabelledProps extends FieldProps {
  readonly hint?: string | undefined;
  /** The input, given its id and what describes it. */
  children(id: string, about: About): ComponentChildren;
}

/** An input with its name, what it is for, and what is wrong with it. */
export function Labelled({ field, name, path, isNeeded, issues, hint, children }: LabelledProps) {
  const id = useId();
  const own = issues.filter((issue) => issue.path === path);
  const texts = [field.description, hint].filter((text) => text !== undefined);
  const describedBy = [texts.length > 0 && `${id}-hint`, own.length > 0 && `${id}-issue`].filter(Boolean).join(' ');
  return (
    <div class="field">
      <label for={id}>
        {name ?? field.title ?? 'value'}
        {name !== undefined && !isNeeded && <span class="quiet"> optional</span>}
      </label>
      {children(id, { 'aria-describedby': describedBy || undefined, 'aria-invalid': own.length > 0 })}
      {texts.length > 0 && (
        <p id={`${id}-hint`} class="hint">
          {texts.join('; ')}
        </p>
      )}
      {own.length > 0 && (
        <p id={`${id}-issue`} class="issue">
          {own.map(({ text }) => (text.endsWith('.') ? text : `It ${text}.`)).join(' ')}
        </p>
      )}
    </div>
  );
}

/** What a number may be. */
export function numberHint({ isWhole, minimum, maximum, above, below }: NumberField): string {
  const kind = isWhole ? 'a whole number' : 'a number';
  const least = minimum !== undefined ? `${minimum} or more` : above !== undefined ? `more than ${above}` : '';
  const most = maximum !== undefined ? `${maximum} or less` : below !== undefined ? `less than ${below}` : '';
  const isOpenAbove = maximum !== undefined && maximum >= 2 ** 31;
  return [kind, least, isOpenAbove ? '' : most].filter((part) => part !== '').join(', ');
}

/** Longer limits are hardly ever met. */
const WORTH_SAYING = 255;

/** What a text may be, as far as words tell. */
export function textHint({ minLength = 0, maxLength, format }: TextField): string | undefined {
  const parts = [
    format,
    minLength > 1 ? `${minLength} characters or more` : undefined,
    maxLength !== undefined && maxLength <= WORTH_SAYING ? `${maxLength} characters at most` : undefined,
  ].filter((part) => part !== undefined);
  return parts.length > 0 ? parts.join(', ') : undefined;
}
