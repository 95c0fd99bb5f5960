import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { choiceOf, emptyDraft, itemsOf, membersOf, pairsOf, pick } from './draft.ts';
import type { FieldProps } from './fields.tsx';
import type { ChoiceField, Field, GroupField, ListField, PairsField } from './schema.ts';

/** A field with others in it; `View` draws those. */
interface ContainerProps<F extends Field> extends FieldProps<F> {
  readonly View: (props: FieldProps) => ComponentChildren;
}

const at = (path: string, name: string | number) => (path === '' ? String(name) : `${path}.${name}`);

/** Fields of an object. */
export function Group({ field, draft, path, name, isNeeded, issues, onChange, View }: ContainerProps<GroupField>) {
  const given = membersOf(draft);
  const { members } = field;
  const ordered = [...members.filter((each) => each.isNeeded), ...members.filter((each) => !each.isNeeded)];
  const inside = ordered.map((member) => (
    <View
      key={member.name}
      field={member.field}
      name={member.name}
      isNeeded={member.isNeeded}
      path={at(path, member.name)}
      draft={given[member.name] ?? emptyDraft(member.field, member.isNeeded)}
      issues={issues}
      onChange={(next) => onChange({ members: { ...given, [member.name]: next } })}
    />
  ));
  if (members.length === 0) return <p class="quiet">{path === '' ? 'It takes no data.' : 'Nothing to fill in.'}</p>;
  if (name === undefined) return <div class="group">{inside}</div>;
  return (
    <fieldset class="box">
      <Legend name={name} isNeeded={isNeeded} description={field.description} />
      {inside}
    </fieldset>
  );
}

/** Entries of a list, in order. */
export function List({ field, draft, path, name, isNeeded, issues, onChange, View }: ContainerProps<ListField>) {
  const items = itemsOf(draft);
  const { item, maxItems } = field;
  return (
    <fieldset class="box">
      <Legend name={name ?? 'list'} isNeeded={isNeeded} description={field.description} />
      {items.map((each, index) => (
        <div class="entry" key={index}>
          <View
            field={item}
            name={String(index + 1)}
            isNeeded
            path={at(path, index)}
            draft={each}
            issues={issues}
            onChange={(next) => onChange({ items: items.with(index, next) })}
          />
          <Remove
            what={`entry ${index + 1} of ${name ?? 'the list'}`}
            onRemove={() => onChange({ items: items.toSpliced(index, 1) })}
          />
        </div>
      ))}
      <Issues path={path} issues={issues} />
      <button
        type="button"
        class="small"
        disabled={items.length >= maxItems}
        onClick={() => onChange({ items: [...items, emptyDraft(item)] })}
      >
        Add an entry
      </button>
    </fieldset>
  );
}

/** Keys that the caller chooses, with their values. */
export function Pairs({ field, draft, path, name, isNeeded, issues, onChange, View }: ContainerProps<PairsField>) {
  const pairs = pairsOf(draft);
  return (
    <fieldset class="box">
      <Legend name={name ?? 'keys and values'} isNeeded={isNeeded} description={field.description} />
      {pairs.map((pair, index) => (
        <div class="entry" key={index}>
          <label class="field">
            key
            <input
              type="text"
              spellcheck={false}
              autocomplete="off"
              value={pair.key}
              onInput={({ currentTarget }) =>
                onChange({ pairs: pairs.with(index, { ...pair, key: currentTarget.value }) })
              }
            />
          </label>
          <View
            field={field.value}
            name="value"
            isNeeded
            path={at(path, index)}
            draft={pair.value}
            issues={issues}
            onChange={(value) => onChange({ pairs: pairs.with(index, { ...pair, value }) })}
          />
          <Remove
            what={`key ${pair.key || index + 1}`}
            onRemove={() => onChange({ pairs: pairs.toSpliced(index, 1) })}
          />
        </div>
      ))}
      <Issues path={path} issues={issues} />
      <button
        type="button"
        class="small"
        onClick={() => onChange({ pairs: [...pairs, { key: '', value: emptyDraft(field.value) }] })}
      >
        Add a key
      </button>
    </fieldset>
  );
}

/** One of several shapes, and the fields of the one that is picked. */
export function Choice({ field, draft, path, name, isNeeded, issues, onChange, View }: ContainerProps<ChoiceField>) {
  const id = useId();
  const { picked, value } = choiceOf(draft);
  const option = field.options[picked];
  return (
    <div class="choice">
      <div class="field">
        <label for={id}>
          {name ?? 'shape'}
          {!isNeeded && <span class="quiet"> optional</span>}
        </label>
        <select
          id={id}
          value={picked}
          onChange={({ currentTarget }) => onChange(pick(field, Number(currentTarget.value)))}
        >
          {!isNeeded && <option value={-1}>leave out</option>}
          {field.options.map(({ label }, index) => (
            <option key={label} value={index}>
              as {label}
            </option>
          ))}
        </select>
        {!option && <Issues path={path} issues={issues} />}
      </div>
      {option && option.field.kind !== 'fixed' && (
        <div class="choice-value">
          <View
            key={picked}
            field={option.field}
            name={name ?? option.label}
            isNeeded
            path={path}
            draft={value}
            issues={issues}
            onChange={(next) => onChange({ picked, value: next })}
          />
        </div>
      )}
      {field.description !== undefined && <p class="hint">{field.description}</p>}
    </div>
  );
}

function Legend({ name, isNeeded, description }: { name: string; isNeeded: boolean; description: string | undefined }) {
  return (
    <legend>
      {name}
      {!isNeeded && <span class="quiet"> optional</span>}
      {description !== undefined && <span class="hint"> {description}</span>}
    </legend>
  );
}

function Issues({ path, issues }: Pick<FieldProps, 'path' | 'issues'>) {
  const own = issues.filter((issue) => issue.path === path);
  if (own.length === 0) return null;
  return <p class="issue">{own.map(({ text }) => (text.endsWith('.') ? text : `It ${text}.`)).join(' ')}</p>;
}

function Remove({ what, onRemove }: { what: string; onRemove(): void }) {
  return (
    <button type="button" class="small remove" aria-label={`Remove ${what}`} onClick={onRemove}>
      Remove
    </button>
  );
}
