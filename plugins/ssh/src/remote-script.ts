import { joinWords } from '@centreond/command';

/** What is to run on the other side. */
export interface RemoteLaunch {
  readonly argv: readonly string[];
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string>>;
}

/** What the account's login shell is given, whichever it is: the script itself goes to this one's stdin. */
export const SHELL = 'exec /bin/sh';

/** Shells give them a meaning of their own, or do not let them be set; `env` does. */
const SPECIAL =
  /^(?:BASH.*|SHELLOPTS|[PEU]?UID|PPID|GROUPS|OPTIND|LINENO|RANDOM|SRANDOM|SECONDS|FUNCNAME|DIRSTACK|HISTCMD|_)$/;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Whether a shell's `export` can set it. */
export function isShellVariable(name: string): boolean {
  return NAME.test(name) && !SPECIAL.test(name);
}

/**
 * Stays beside the command, in a session of its own, and listens to the channel's stdin: at `stop` it ends the processes of
 * the command's session by SIGTERM, after 2 s by SIGKILL, at `kill` by SIGKILL at once. At the stdin's end it ends what the
 * command left in its group within 0.5 s, or, where the command still runs, because the connection is gone, all of it as at
 * `stop`. It holds the channel open until nothing is left, 5 s after SIGKILL at most.
 * $1 is the command's process, $2 its start as /proc has it. Without single quotes, since it is put between some.
 */
const KEEPER = `
trap "" HUP INT TERM
p=$1 since=$2
look() {
  born= dead=
  read -r line <"/proc/$p/stat" || return
  set -- \${line##*) }
  born=\${20}
  case $1 in Z | X) dead=1 ;; esac
}
runs() {
  look
  [ -z "$dead" ] && [ "$born" = "$since" ] && kill -0 "$p"
}
scan() {
  others= some=
  if ! [ -r "/proc/$$/stat" ]; then
    kill -0 "-$p" && some=1
    return
  fi
  for each in /proc/[0-9]*; do
    [ "$each" = "/proc/$$" ] && continue
    read -r line <"$each/stat" || continue
    set -- \${line##*) }
    [ "$4" = "$p" ] || continue
    case $1 in Z | X) continue ;; esac
    some=1
    [ "$3" = "$p" ] || others="$others -$3"
  done
}
send() {
  scan
  for each in $others "-$p"; do kill "-$1" "$each"; done
}
# Hundredths of a second since whenever; a tick of the loop below where the system does not say.
clock() {
  if read -r line <"/proc/uptime"; then line=\${line%% *} now=\${line%.*}\${line#*.}; else now=$((now + 10)); fi
}
word= now=0
read -r word
case $word in
  stop) grace=200 ;;
  kill) grace=0 ;;
  *) if runs; then grace=200; else grace=50; fi ;;
esac
if ! runs; then
  look
  [ -n "$born" ] && [ "$born" != "$since" ] && exit
  kill -0 "-$p" || exit 0
fi
tries=0
clock
began=$now
[ $grace = 0 ] || { send TERM; send CONT; }
while
  # A look at every process costs more than a question to the kernel, which counts zombies too.
  if [ $((tries % 4)) = 0 ] || ! kill -0 "-$p"; then
    scan
    [ -n "$some" ]
  fi
do
  clock
  [ $((now - began)) -lt $grace ] || send KILL
  [ $((now - began)) -lt $((grace + 500)) ] || exit
  tries=$((tries + 1))
  sleep 0.1 || sleep 1
done
`;

/**
 * The script that runs a command: it says `MARK PID` on stdout and `MARK` on stderr, then becomes the command, whose end is
 * then the channel's; or it says `MARK cwd|folder|missing|denied|unknown|exec` and ends. What comes before the marks is the
 * login shell's.
 */
export function remoteScript({ argv, cwd, env }: RemoteLaunch, mark: string): string {
  const [program = ''] = argv;
  const names = Object.keys(env);
  const exported = names.filter(isShellVariable);
  const others = names.filter((name) => !isShellVariable(name));
  const command = others.length > 0 ? ['env', ...others.map((name) => `${name}=${env[name]}`), ...argv] : argv;
  const word = (text: string) => joinWords([text]);
  const lines = [
    // Braces: all of it is read before anything runs, since its stdin becomes the keeper's.
    '{',
    'exec 3<&0 4>&1 </dev/null',
    `no() { printf '%s %s\\n' ${mark} "$1"; trap - EXIT; exit 1; }`,
    `printf '%s %s\\n' ${mark} "$$"`,
    `printf '%s\\n' ${mark} >&2`,
    `trap 'no exec' EXIT`,
    `born() { read -r line <"/proc/$$/stat" && set -- \${line##*) } && echo "\${20}"; }`,
    'if command -v setsid >/dev/null; then set -- setsid; else set --; fi',
    `"$@" /bin/sh -c '${KEEPER}' keeper "$$" "$(born 2>/dev/null)" <&3 >&4 2>/dev/null 3<&- &`,
    'set --',
    ...(cwd === undefined ? [] : [`cd ${word(cwd)} 2>/dev/null || no cwd`]),
    ...exported.map((name) => `export ${name}=${word(env[name] as string)}`),
    ...(program.includes('/')
      ? [
          `[ -e ${word(program)} ] || no missing`,
          `[ ! -d ${word(program)} ] || no folder`,
          `[ -x ${word(program)} ] || no denied`,
        ]
      : [`command -v ${word(program)} >/dev/null || no unknown`]),
    `exec ${joinWords(command)} 3<&- 4>&-`,
    '}',
    '',
  ];
  return lines.join('\n');
}
