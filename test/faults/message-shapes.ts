/** Makes a message of `bytes`, or nearly so many, under a token. */
type Shape = (token: string, bytes: number) => string | Buffer;

/** A message whose DATA is `part` again and again, within `start` and `end`. */
function filled(start: string, part: string, end: string, action = 'ECHO'): Shape {
  return (token, bytes) => {
    const head = `[${action}] [${token}] [] ${start}`;
    const room = bytes - Buffer.byteLength(head) - Buffer.byteLength(end);
    return head + part.repeat(Math.floor(room / Buffer.byteLength(part))) + end;
  };
}

/** Strings that fill a message, as many as a request may have. */
function strings(part: string, of: number): Shape {
  return (token, bytes) => {
    const head = `[ECHO] [${token}] [] {"a":[`;
    const each = Math.floor((bytes - head.length - 2) / of) - 3;
    const text = `"${part.repeat(Math.floor(each / Buffer.byteLength(part)))}"`;
    return `${head}${Array(of).fill(text).join(',')}]}`;
  };
}

/** What parsers dislike, each as large as a message may be. */
export const SHAPES: Readonly<Record<string, Shape>> = {
  'objects within one another': filled('', '{"a":', ''),
  'lists within one another': filled('{"a":', '[', ''),
  'a million keys': (token, bytes) => {
    const head = `[ECHO] [${token}] [] {`;
    const keys = Array.from({ length: 1_000_000 }, (_, i) => `"k${i}":1`).join(',');
    return `${head}${keys.slice(0, keys.lastIndexOf(',', bytes - head.length - 1))}}`;
  },
  'numbers in a list': filled('{"a":[1', ',1', ']}'),
  'one string': filled('{"a":"', 'x', '"}'),
  'one string of escapes': filled('{"a":"', '\\u00e9', '"}'),
  'one string of escaped quotes': filled('{"a":"', '\\"', '"}'),
  'one string of backslashes': filled('{"a":"', '\\\\', '"}'),
  'one string beyond ASCII': filled('{"a":"', '\u20ac', '"}'),
  'one key': filled('{"', 'k', '":1}'),
  'forty thousand strings of escapes': strings('\\n', 40_000),
  'one number': filled('{"a":', '7', '}'),
  spaces: filled('{', ' ', '}'),
  'no JSON': filled('', 'x', ''),
  'a string without an end': filled('{"a":"', '\\"', ''),
  'bytes that are not UTF-8': (token, bytes) => {
    const head = Buffer.from(`[ECHO] [${token}] [] {"a":"`);
    return Buffer.concat([head, Buffer.alloc(bytes - head.length, 0xff)]);
  },
  'an action that nobody has': filled('{"a":"', 'x', '"}', 'NOBODY'),
  'a KILL in the short form': filled('[probe] [', 'x', ']', 'KILL'),
};
