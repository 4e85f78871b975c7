"""What one replica tells another survives the way, within limits, and what cannot be read is no word."""

from __future__ import annotations

import pytest

from eventmesh.kube.objects import Key
from eventmesh.xds.control.replicas.word import (
    MAX_BYTES,
    MAX_MESSAGE_CHARS,
    MAX_NAME_CHARS,
    MAX_NAMED,
    MAX_REFUSED,
    UNKNOWN,
    Refused,
    Word,
)

KIND = "ingresses.networking.internal.knative.dev"


def refused(number: int, message: str = "no such header") -> Refused:
    return Refused(KIND, Key("default", f"i-{number}"), 3, message)


def test_a_word_is_read_as_it_was_told() -> None:
    word = Word(2, {KIND: 41}, ("gw-1",), (refused(1),))
    assert Word.from_json(word.to_json()) == word


def test_a_word_of_a_crowd_that_refuses_everything_stays_small() -> None:
    crowd = Word(9, {KIND: 1}, ("n" * 5_000,) * 500, tuple(refused(n, "m" * 9_000) for n in range(500)))
    read = Word.from_json(crowd.to_json())
    assert (len(read.waiting), len(read.refused)) == (MAX_NAMED, MAX_REFUSED)
    assert (len(read.waiting[0]), len(read.refused[0].message)) == (MAX_NAME_CHARS, MAX_MESSAGE_CHARS)
    assert len(crowd.to_json()) < MAX_BYTES / 10


def test_the_longest_word_in_any_script_is_read() -> None:
    key = Key("n" * 63, "i" * 253)
    words = tuple(Refused(KIND, key, 3, "\U0001f6ab" * MAX_MESSAGE_CHARS) for _ in range(MAX_REFUSED))
    word = Word(9, {KIND: 1}, ("\U0001f6ab" * MAX_NAME_CHARS,) * MAX_NAMED, words)
    assert Word.from_json(word.to_json()) == word


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "null",
        "{}",
        '{"clients":"x","versions":{},"waiting":[],"refused":[]}',
        '{"clients":1,"versions":[],"waiting":[],"refused":[]}',
        '{"clients":1,"versions":{},"waiting":[],"refused":[{}]}',
        '{"clients":1e999,"versions":{},"waiting":[],"refused":[]}',
        "[" * 10_000,
        " " * (MAX_BYTES + 1),
    ],
)
def test_what_is_no_word_is_told_from_one(text: str) -> None:
    with pytest.raises(ValueError):
        Word.from_json(text)


def test_who_has_no_data_planes_is_not_waited_for() -> None:
    assert Word(0).covers({KIND: 7})


def test_needs_are_covered_kind_by_kind() -> None:
    word = Word(1, {KIND: 7})
    assert word.covers({KIND: 7})
    assert not word.covers({KIND: 8})
    assert not word.covers({KIND: 7, "services": 1})
    assert not UNKNOWN.covers({KIND: 1})


def test_a_refusal_is_about_one_form_of_an_object() -> None:
    word = Word(1, refused=(refused(1),))
    assert word.refusal(KIND, Key("default", "i-1"), 3) == "no such header"
    assert word.refusal(KIND, Key("default", "i-1"), 4) is None
    assert word.refusal(KIND, Key("default", "i-2"), 3) is None
