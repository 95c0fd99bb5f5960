/**
 * What a plugin's process gets of the daemon's own environment: where programs and the user are, and the language. The last two are
 * for the child runtime. Everything else may be a secret, and a plugin gets it only by its entry in the config.
 */
const PASSED: ReadonlySet<string> = new Set([
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'LANG',
  'LANGUAGE',
  'TZ',
  'TMPDIR',
  'CENTREOND_SOFT_NOFILE',
  'CENTREOND_ZMTP',
]);

type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of a plugin's process: the named few of `own`, those in `names`, and `added` over them. */
export function pluginEnvironment(
  own: Environment,
  names: readonly string[],
  added: Readonly<Record<string, string>>,
): Record<string, string> {
  const wanted = new Set(names);
  const passed = Object.entries(own).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && (PASSED.has(entry[0]) || entry[0].startsWith('LC_') || wanted.has(entry[0])),
  );
  return { ...Object.fromEntries(passed), ...added };
}
