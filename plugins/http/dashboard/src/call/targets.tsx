import { useState } from 'preact/hooks';
import { isMeant, type Member, membersOf } from '../fleet/fleet.ts';
import { useNodes } from '../fleet/use-nodes.ts';
import { countText, plural } from '../format.ts';
import { MarkIcon } from '../parts/marks.tsx';
import { Fault } from '../parts/notices.tsx';
import { Filter, Segments } from '../parts/page.tsx';
import { useSession } from '../state/session.ts';

/** Rows of the list that are drawn; the filter finds the others. */
const SHOWN = 100;

export interface TargetsProps {
  readonly action: string;
  /** Ids; empty text: this router. */
  readonly picked: readonly string[];
  onPicked(picked: readonly string[]): void;
}

/** Chooses where an action runs: on this router, or on nodes. */
export function Targets({ action, picked, onPicked }: TargetsProps) {
  const { who } = useSession();
  const { value, error } = useNodes();
  const [text, setText] = useState('');
  const isHere = picked.length === 1 && picked[0] === '';
  const members = value ? membersOf(value.nodes, who.router.id) : [];
  // A node that says what it has does not take the others.
  const able = members.filter(({ node }) => !node || node.actions.length === 0 || node.actions.includes(action));
  const shown = able.filter((member) => isMeant(member, text));
  const chosen = new Set(picked);
  const toggle = (id: string, isOn: boolean) => onPicked(isOn ? [...picked, id] : picked.filter((each) => each !== id));
  return (
    <div class="targets">
      <Segments
        label="Where"
        value={isHere ? 'here' : 'nodes'}
        options={[
          { value: 'here', label: `This router, ${who.router.id}` },
          { value: 'nodes', label: 'Nodes' },
        ]}
        onPick={(next) => onPicked(next === 'here' ? [''] : [])}
      />
      {!isHere && (
        <>
          <Fault error={error} />
          <Filter label="Filter nodes" value={text} onInput={setText} />
          <div class="targets-head">
            <span role="status">
              {countText(picked.length)} of {plural(able.length, 'node')} picked
            </span>
            {shown.length > 0 && (
              <button
                type="button"
                class="small"
                onClick={() => onPicked([...new Set([...picked, ...shown.map(({ id }) => id)])])}
              >
                Pick {text === '' ? 'all' : 'these'} {countText(shown.length)}
              </button>
            )}
            {picked.length > 0 && (
              <button type="button" class="small" onClick={() => onPicked([])}>
                Clear
              </button>
            )}
          </div>
          <ul class="targets-list">
            {shown.slice(0, SHOWN).map((member) => (
              <Target key={member.id} member={member} isPicked={chosen.has(member.id)} onToggle={toggle} />
            ))}
          </ul>
          {shown.length > SHOWN && <p class="quiet">and {countText(shown.length - SHOWN)} more: filter to see them</p>}
          {value && able.length === 0 && <p class="quiet">No node takes {action}.</p>}
        </>
      )}
    </div>
  );
}

interface TargetProps {
  readonly member: Member;
  readonly isPicked: boolean;
  onToggle(id: string, isOn: boolean): void;
}

function Target({ member: { id, state, via }, isPicked, onToggle }: TargetProps) {
  return (
    <li>
      <label>
        <input
          type="checkbox"
          checked={isPicked}
          onChange={({ currentTarget }) => onToggle(id, currentTarget.checked)}
        />
        <MarkIcon mark={state} />
        <span>{id}</span>
        <span class="quiet">
          {state !== 'up' && state}
          {via.length > 0 && ` via ${via.join(', ')}`}
        </span>
      </label>
    </li>
  );
}
