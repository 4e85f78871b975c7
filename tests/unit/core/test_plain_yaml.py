"""The core reads plain YAML as the complete reader does, and leaves all other YAML to it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from eventmesh.base.errors import ConfigError
from eventmesh.base.yaml_file import parse_yaml
from eventmesh.core import read_plain_yaml
from tests.component.processes import write_bootstrap

ROOT = Path(__file__).parents[3]


def agreed(text: str) -> bool:
    """Return whether the core reads `text`; fail when it reads another thing than the complete reader."""
    found = read_plain_yaml(text)
    if found is None:
        return False
    try:
        usual: object = parse_yaml(text, "x")
    except ConfigError as error:
        raise AssertionError(f"{text!r} is {found!r} to the core and refused by the other: {error}") from None
    assert repr(found) == repr(usual), text  # by repr, to which 1, 1.0 and True are three things
    return True


def documents() -> list[str]:
    """Return every document of every YAML file of the repository's own."""
    files = [
        file for room in ("knative", "functions", "docs", "tests/vectors") for file in (ROOT / room).rglob("*.yaml")
    ]
    return [part for file in sorted(files) for part in file.read_text().split("\n---\n")]


def test_a_bootstrap_of_the_common_kind_is_read_by_the_core(tmp_path: Path) -> None:
    tree = json.loads(
        write_bootstrap(tmp_path / "bootstrap.json", "127.0.0.1:80", access_log=str(tmp_path / "log")).read_text()
    )
    (cluster,) = tree["static_resources"]["clusters"]
    tree["static_resources"]["clusters"].append({**cluster, "name": "other"})
    text = yaml.safe_dump(tree)
    assert "&id001" in text and agreed(text)


def test_manifests_are_read_alike() -> None:
    found = [agreed(text) for text in documents()]
    assert found.count(True) > 20


PIECES = [
    *(
        "a",
        "b: ",
        "- ",
        "  ",
        "\n",
        ": ",
        ":",
        " #",
        "#",
        "'",
        '"',
        "[",
        "]",
        "{",
        "}",
        ", ",
        ",",
        "&x ",
        "*x",
        "|",
        ">",
    ),
    *("true", "on", "~", "null", "1", "-1", "1.5", ".5", "1e3", "0x1", "017", "1:30", "10s", "127.0.0.1", "2026-01-02"),
    *(
        "\n  ",
        "\n- ",
        "\n  - ",
        "k: v\n",
        "? ",
        "! ",
        "!!str ",
        "<<: ",
        "---\n",
        "...\n",
        "%",
        "@",
        "`",
        "\\n",
        "-",
        "\t",
    ),
    *("=", "é", "http://h:80/x", "*", "&", "x-y_z", "a b", "''", "\r\n", "_", "+1", "-.inf", "1_0", "0.25s", "5xx"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@settings(max_examples=400, deadline=None)
def test_pieces_in_any_order_are_read_alike(text: str) -> None:
    agreed(text)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=6)
    | st.sampled_from(PIECES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.sampled_from([None, True, False]), st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_documents_with_a_slip_are_read_alike(value: object, flow: bool | None, seed: int) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow)
    agreed(text)
    draw = random.Random(seed)
    at = draw.randrange(len(text))
    agreed(text[:at] + draw.choice(PIECES) + text[at + draw.randrange(3) :])


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", True),
        ("No", False),
        ("~", None),
        ("-12", -12),
        ("0.50", 0.5),
        ("10s", "10s"),
        ("127.0.0.1", "127.0.0.1"),
        ("http://a:80/#x", "http://a:80/#x"),
        ("'yes'", "yes"),
        ('"1"', "1"),
        ("[a, 1, {b: off}]", ["a", 1, {"b": False}]),
    ],
)
def test_what_configurations_are_made_of_is_read_by_the_core(written: str, value: object) -> None:
    text = f"key: {written}\n"
    assert agreed(text) and read_plain_yaml(text) == {"key": value}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: 1\na: 2",
        "1: a",
        "a: 017",
        "a: 2026-01-02",
        "a: |\n  b\n",
        "a: 'it''s'",
        "<<: {a: 1}",
        "a: ä",
        "a: [b",
        "a: *b",
    ],
)
def test_what_is_not_plain_or_wrong_is_left_to_the_complete_reader(text: str) -> None:
    assert read_plain_yaml(text) is None


def test_a_text_that_is_no_unicode_is_left_to_it() -> None:
    assert read_plain_yaml("a: \ud800") is None
