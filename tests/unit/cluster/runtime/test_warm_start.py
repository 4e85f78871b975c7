"""Which containers may be forks of a prepared interpreter, and what the others are told."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from eventmesh.cluster.runtime.images import Image
from eventmesh.cluster.runtime.process import Command
from eventmesh.cluster.runtime.surroundings import surroundings
from eventmesh.cluster.runtime.warm_start import warmed, why_cold
from eventmesh.kube.warm_start import WARM_START, warm_start


@pytest.fixture
def image(tmp_path: Path) -> Image:
    (tmp_path / "main.py").write_text("")
    return Image("hello", f"sha256:{'0' * 64}", tmp_path, (sys.executable, "main.py"))


def command(image: Image, *argv: str, **env: str) -> Command:
    return Command((sys.executable, *argv), {**surroundings(), "PORT": "8080", **env}, str(image.directory))


@pytest.mark.parametrize("argv", [("main.py",), ("main.py", "-v"), ("-m", "eventmesh.functions", "function.py")])
def test_python_of_the_meshs_own_interpreter_may_be_a_fork(image: Image, argv: tuple[str, ...]) -> None:
    assert why_cold(command(image, *argv, TZ="Asia/Tokyo", MODE="x"), image) == ""
    warm, why = warmed({"metadata": {"annotations": {WARM_START: "true"}}}, command(image, *argv), image)
    assert warm.warm and not why


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("-c", "pass"), "an option of the interpreter stands before its script"),
        (("-X", "dev", "main.py"), "an option of the interpreter"),
        (("-m",), "an option of the interpreter"),
        ((), "an option of the interpreter"),
        (("/etc/script.py",), "it imports from /etc, outside its image"),
    ],
)
def test_other_command_lines_start_as_usual(image: Image, argv: tuple[str, ...], why: str) -> None:
    assert why in why_cold(command(image, *argv), image)


@pytest.mark.parametrize("name", ["PYTHONHASHSEED", "PYTHONPATH", "LD_PRELOAD", "LC_CTYPE", "LANG", "MALLOC_ARENA_MAX"])
def test_variables_that_are_read_at_the_start_of_an_interpreter_want_one(image: Image, name: str) -> None:
    assert f"variable {name} is read only when" in why_cold(command(image, "main.py", **{name: "other"}), image)


def test_a_variable_that_was_taken_away_wants_an_interpreter_too(image: Image) -> None:
    without = {name: value for name, value in surroundings().items() if name != "PYTHONUNBUFFERED"}
    assert "PYTHONUNBUFFERED" in why_cold(replace(command(image, "main.py"), env=without), image)


@pytest.mark.parametrize("name", ["queue.py", "uvloop", "cloudevents.py", "json.cpython-311-x86_64-linux-gnu.so"])
def test_a_module_of_its_own_is_not_hidden_by_one_that_is_loaded(image: Image, name: str) -> None:
    (image.directory / name).touch()
    assert f"its own module {name.partition('.')[0]!r}" in why_cold(command(image, "main.py"), image)


def test_an_image_with_a_root_of_its_own_brings_its_interpreter(image: Image) -> None:
    assert "an interpreter of its own" in why_cold(command(image, "main.py"), replace(image, root=image.directory))


def test_another_program_is_named(image: Image) -> None:
    assert "'./server'" in why_cold(Command(("./server",), surroundings(), str(image.directory)), image)


def test_a_pod_that_says_nothing_starts_as_usual(image: Image) -> None:
    assert warm_start({"metadata": {}}) == "false"


@pytest.mark.parametrize("value", ["", "True", "1", "on"])
def test_any_other_word_is_a_mistake_that_is_told(image: Image, value: str) -> None:
    cold, why = warmed({"metadata": {"annotations": {WARM_START: value}}}, command(image, "main.py"), image)
    assert not cold.warm
    assert why == f"{WARM_START}: {value!r} is neither of true, false"
