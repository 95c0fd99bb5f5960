import type { ChoiceField, Field, GroupField, Json, ListField, NumberField, PairsField, TextField } from './schema.ts';

/** What was typed into a form so far. Texts, numbers, flags, options (by index) and raw JSON are drafts as text. */
export type Draft = string | ListDraft | GroupDraft | PairsDraft | ChoiceDraft;
export interface ListDraft {
  readonly items: readonly Draft[];
}
export interface GroupDraft {
  readonly members: Readonly<Record<string, Draft>>;
}
export interface PairsDraft {
  readonly pairs: readonly { readonly key: string; readonly value: Draft }[];
}
export interface ChoiceDraft {
  /** The index of the shape; -1: left out. */
  readonly picked: number;
  readonly value: Draft;
}

export const itemsOf = (draft: Draft): readonly Draft[] =>
  typeof draft === 'object' && 'items' in draft ? draft.items : [];
export const membersOf = (draft: Draft): Readonly<Record<string, Draft>> =>
  typeof draft === 'object' && 'members' in draft ? draft.members : {};
export const pairsOf = (draft: Draft): PairsDraft['pairs'] =>
  typeof draft === 'object' && 'pairs' in draft ? draft.pairs : [];
export const choiceOf = (draft: Draft): ChoiceDraft =>
  typeof draft === 'object' && 'picked' in draft ? draft : { picked: -1, value: '' };
export const textOf = (draft: Draft): string => (typeof draft === 'string' ? draft : '');

/** What is wrong with a field, as a clause without its name. */
export interface Issue {
  /** Names and indexes, joined by dots, as the server's sentences have them. */
  readonly path: string;
  readonly text: string;
}
export interface Reading {
  /** Undefined: left out. */
  readonly value: Json | undefined;
  readonly issues: readonly Issue[];
}

/** The draft that a form begins with: the schema's defaults, else empty. */
export function emptyDraft(field: Field, isNeeded = true): Draft {
  const initial = field.initial === undefined ? undefined : draftOf(field, field.initial);
  if (initial !== undefined) return initial;
  switch (field.kind) {
    case 'list':
      return { items: isNeeded ? Array.from({ length: field.minItems }, () => emptyDraft(field.item)) : [] };
    case 'group':
      return {
        members: Object.fromEntries(field.members.map(({ name, field: f, isNeeded: n }) => [name, emptyDraft(f, n)])),
      };
    case 'pairs':
      return { pairs: [] };
    case 'choice':
      return isNeeded ? pick(field, 0) : { picked: -1, value: '' };
    default:
      return '';
  }
}

/** The draft of a choice whose shape `picked` was chosen just now. */
export function pick({ options }: ChoiceField, picked: number): ChoiceDraft {
  const option = options[picked];
  return option ? { picked, value: emptyDraft(option.field) } : { picked: -1, value: '' };
}

/** The DATA that a draft stands for, and what is wrong with it as far as the schema's simple rules tell. */
export function readDraft(field: Field, draft: Draft, isNeeded = true, path = ''): Reading {
  const wrong = (text: string): Reading => ({ value: undefined, issues: [{ path, text }] });
  const left = (): Reading => (isNeeded ? wrong('is needed') : { value: undefined, issues: [] });
  const right = (value: Json): Reading => ({ value, issues: [] });
  const text = textOf(draft);
  switch (field.kind) {
    case 'fixed':
      return right(field.value);
    case 'option': {
      const value = text === '' ? undefined : field.values[Number(text)];
      return value === undefined ? left() : right(value);
    }
    case 'flag':
      return text === '' ? left() : right(text === 'true');
    case 'text': {
      if (text === '' && !(isNeeded && textFault(field, '') === undefined)) return left();
      const fault = textFault(field, text);
      return fault === undefined ? right(text) : wrong(fault);
    }
    case 'number': {
      if (text.trim() === '') return left();
      const fault = numberFault(field, Number(text));
      return fault === undefined ? right(Number(text)) : wrong(fault);
    }
    case 'raw':
      return text.trim() === '' ? left() : readJson(text, path);
    case 'choice': {
      const { picked, value } = choiceOf(draft);
      const option = field.options[picked];
      return option ? readDraft(option.field, value, true, path) : left();
    }
    case 'list':
      return readList(field, draft, isNeeded, path);
    case 'pairs':
      return readPairs(field, draft, isNeeded, path);
    case 'group':
      return readGroup(field, draft, isNeeded, path);
  }
}

