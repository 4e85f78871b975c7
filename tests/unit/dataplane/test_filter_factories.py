"""Filters that are made of a configuration: once for each, let go when nobody uses them, refused with a reason."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.dataplane.filter_files import MAX_SHOWN, FilterFiles
from eventmesh.dataplane.filters import Config, Decide, Filter, Go, Reply, Seen, factory, filter
from eventmesh.model.authz import FilterConfig, PythonFilter
from tests.contracts.python_filter import FilterContract

NUMBERED = """
from eventmesh.dataplane.filters import Go, factory, filter

made = []

@factory
def numbered(config):
    if not isinstance(config.get("header"), str):
        raise ValueError(f"header: {config.get('header')!r} is no name of a header")
    made.append(config)
    number = str(len(made))
    return lambda request: Go({config["header"]: number})

@factory
def odd(config):
    match config["be"]:
        case "none":
            return None
        case "gone":
            raise SystemExit(1)

@filter
def plain(request):
    return Go()
"""


def step(name: str = "numbered", called: str = "s", /, **members: Any) -> tuple[str, PythonFilter]:
    config = FilterConfig.of(members) if members else None
    return called, PythonFilter("a.py", name, config=config)


def files(directory: Path) -> FilterFiles:
    (directory / "a.py").write_text(NUMBERED)
    return FilterFiles(directory)


def said(found: Filter) -> object:
    return found(Seen("GET", "h", "/"))


class TestAFilterThatIsMade(FilterContract):
    def made(self) -> Filter:
        @factory
        def only(config: Config) -> Decide:
            @filter
            async def decide(request: Seen) -> Go | Reply:
                return Go() if request.method in config["methods"] else Reply(405)

            return decide

        return only({"methods": ["GET", "POST"]})


def test_each_configuration_has_a_filter_of_its_own_and_steps_that_say_the_same_share_one(tmp_path: Path) -> None:
    steps = [step("numbered", "r", header="x-a"), step("numbered", "s", header="x-b"), step(header="x-a")]
    found = files(tmp_path).find(steps)
    keys = [one.asked_as for _, one in steps]
    assert len(found) == 2 and keys[0] == keys[2]
    headers = {next(iter(one.set.items())) for key in keys if isinstance(one := said(found[key]), Go)}
    assert headers in ({("x-a", "1"), ("x-b", "2")}, {("x-a", "2"), ("x-b", "1")})


def test_the_spelling_of_a_configuration_makes_no_other_of_it() -> None:
    assert FilterConfig.of({"a": 1, "b": [True]}) == FilterConfig.of({"b": [True], "a": 1})
    assert FilterConfig.of({"a": 1}).digest != FilterConfig.of({"a": "1"}).digest


def test_a_filter_is_made_once_while_it_is_used_and_again_when_it_was_let_go(tmp_path: Path) -> None:
    there = files(tmp_path)
    wanted = step(header="x")
    first = there.find([wanted])
    there.keep(first)
    assert there.find([wanted, step(header="y")])[wanted[1].asked_as] is first[wanted[1].asked_as]
    there.keep(())
    assert said(there.find([wanted])[wanted[1].asked_as]) == Go({"x": "3"})


def test_a_file_that_has_changed_makes_its_filters_anew(tmp_path: Path) -> None:
    there = files(tmp_path)
    key = step(header="x")[1].asked_as
    assert said(there.find([step(header="x")])[key]) == Go({"x": "1"})
    (tmp_path / "a.py").write_text(NUMBERED.replace("str(len(made))", '"new"'))
    os.utime(tmp_path / "a.py", ns=(1, 1))
    assert said(there.find([step(header="x")])[key]) == Go({"x": "new"})


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (
            [step(header=5)],
            "filter a.py: 'numbered' in s refuses {\"header\":5}: header: 5 is no name of a header",
        ),
        ([step()], "filter a.py: 'numbered' in s refuses {}: header: None is no name of a header"),
        (
            [step("numbered", "t", other=1), step("numbered", "r", other=1)],
            "filter a.py: 'numbered' in r, t refuses {\"other\":1}: header: None is no name of a header",
        ),
        ([step("odd", be="none")], 'filter a.py: \'odd\' in s refuses {"be":"none"}: TypeError: a factory returns a'),
        ([step("odd", be="gone")], 'filter a.py: \'odd\' in s refuses {"be":"gone"}: SystemExit: 1'),
        ([step("odd", by=1)], "filter a.py: 'odd' in s refuses {\"by\":1}: KeyError: 'be'"),
        ([step("plain", be=1)], "filter a.py: 'plain' in s refuses {\"be\":1}: it takes no config; remove it"),
        ([step("other", be=1)], "filter a.py: has no filter 'other'; it has: numbered, odd, plain"),
    ],
)
def test_what_cannot_be_made_is_refused_by_the_filter_its_steps_and_what_they_say(
    wanted: list[tuple[str, PythonFilter]], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refused:
        files(tmp_path).find(wanted)
    assert str(refused.value).startswith(words)


def test_of_a_long_configuration_an_error_shows_the_beginning(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        files(tmp_path).find([step(header=["x" * 10_000])])
    assert f"refuses {FilterConfig.of({'header': ['x' * 10_000]}).text[:MAX_SHOWN]}...: header: " in str(refused.value)
