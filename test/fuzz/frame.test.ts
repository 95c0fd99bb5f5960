import {
  decodePack,
  decodeText,
  encodeBatch,
  FrameError,
  formatMessage,
  type Message,
  PACK,
  parseMessage,
  parseReply,
} from '@centreond/protocol';
import { expect, test } from 'vitest';
import { fuzz, options, titled } from './campaign.ts';
import type { Dice } from './dice.ts';

/** PROTOCOL.md, section 2, as an expression: what the scanner must take, and nothing else. */
const FORM =
  /^\[(?<action>[A-Z][A-Z0-9_-]{0,63})\] \[(?<token>[A-Za-z0-9._:-]{0,255})\] \[(?<target>[A-Za-z0-9._-]{0,64})\](?: (?<data>[\s\S]*))?$/;
const KILL = /^\[(?<type>[^\]]*)\] \[(?<id>[^\]]*)\]$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it must refuse
const CONTROL = /[\x00-\x1f\x7f]/;

const VALID = [
  '[PING] [] []',
  '[GETLOG] [] [central] {"token":"t","id":0,"limit":3}',
  '[COMMAND] [a.b_c:d-1] [paris] {"command":["echo","é"],"$":{"hold":true}}',
  '[KILL] [k] [] [probe] [instance 1]',
  '[KILL] [k] [] {"type":"probe","id":"\\u0000"}',
  '[ACK] [t] {"code":0,"data":{}}',
  '[LOG] [t] {"id":1,"token":"t","type":"ECHO","node":"n","code":2,"etime":1,"ctime":1,"data":{}}',
  '[BYE] [] [] {"reason":"over"}',
  `[${'A'.repeat(64)}] [${'t'.repeat(255)}] [${'n'.repeat(64)}] {}`,
].map((text) => Buffer.from(text));

function part(dice: Dice, alphabet: string, limit: number): string {
  const text = dice.text(alphabet, dice.chance(0.3) ? limit + dice.below(3) - 1 : dice.below(12));
  return dice.chance(0.1) ? text + dice.word() : text;
}

function grammatical(dice: Dice): Buffer {
  const space = () => (dice.chance(0.04) ? dice.pick(['', '  ', '\t', '\n']) : ' ');
  const action = dice.chance(0.3) ? 'KILL' : `A${part(dice, 'ABCXYZ019_-', 63)}`;
  const token = part(dice, 'abcXYZ019._:-', 255);
  const target = part(dice, 'abcXYZ019._-', 64);
  const data = dice.one([
    () => '',
    () => space() + JSON.stringify(dice.json(2)),
    () => `${space()}[${dice.anyText(20)}]${space()}[${dice.anyText(20)}]`,
    () => space() + dice.anyText(30),
  ]);
  return Buffer.from(`[${action}]${space()}[${token}]${space()}[${target}]${data}`);
}

function packed(dice: Dice): Buffer {
  const out = encodeBatch(
    dice.list(6, () => dice.anyText(40)),
    1,
  );
  out[0] = PACK;
  return dice.chance(0.5) ? out : dice.mutated(out);
}

/** What `parse` gives; undefined if it refuses with a FrameError, the only error that it may throw. */
function parsed<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
    if (!/^[A-Za-z0-9._:-]{0,255}$/.test(error.token)) throw new Error(`the token ${error.token} is echoed`);
    return undefined;
  }
}

function expected(text: string): Message | undefined {
  const { action, token, target, data = '' } = FORM.exec(text)?.groups ?? {};
  if (action === undefined || token === undefined || target === undefined) return undefined;
  if (action !== 'KILL' || !data.startsWith('[')) return { action, token, target, data };
  const { type, id } = KILL.exec(data)?.groups ?? {};
  if (type === undefined || id === undefined || CONTROL.test(id)) return undefined;
  return { action, token, target, data: JSON.stringify({ type, id }) };
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decoded(bytes: Buffer): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

function checkReply(text: string): void {
  let reply: Message | undefined;
  try {
    reply = parseReply(text);
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
  }
  if (reply && !text.startsWith(`[${reply.action}] [${reply.token}]`)) throw new Error(`it was read as ${reply}`);
}

function checkPack(bytes: Buffer): void {
  const messages = parsed(() => decodePack(bytes));
  if (!messages || bytes[0] !== PACK) return;
  const whole = messages.reduce((sum, { length }) => sum + 4 + length, 1);
  if (whole !== bytes.length) throw new Error(`${messages.length} messages are ${whole} of ${bytes.length} bytes`);
}

test(titled('a frame is read as the protocol writes it, or refused as malformed'), options, () =>
  fuzz<Buffer>({
    name: 'frame',
    cases: 3_750_000,
    make: (dice) =>
      dice.one([
        () => dice.mutated(dice.pick(VALID), dice.pick(VALID)),
        () => grammatical(dice),
        () => dice.mutated(grammatical(dice)),
        () => packed(dice),
        () => dice.bytes(dice.size(60)),
      ]),
    run(bytes) {
      checkPack(bytes);
      const text = parsed(() => decodeText(bytes));
      const wanted = decoded(bytes);
      if (text !== wanted) throw new Error('its UTF-8 is read in another way than by TextDecoder');
      if (text === undefined) return;
      checkReply(text);
      const message = parsed(() => parseMessage(text));
      const right = expected(text);
      if (JSON.stringify(message) !== JSON.stringify(right)) expect(message).toEqual(right);
      if (!message || message.action === 'KILL') return;
      const { action, token, target, data } = message;
      const again = formatMessage(action, token, target, data);
      if (again !== text && `${again} ` !== text) expect(again).toBe(text);
    },
    show: (bytes) => JSON.stringify(bytes.toString('latin1')),
  }),
);
