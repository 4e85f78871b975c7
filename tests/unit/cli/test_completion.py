"""Completion, asked as bash asks it; the other shells' scripts name the same words."""

from __future__ import annotations

import shlex
import subprocess
from functools import cache

import pytest

from eventmesh.cli.completion import bash, fish, words, zsh
from eventmesh.cli.main import COMMANDS, parser_of_all


@cache
def script() -> str:
    return bash(dict(words(parser_of_all())))


def completed(*typed: str) -> list[str]:
    """Return what bash offers for the last word."""
    line = " ".join(map(shlex.quote, ("eventmesh", *typed)))
    asked = f'COMP_WORDS=({line})\nCOMP_CWORD={len(typed)}\n_eventmesh\nprintf "%s\\n" "${{COMPREPLY[@]}}"\n'
    done = subprocess.run(["/bin/bash"], input=script() + asked, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_every_command_is_offered() -> None:
    assert set(completed("")) >= set(COMMANDS)
    assert completed("st") == ["status"]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (("images", ""), {"add", "list", "rm"}),
        (("events", "dead", ""), {"list", "get"}),
        (("get", "ksvc", "-o", "json", "--name"), {"--namespace"}),
        (("completion", "z"), {"zsh"}),
        (("events", "list", "shop", "--since", "1h", "--lim"), {"--limit"}),
    ],
)
def test_what_may_come_next_is_offered(typed: tuple[str, ...], offered: set[str]) -> None:
    assert offered <= set(completed(*typed))


def test_the_scripts_of_other_shells_know_every_command_and_action() -> None:
    known = dict(words(parser_of_all()))
    for text in (zsh(known), fish(known)):
        for path, after in known.items():
            assert all(name in text for name in path)
            assert all(word.text.removeprefix("--") in text for word in after)
