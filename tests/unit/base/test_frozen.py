"""Values are what frozen dataclasses of the standard library are."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace
from threading import Barrier
from typing import Any, ClassVar

import pytest

from eventmesh.base.frozen import frozen


@frozen
class Edit:
    """A value of few fields."""

    name: str
    text: str = ""


@frozen
class Route:
    """A value with every way to give a default."""

    path: str
    edit: Edit = field(default_factory=lambda: Edit("x-first"))
    hosts: tuple[str, ...] = ()
    secret: str = field(default="", repr=False)
    place: int = field(default=0, compare=False)
    terms: dict[str, str] = field(default_factory=dict, hash=False)


@frozen
class Weighed(Route):
    """A value that adds fields to another's."""

    weight: int = 1

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError("weight")


@frozen
class Nothing:
    """A value without fields."""


@frozen
class Kinds:
    """A value with what is no field among its annotations."""

    known: ClassVar[int] = 3
    name: str


@frozen
class Named:
    """A value that says itself how it is shown and compared."""

    name: str

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and self.name.lower() == other.name.lower()

    def __hash__(self) -> int:
        return hash(self.name.lower())


def test_fields_are_those_of_the_standard_library() -> None:
    plain = dataclass(frozen=True, slots=True)

    class Declared:
        path: str
        hosts: tuple[str, ...] = ()
        terms: dict[str, str] = field(default_factory=dict, hash=False, metadata={"unit": "s"})

    def shown(made: type) -> list[str]:
        return [repr(each) for each in fields(made)]

    ours: Any = frozen(type("Declared", (), dict(vars(Declared))))
    assert shown(ours) == shown(plain(type("Declared", (), dict(vars(Declared)))))
    assert ours.__match_args__ == ("path", "hosts", "terms") and is_dataclass(ours)
    assert [each.name for each in fields(Kinds)] == ["name"] and Kinds("a").known == 3
    with pytest.raises(ValueError, match="mutable default"):
        frozen(type("Shared", (), {"__annotations__": {"items": "list[str]"}, "items": []}))


def test_fields_are_known_by_class_by_value_and_by_a_class_below() -> None:
    @frozen
    class Base:
        name: str = "n"

    class Below(Base):
        """Adds behaviour, no fields."""

    for asked in (Below, Below(), Base()):
        assert [each.name for each in fields(asked)] == ["name"]


def test_threads_that_ask_for_fields_at_once_get_the_same() -> None:
    for _ in range(50):

        @frozen
        class Asked:
            name: str = "n"
            items: dict[str, str] = field(default_factory=dict)

        gate = Barrier(4)

        def ask(asked: type[Asked] = Asked, gate: Barrier = gate) -> tuple[object, ...]:
            gate.wait()
            return fields(asked)

        with ThreadPoolExecutor(4) as pool:
            found = {future.result() for future in [pool.submit(ask) for _ in range(4)]}
        assert len(found) == 1


def test_fields_are_given_by_position_or_name_and_default() -> None:
    route = Route("/a", hosts=("h",))
    assert (route.path, route.edit, route.hosts, route.terms) == ("/a", Edit("x-first"), ("h",), {})
    assert Route("/b").terms is not Route("/c").terms
    assert [each.name for each in fields(Weighed)] == [*(each.name for each in fields(Route)), "weight"]


@pytest.mark.parametrize("first", [True, False], ids=["the first of its class", "a later one"])
def test_wrong_arguments_are_refused_by_name(first: bool) -> None:
    @frozen
    class Pair:
        left: int
        right: int = 0

    if not first:
        Pair(1)
    for arguments, named, said in (
        ((), {}, r"Pair.__init__\(\) missing 1 required positional argument: 'left'"),
        ((1, 2, 3), {}, r"Pair.__init__\(\) takes from 2 to 3 positional arguments but 4 were given"),
        ((1,), {"middle": 2}, r"Pair.__init__\(\) got an unexpected keyword argument 'middle'"),
        ((1,), {"left": 2}, r"Pair.__init__\(\) got multiple values for argument 'left'"),
    ):
        with pytest.raises(TypeError, match=said):
            Pair(*arguments, **named)


def test_a_field_is_neither_set_nor_deleted() -> None:
    edit = Edit("a")
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'name'"):
        edit.name = "b"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'other'"):
        edit.other = "b"  # type: ignore[attr-defined]
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'name'"):
        del edit.name
    assert edit == Edit("a") and not hasattr(edit, "__dict__")


def test_values_are_equal_when_their_compared_fields_and_types_are() -> None:
    assert Route("/a", place=1) == Route("/a", place=2) != Route("/b", place=1)
    assert Route("/a") != Weighed("/a")
    assert Nothing() == Nothing() and hash(Nothing()) == hash(Nothing())
    assert hash(Edit("a", "b")) == hash(Edit("a", "b")) != hash(Edit("b", "a"))
    assert hash(Route("/a", place=1, terms={"k": "v"})) == hash(Route("/a", place=2))


def test_a_value_that_holds_what_has_no_hash_has_none() -> None:
    with pytest.raises(TypeError, match="unhashable type: 'list'"):
        hash(Edit([]))  # type: ignore[arg-type]


def test_secrets_are_not_shown() -> None:
    assert repr(Route("/a", Edit("n"), secret="s3cret")) == (  # noqa: S106 - a word of the test
        "Route(path='/a', edit=Edit(name='n', text=''), hosts=(), place=0, terms={})"
    )


def test_methods_of_the_class_itself_stay() -> None:
    assert Named("A") == Named("a") and hash(Named("A")) == hash(Named("a")) and repr(Named("A")) == "<A>"


def test_checks_run_at_each_construction() -> None:
    assert replace(Weighed("/a"), weight=3).weight == 3
    for _ in range(2):
        with pytest.raises(ValueError, match="weight"):
            Weighed("/a", weight=-1)


def test_values_travel_and_are_copied_whole() -> None:
    route = Weighed("/a", Edit("n", "t"), ("h",), "s3cret", 7, {"k": "v"}, 3)
    for other in (pickle.loads(pickle.dumps(route)), copy.copy(route), copy.deepcopy(route)):  # noqa: S301 - our own
        assert other == route and asdict(other) == asdict(route)
    assert copy.deepcopy(route).terms is not route.terms


def test_values_match_by_position() -> None:
    match Edit("a", "b"):
        case Edit("a", text):
            assert text == "b"
        case _:
            raise AssertionError("no match")


def test_what_a_constructor_would_not_take_by_position_is_refused() -> None:
    with pytest.raises(TypeError, match="Hidden: fields are given by position"):

        @frozen
        class Hidden:
            seen: int = field(default=0, init=False)

    with pytest.raises(TypeError, match="Wrong: a field without a default follows one that has one"):

        @frozen
        class Wrong:
            left: int = 0
            right: int  # type: ignore[misc]  # wrong on purpose


def test_nothing_is_compiled_for_a_few_values() -> None:
    """Counted by the interpreter: what `dataclass` compiles six times a class is what made starts slow."""
    program = """
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from eventmesh.base.frozen import frozen
from eventmesh.base.late_methods import MADE_BEFORE_WRITING
compiled = []
sys.addaudithook(lambda event, _: event == "compile" and compiled.append(event))
class Plain:
    "A class of each."
    name: str
    hosts: tuple = field(default=())
value = frozen(Plain)
for _ in range(MADE_BEFORE_WRITING):
    value("a")
few = len(compiled)
value("a"), value("b")
print(few, len(compiled))
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["0", "1"]
