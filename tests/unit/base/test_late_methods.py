"""A constructor that is written late is the one that the standard library would have written at once."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field, fields
from typing import Any

import pytest

from eventmesh.base.late_methods import BY_NAME, MADE_BEFORE_WRITING, late_constructor, written_at_once


def declared(late: bool) -> type[Any]:
    """Return a class with each kind of field, in either way."""

    class Message:
        """A message."""

        self: int
        name: str
        hosts: list[str] = field(default_factory=list)
        weight: int = 1

        def __post_init__(self) -> None:
            self.unknown = b""

    made: type[Any] = dataclass(init=not late)(Message)
    if late:
        made.__init__ = late_constructor(made, fields(made), BY_NAME)
    return made


@pytest.mark.parametrize("calls", [0, MADE_BEFORE_WRITING], ids=["before it is written", "after"])
def test_it_sets_what_the_usual_one_sets(calls: int) -> None:
    late, usual = declared(True), declared(False)
    for _ in range(calls):
        late(1, "a")
    for arguments, named in (((1, "a"), {}), ((1,), {"name": "b", "hosts": ["h"]}), ((2, "c", ["x"], 5), {})):
        assert vars(late(*arguments, **named)) == vars(usual(*arguments, **named))
    assert late(1, "a").hosts is not late(1, "a").hosts


def test_wrong_arguments_are_refused_in_the_usual_words() -> None:
    for arguments, named in (((), {}), ((1, "a", [], 1, 2), {}), ((1, "a"), {"other": 1}), ((1, "a"), {"name": "b"})):
        words = []
        for late in (True, False):
            with pytest.raises(TypeError) as refused:
                declared(late)(*arguments, **named)
            words.append(str(refused.value))
        assert words[0] == words[1]


def test_it_takes_the_place_of_what_wrote_it_when_it_is_called_often() -> None:
    late = declared(True)
    for _ in range(MADE_BEFORE_WRITING):
        late(1, "a")
    stood_in = late.__init__
    late(1, "a")
    assert late.__init__ is not stood_in
    names = [list(inspect.signature(each).parameters) for each in (late, declared(False))]
    assert names[0] == names[1] == ["self", "name", "hosts", "weight"]


def test_a_process_that_forks_others_has_it_written_at_the_first_call() -> None:
    late, later = declared(True), declared(True)
    stood_in = late.__init__, later.__init__
    with written_at_once():
        late(1, "a")
    later(1, "a")
    assert late.__init__ is not stood_in[0] and later.__init__ is stood_in[1]
