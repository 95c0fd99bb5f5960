import { misuse } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';

/** What a shell runs at a Tab: `centreond complete -- WORDS…` prints the words, a line each, with what they are behind a tab. */
const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `# centreond: completion for bash. Use: source <(centreond completion bash)
_centreond() {
  local line="\${COMP_LINE:0:COMP_POINT}" cur="\${COMP_WORDS[COMP_CWORD]}" word
  local -a words
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  # bash ends a word at = and :, and replaces only what stands behind.
  [[ $cur == [=:] ]] && cur=""
  local last="\${words[-1]}"
  local head="\${last%"$cur"}"
  COMPREPLY=()
  while IFS=$'\\t' read -r word _; do
    COMPREPLY+=("$(printf '%q' "\${word#"$head"}")")
    [[ $word == *[=/] ]] && compopt -o nospace
  done < <("$1" complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -F _centreond centreond
`,
  zsh: `#compdef centreond
# centreond: completion for zsh. Use: source <(centreond completion zsh), after compinit; or keep it as _centreond in $fpath.
_centreond() {
  local line word about
  local -a lines closed closed_about open open_about
  lines=("\${(@f)$("\${words[1]}" complete -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}")
  for line in $lines; do
    word="\${line%%$'\\t'*}"
    about="$word"
    [[ $line == *$'\\t'* ]] && about="$word  -- \${line#*$'\\t'}"
    # Behind = and / the word goes on.
    if [[ $word == *[=/] ]]; then
      open+=("$word"); open_about+=("$about")
    else
      closed+=("$word"); closed_about+=("$about")
    fi
  done
  (( $#closed )) && compadd -l -d closed_about -a closed
  (( $#open )) && compadd -l -S '' -d open_about -a open
  return 0
}
if [[ "\${funcstack[1]}" == _centreond ]]; then
  _centreond "$@"
else
  compdef _centreond centreond
fi
`,
  fish: `# centreond: completion for fish. Use: centreond completion fish | source
function __centreond_complete
  set -l words (commandline -opc)
  $words[1] complete -- $words[2..] (commandline -ct) 2>/dev/null
end
complete -c centreond -f -a '(__centreond_complete)'
`,
};

/** `centreond completion SHELL`: prints the script that completes centreond's words in that shell. */
export async function completion({ json }: Globals, shell: string): Promise<number> {
  const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
  if (script === undefined)
    throw misuse(`There is completion for ${Object.keys(SCRIPTS).join(', ')}, not for ${shell}.`);
  process.stdout.write(json ? `${JSON.stringify({ shell, script })}\n` : script);
  return EXIT.done;
}