const join = (path: string, name: string | number) => (path === '' ? String(name) : `${path}.${name}`);

function readList({ item, minItems, maxItems }: ListField, draft: Draft, isNeeded: boolean, path: string): Reading {
  const items = itemsOf(draft);
  if (items.length === 0 && !isNeeded) return { value: undefined, issues: [] };
  const read = items.map((each, index) => readDraft(item, each, true, join(path, index)));
  const issues = read.flatMap((each) => each.issues);
  if (items.length < minItems) issues.push({ path, text: `needs ${minItems} or more entries` });
  if (items.length > maxItems) issues.push({ path, text: `takes ${maxItems} entries at most` });
  return { value: read.flatMap(({ value }) => (value === undefined ? [] : [value])), issues };
}

function readPairs({ value: field, keyPattern }: PairsField, draft: Draft, isNeeded: boolean, path: string): Reading {
  const pairs = pairsOf(draft);
  if (pairs.length === 0 && !isNeeded) return { value: undefined, issues: [] };
  const issues: Issue[] = [];
  const entries: [string, Json][] = [];
  for (const [index, { key, value }] of pairs.entries()) {
    const at = join(path, index);
    const read = readDraft(field, value, true, at);
    issues.push(...read.issues);
    if (key === '') issues.push({ path: at, text: 'needs a key' });
    else if (keyPattern !== undefined && !fits(keyPattern, key))
      issues.push({ path: at, text: 'has a key that is not allowed here' });
    else if (entries.some(([other]) => other === key))
      issues.push({ path: at, text: `has the key ${key} a second time` });
    if (read.value !== undefined) entries.push([key, read.value]);
  }
  return { value: Object.fromEntries(entries), issues };
}

function readGroup(field: GroupField, draft: Draft, isNeeded: boolean, path: string): Reading {
  if (!isNeeded && isBlank(field, draft)) return { value: undefined, issues: [] };
  const given = membersOf(draft);
  const issues: Issue[] = [];
  const entries: [string, Json][] = [];
  for (const member of field.members) {
    const typed = given[member.name] ?? emptyDraft(member.field, member.isNeeded);
    const read = readDraft(member.field, typed, member.isNeeded, join(path, member.name));
    issues.push(...read.issues);
    if (read.value !== undefined) entries.push([member.name, read.value]);
  }
  return { value: Object.fromEntries(entries), issues };
}

/** Whether nothing was typed. */
function isBlank(field: Field, draft: Draft): boolean {
  switch (field.kind) {
    case 'fixed':
      return true;
    case 'list':
      return itemsOf(draft).length === 0;
    case 'pairs':
      return pairsOf(draft).length === 0;
    case 'group': {
      const given = membersOf(draft);
      return field.members.every(({ name, field: f }) => given[name] === undefined || isBlank(f, given[name]));
    }
    case 'choice': {
      const { picked, value } = choiceOf(draft);
      const option = field.options[picked];
      return !option || isBlank(option.field, value);
    }
    default:
      return textOf(draft) === '';
  }
}

function textFault({ pattern, minLength = 0, maxLength = Number.POSITIVE_INFINITY }: TextField, text: string) {
  const { length } = [...text];
  if (length < minLength) return minLength === 1 ? 'must not be empty' : `needs ${minLength} or more characters`;
  if (length > maxLength) return `takes ${maxLength} characters at most`;
  if (pattern !== undefined && !fits(pattern, text)) return 'has a form that is not allowed here';
  return undefined;
}

