"""`choreo completion bash | zsh | fish`: scripts by which a shell completes `choreo`, made from its own commands.

The commands and options stand in the script, so that TAB answers at once; names of the project are asked for by
`choreo completion names`.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from shlex import quote

import click

from choreo.cli.grammar import Typed, Value, Word, grammar
from choreo.cli.options import command
from choreo.cli.project import Project
from choreo.cli.targets import ALL_SPECS, SAMPLE_SHOP, Finder

NAMES = ("targets", "services", "sagas")
_SAGA = re.compile(r"^\s*\{?\s*saga:\s*([a-z0-9_]+)", re.MULTILINE)

BASH = """\
# choreo's commands for bash; `choreo completion bash` writes it anew after an upgrade.
_choreo_below() { case "$1" in
%(below)s
esac; }
_choreo_options() { case "$1" in
%(options)s
esac; }
_choreo_value() { case "$1" in
%(values)s
*) return 1 ;;
esac; }
_choreo_argument() { case "$1" in
%(arguments)s
esac; }
_choreo_offer() {
    case "$1" in
        file) compgen -f -- "$2" ;;
        directory) compgen -d -- "$2" ;;
        targets) compgen -W "$(choreo completion names targets 2>/dev/null)" -- "$2"; compgen -f -- "$2" ;;
        services|sagas) compgen -W "$(choreo completion names "$1" 2>/dev/null)" -- "$2" ;;
        ""|nothing|anything) ;;
        *) compgen -W "$1" -- "$2" ;;
    esac
}
_choreo() {
    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" at="" word value n line
    for ((n = 1; n < COMP_CWORD; n++)); do
        word="${COMP_WORDS[n]}"
        case " $(_choreo_below "$at") " in *" $word "*) at="${at:+$at }$word" ;; esac
    done
    COMPREPLY=()
    while IFS= read -r line; do
        [ -n "$line" ] && COMPREPLY+=("$line")
    done <<< "$(
        if value="$(_choreo_value "$at|$previous")"; then
            _choreo_offer "$value" "$current"
        elif [ "${current:0:1}" = "-" ]; then
            compgen -W "$(_choreo_options "$at")" -- "$current"
        else
            compgen -W "$(_choreo_below "$at")" -- "$current"
            _choreo_offer "$(_choreo_argument "$at")" "$current"
        fi
    )"
}
complete -o filenames -F _choreo choreo
"""

ZSH = """\
# choreo's commands for zsh, which runs the script for bash.
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
autoload -Uz +X bashcompinit && bashcompinit
"""

FISH = """\
# choreo's commands for fish; `choreo completion fish` writes it anew after an upgrade.
set -g __choreo_paths %(paths)s
function __choreo_at
    set -l path
    for word in (commandline -opc)[2..-1]
        set -l longer (string trim "$path $word")
        contains -- "$longer" $__choreo_paths; and set path "$longer"
    end
    test "$path" = "$argv[1]"
end
complete -c choreo -f
%(lines)s
"""


def _everything() -> list[Typed]:
    from choreo.cli.main import cli  # main loads this module when it is asked for

    return list(grammar(cli))


@command("bash")
def for_bash(project: Project) -> None:
    """The script for bash 4 or newer: choreo completion bash > ~/.local/share/bash-completion/completions/choreo."""
    project.output.line(bash_script(_everything()).rstrip("\n"))


@command("zsh")
def for_zsh(project: Project) -> None:
    """The script for zsh: choreo completion zsh > ~/.choreo.zsh, and source that in ~/.zshrc."""
    project.output.line(ZSH + bash_script(_everything()).rstrip("\n"))


@command("fish")
def for_fish(project: Project) -> None:
    """The script for fish: choreo completion fish > ~/.config/fish/completions/choreo.fish."""
    project.output.line(fish_script(_everything()).rstrip("\n"))


@command("names")
@click.argument("kind", type=click.Choice(NAMES))
def show_names(project: Project, kind: str) -> None:
    """Names of the project, one a line, as the scripts ask for them; its code is not loaded."""
    finder = Finder(project.config, Path.cwd())
    services, specs = finder.service_names(), finder.spec_files()
    found = {
        "services": services,
        "sagas": [name for path in specs for name in _SAGA.findall(path.read_text("utf-8", "replace"))[:1]],
        "targets": [*services, *(path.stem for path in specs), *([ALL_SPECS] if specs else []), SAMPLE_SHOP],
    }
    for name in dict.fromkeys(found[kind]):
        project.output.line(name)


def bash_script(commands: Iterable[Typed]) -> str:
    """Tables of what follows upon each command, and a function that looks them up.

    zsh runs it, too: no variable may be called path there, which is PATH by another name.
    """
    below, options, values, arguments = [], [], [], []
    for typed in commands:
        path = " ".join(typed.path)
        below += [_case(path, " ".join(typed.below))] if typed.below else []
        options.append(_case(path, " ".join(spelling for word in typed.options for spelling in word.spellings)))
        values += [
            _case(f"{path}|{spelling}", _offer(word.value))
            for word in typed.options
            for spelling in word.spellings
            if word.value.kind != "nothing"
        ]
        arguments += [_case(path, _offer(typed.argument))] if typed.argument.kind != "nothing" else []
    tables = {"below": below, "options": options, "values": values, "arguments": arguments}
    return BASH % {name: "\n".join(lines) for name, lines in tables.items()}


def _case(pattern: str, answer: str) -> str:
    return f"{quote(pattern)}) echo {quote(answer)} ;;"


def _offer(value: Value) -> str:
    return " ".join(value.choices) or value.kind


def fish_script(commands: Iterable[Typed]) -> str:
    """A line for each thing that can follow upon a command, with its help."""
    lines, paths = [], []
    for typed in commands:
        path = " ".join(typed.path)
        paths += [path] if path else []
        at = f"complete -c choreo -n {_fish(f'__choreo_at {_fish(path)}')}"
        lines += [f"{at} -a {name} -d {_fish(said)}" for name, said in typed.below.items()]
        lines += [f"{at} {_fish_option(word)} -d {_fish(word.help)}" for word in typed.options]
        lines += [f"{at} {rest}" for rest in _fish_argument(typed.argument)]
    return FISH % {"paths": " ".join(map(_fish, paths)), "lines": "\n".join(lines)}


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _fish_option(word: Word) -> str:
    spelt = [f"-l {one[2:]}" if one.startswith("--") else f"-s {one[1:]}" for one in word.spellings]
    takes = "" if word.value.kind == "nothing" else " -x" if word.value.kind != "file" else " -r -F"
    return " ".join(spelt) + takes + "".join(f" {rest}" for rest in _fish_argument(word.value) if rest != "-F")


def _fish_argument(value: Value) -> list[str]:
    """What is offered: words, names that are asked for, files."""
    if value.choices:
        return [f"-a {_fish(' '.join(value.choices))}"]
    asked = [f"-a '(choreo completion names {value.kind} 2>/dev/null)'"] if value.kind in NAMES else []
    if value.kind == "directory":
        asked = ["-a '(__fish_complete_directories)'"]
    return asked + (["-F"] if value.kind in ("file", "targets") else [])
