"""Names of Java types, as signatures have them and as the JVM has them."""

from __future__ import annotations

import pytest

from eventmesh.protocols.java_types import TYPE, class_name, descriptor


@pytest.mark.parametrize(
    ("name", "described", "named"),
    [
        ("int", "I", "int"),
        ("byte[]", "[B", "[B"),
        ("java.lang.String", "Ljava/lang/String;", "java.lang.String"),
        ("java.lang.String[]", "[Ljava/lang/String;", "[Ljava.lang.String;"),
        ("shop.Order$Line[][]", "[[Lshop/Order$Line;", "[[Lshop.Order$Line;"),
    ],
)
def test_a_type_is_spelt_as_the_jvm_spells_it(name: str, described: str, named: str) -> None:
    assert TYPE.fullmatch(name)
    assert (descriptor(name), class_name(name)) == (described, named)


@pytest.mark.parametrize("name", ["", "1a", "a..b", "java.util.List<Order>", "[B", "int[][][]", "a." + "b" * 200])
def test_what_is_no_type_does_not_match(name: str) -> None:
    assert TYPE.fullmatch(name) is None
