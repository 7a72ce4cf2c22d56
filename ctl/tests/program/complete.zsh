# Prints what zsh offers for a command line: SCRIPT WORDS…
# Completion works only inside the line editor, so a second zsh has a terminal of its own, in which the
# words that are added to the list are printed, between two zero bytes. A call of compadd with -O, -A
# or -D only stores or compares words.
zmodload zsh/zpty || exit 1
script=$1; shift
zpty z zsh -f -i
zpty -w z "stty -echo; PROMPT=; RPROMPT=; unsetopt prompt_cr; autoload -Uz compinit; compinit -u -D
source ${(q)script}
bindkey '^I' complete-word
compadd() {
    [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]] && { builtin compadd \"\$@\"; return }
    local -a found
    builtin compadd -A found \"\$@\"
    print -l -- \$found
}
begin() { print -n '\\0' }
compprefuncs=(begin); comppostfuncs=(begin exit)
print ready"
while zpty -r z line && [[ $line != *ready* ]]; do :; done
zpty -w -n z "rebuilder-ctl $*"$'\t'
text=
while zpty -r z line; do
    text+=$line
    [[ $text == *$'\0'*$'\0'* ]] && break
done
print -r -- "${${text#*$'\0'}%$'\0'*}"
