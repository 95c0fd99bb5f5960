const CHOICES = [
  ['', 'refuse the call'],
  ['15m', 'keep the call for 15 minutes'],
  ['1h', 'keep the call for an hour'],
  ['1d', 'keep the call for a day'],
] as const;

/** Chooses what becomes of a call to a node that is away. `value` is a duration; empty: the call is refused. */
export function Hold({ value, onPick }: { value: string; onPick(value: string): void }) {
  return (
    <label class="field-inline">
      <span>If a node is away</span>
      <select value={value} onChange={({ currentTarget }) => onPick(currentTarget.value)}>
        {CHOICES.map(([duration, text]) => (
          <option key={duration} value={duration}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
