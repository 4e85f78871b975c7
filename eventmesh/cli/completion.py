"""`eventmesh completion bash|zsh|fish`: a script that completes commands, actions and flags.

Made from the parsers themselves, so that it says what they take; what a flag's value may be is left to the shell.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from eventmesh.base.frozen import frozen

SHELLS = ("bash", "zsh", "fish")

Path = tuple[str, ...]


@frozen
class Word:
    """Something that may come next, and what it does."""

    text: str
    help: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the argument."""
    parser.add_argument("shell", choices=SHELLS, help="source it: `source <(eventmesh completion bash)`")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    from eventmesh.cli.main import parser_of_all

    known = dict(words(parser_of_all()))
    sys.stdout.write({"bash": bash, "zsh": zsh, "fish": fish}[args.shell](known))
    return 0


def words(parser: argparse.ArgumentParser, path: Path = ()) -> Iterator[tuple[Path, list[Word]]]:
    """Yield what may come after each command and action.

    argparse tells of its parts in no public way; the test of completion fails when they change.
    """
    here: list[Word] = []
    below: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below = dict(action.choices)
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            here += [Word(name, helps.get(name, "")) for name in below]
        else:
            text = "" if action.help in (None, argparse.SUPPRESS) else str(action.help)
            flags = [flag for flag in action.option_strings if flag.startswith("--")]
            here += [Word(flag, text) for flag in flags]
            if not action.option_strings and action.choices:
                here += [Word(str(choice), "") for choice in action.choices]
    yield path, here
    for name, child in below.items():
        yield from words(child, (*path, name))


def bash(known: dict[Path, list[Word]]) -> str:
    """Return the script for bash."""
    cases = "\n".join(
        f"    {_quoted(' '.join(path))}) words={_quoted(' '.join(word.text for word in after))} ;;"
        for path, after in known.items()
    )
    return f"""_eventmesh() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" at="" longer words="" index
  for ((index = 1; index < COMP_CWORD; index++)); do
    longer="${{at:+$at }}${{COMP_WORDS[index]}}"
    case "$longer" in {"|".join(_quoted(" ".join(path)) for path in known if path)}) at="$longer" ;; esac
  done
  case "$at" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _eventmesh eventmesh
"""


def zsh(known: dict[Path, list[Word]]) -> str:
    """Return the script for zsh."""
    cases = "\n".join(
        f"    {_quoted(' '.join(path))}) next=({' '.join(_quoted(_described(word)) for word in after)}) ;;"
        for path, after in known.items()
    )
    return f"""#compdef eventmesh
_eventmesh() {{
  local at="" longer word
  local -a next
  for word in ${{words[2,CURRENT-1]}}; do
    longer="${{at:+$at }}$word"
    case "$longer" in {"|".join(_quoted(" ".join(path)) for path in known if path)}) at="$longer" ;; esac
  done
  case "$at" in
{cases}
  esac
  _describe eventmesh next || _files
}}
compdef _eventmesh eventmesh
"""


def fish(known: dict[Path, list[Word]]) -> str:
    """Return the script for fish."""
    lines = ["complete -c eventmesh -e"]
    for path, after in known.items():
        children = " ".join(other[-1] for other in known if len(other) == len(path) + 1 and other[:-1] == path)
        seen = [f"__fish_seen_subcommand_from {name}" for name in path]
        unseen = [f"not __fish_seen_subcommand_from {children}"] if children else []
        condition = _quoted("; and ".join((*seen, *unseen)) or "true")
        if children:
            # A word of ours must follow here, and no file.
            lines.append(f"complete -c eventmesh -n {condition} -f")
        for word in after:
            what = f"-l {word.text[2:]}" if word.text.startswith("--") else f"-a {word.text}"
            lines.append(f"complete -c eventmesh -n {condition} {what} -d {_quoted(word.help)}")
    return "\n".join(lines) + "\n"


def _described(word: Word) -> str:
    return f"{word.text}:{word.help}" if word.help else word.text


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
