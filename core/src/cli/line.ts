import type { Command, Option } from 'commander';
import type { Globals } from './exit.ts';

/** A command line that is being written: where its last word stands. */
export class Line {
  /** The verb that the words before have reached. */
  readonly command: Command;
  /** Its operands so far. */
  readonly operands: readonly string[];
  /** The option whose value the last word is. */
  readonly option: Option | undefined;
  /** The last word, as far as it is written. */
  readonly partial: string;
  readonly #values: ReadonlyMap<string, string>;
  readonly #given: ReadonlySet<Option>;

  constructor(program: Command, words: readonly string[]) {
    let command = program;
    let option: Option | undefined;
    const operands: string[] = [];
    const values = new Map<string, string>();
    const given = new Set<Option>();
    for (const word of words.slice(0, -1)) {
      if (option) {
        values.set(option.attributeName(), word);
        option = undefined;
        continue;
      }
      if (word.startsWith('-') && word !== '-') {
        const [name = '', value] = word.split(/=(.*)/s);
        const found = optionOf(command, name);
        if (found) given.add(found);
        if (found && value !== undefined) values.set(found.attributeName(), value);
        // One whose value may be omitted is followed by what comes next.
        else if (found?.required) option = found;
        continue;
      }
      const verb = command.commands.find((one) => one.name() === word);
      if (verb) command = verb;
      else operands.push(word);
    }
    this.command = command;
    this.operands = operands;
    this.option = option;
    this.partial = words.at(-1) ?? '';
    this.#values = values;
    this.#given = given;
  }

  /** What a verb would be told by the options on the line, and by the context. Rejects where there is no such context. */
  async globals(): Promise<Globals> {
    const { inContext } = await import('./contexts.ts');
    return inContext(Object.fromEntries(this.#values) as Globals, true);
  }

  optionNamed(name: string): Option | undefined {
    return optionOf(this.command, name);
  }

  /** The options that may stand here and do not yet. */
  options(): Option[] {
    return lineage(this.command)
      .flatMap(({ options }) => options)
      .filter((option) => !option.hidden && !this.#given.has(option));
  }
}

function optionOf(command: Command, name: string): Option | undefined {
  return lineage(command)
    .flatMap(({ options }) => options)
    .find(({ long, short }) => name === long || name === short);
}

/** A verb and those above it. */
function lineage(command: Command): Command[] {
  return command.parent ? [command, ...lineage(command.parent)] : [command];
}