function numberFault({ isWhole, minimum, maximum, above, below }: NumberField, number: number) {
  if (!Number.isFinite(number)) return 'must be a number';
  if (isWhole && !Number.isInteger(number)) return 'must be a whole number';
  if (minimum !== undefined && number < minimum) return `must be ${minimum} or more`;
  if (above !== undefined && number <= above) return `must be more than ${above}`;
  if (maximum !== undefined && number > maximum) return `must be ${maximum} or less`;
  if (below !== undefined && number >= below) return `must be less than ${below}`;
  return undefined;
}

/** A pattern that this browser cannot read is left to the server. */
function fits(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(text);
  } catch {
    return true;
  }
}

/** JSON as text. */
export function readJson(text: string, path = ''): Reading {
  try {
    return { value: JSON.parse(text) as Json, issues: [] };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { value: undefined, issues: [{ path, text: `is not JSON: ${reason}` }] };
  }
}

/** The draft that shows `value`; undefined if the form cannot express it. */
export function draftOf(field: Field, value: Json): Draft | undefined {
  switch (field.kind) {
    case 'text':
      return typeof value === 'string' ? value : undefined;
    case 'number':
      return typeof value === 'number' ? String(value) : undefined;
    case 'flag':
      return typeof value === 'boolean' ? String(value) : undefined;
    case 'fixed':
      return isSame(field.value, value) ? '' : undefined;
    case 'option': {
      const index = field.values.findIndex((each) => isSame(each, value));
      return index < 0 ? undefined : String(index);
    }
    case 'raw':
      return JSON.stringify(value, undefined, 2);
    case 'choice': {
      const drafts = field.options.map((option) => draftOf(option.field, value));
      const isRight = drafts.findIndex((each, at) => {
        const option = field.options[at];
        return each !== undefined && option && readDraft(option.field, each).issues.length === 0;
      });
      const picked = isRight >= 0 ? isRight : drafts.findIndex((each) => each !== undefined);
      const draft = drafts[picked];
      return draft === undefined ? undefined : { picked, value: draft };
    }
    case 'list': {
      if (!Array.isArray(value)) return undefined;
      const items = value.map((each) => draftOf(field.item, each));
      return items.some((each) => each === undefined) ? undefined : { items: items as Draft[] };
    }
    case 'pairs': {
      if (!isRecord(value)) return undefined;
      const pairs = Object.entries(value).map(([key, each]) => ({ key, value: draftOf(field.value, each) }));
      return pairs.some((each) => each.value === undefined) ? undefined : { pairs: pairs as PairsDraft['pairs'] };
    }
    case 'group':
      return groupDraftOf(field, value);
  }
}

function groupDraftOf(field: GroupField, value: Json): Draft | undefined {
  if (!isRecord(value)) return undefined;
  const names = new Set(field.members.map(({ name }) => name));
  if (Object.keys(value).some((key) => !names.has(key))) return undefined;
  const members: Record<string, Draft> = {};
  for (const member of field.members) {
    const given = value[member.name];
    // A default is not put where the value had nothing.
    const draft = given === undefined ? emptyDraft(bare(member.field), member.isNeeded) : draftOf(member.field, given);
    if (draft === undefined) return undefined;
    members[member.name] = draft;
  }
  return { members };
}

function bare<T extends Field>(field: T): T {
  const { initial: _, ...rest } = field;
  return rest as T;
}

function isRecord(value: Json): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSame(a: Json, b: Json): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The names of members, `paths` of theirs, that a sentence of the server speaks of: the deepest one it names. */
export function namedIn(sentence: string, paths: readonly string[]): string | undefined {
  const words = new Set(sentence.split(/[^A-Za-z0-9_.$-]+/).map((word) => word.replace(/^\.+|[.:]+$/g, '')));
  const named = paths.filter((path) => words.has(path));
  return named.sort((a, b) => b.length - a.length)[0];
}

/** The paths of a form's members. */
export function pathsOf(field: Field, path = ''): string[] {
  if (field.kind !== 'group') return [];
  return field.members.flatMap(({ name, field: inner }) => [join(path, name), ...pathsOf(inner, join(path, name))]);
}
