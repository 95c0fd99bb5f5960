import { Choice, Group, List, Pairs } from './containers.tsx';
import { textOf } from './draft.ts';
import { type FieldProps, Flag, Labelled, numberHint, textHint } from './fields.tsx';

/** What a field of any kind looks like. */
export function FieldView(props: FieldProps) {
  const { field } = props;
  switch (field.kind) {
    case 'group':
      return <Group {...props} field={field} View={FieldView} />;
    case 'list':
      return <List {...props} field={field} View={FieldView} />;
    case 'pairs':
      return <Pairs {...props} field={field} View={FieldView} />;
    case 'choice':
      return <Choice {...props} field={field} View={FieldView} />;
    case 'fixed':
      return <Labelled {...props}>{() => <code>{JSON.stringify(field.value)}</code>}</Labelled>;
    case 'flag':
      return <Labelled {...props}>{(id) => <Flag id={id} {...props} />}</Labelled>;
    case 'option':
      return (
        <Labelled {...props}>
          {(id, about) => (
            <select
              id={id}
              value={textOf(props.draft)}
              {...about}
              onChange={({ currentTarget }) => props.onChange(currentTarget.value)}
            >
              <option value="">{props.isNeeded ? 'choose' : 'leave out'}</option>
              {field.values.map((value, index) => (
                <option key={JSON.stringify(value)} value={index}>
                  {typeof value === 'string' ? value : JSON.stringify(value)}
                </option>
              ))}
            </select>
          )}
        </Labelled>
      );
    case 'raw':
      return (
        <Labelled {...props} hint="JSON">
          {(id, about) => (
            <textarea
              id={id}
              class="json"
              rows={4}
              spellcheck={false}
              value={textOf(props.draft)}
              {...about}
              onInput={({ currentTarget }) => props.onChange(currentTarget.value)}
            />
          )}
        </Labelled>
      );
    default:
      return (
        <Labelled {...props} hint={field.kind === 'text' ? textHint(field) : numberHint(field)}>
          {(id, about) => (
            <input
              id={id}
              type="text"
              inputMode={field.kind === 'number' ? 'decimal' : undefined}
              spellcheck={false}
              autocomplete="off"
              value={textOf(props.draft)}
              {...about}
              onInput={({ currentTarget }) => props.onChange(currentTarget.value)}
            />
          )}
        </Labelled>
      );
  }
}
