"""Names of what a Service owns."""

import hashlib

from eventmesh.controllers.serving.names import child_name, deployment_name, revision_name, tagged_name


def test_short_names_are_joined() -> None:
    assert revision_name("hello", 7) == "hello-00007"
    assert deployment_name("hello-00007") == "hello-00007-deployment"
    assert (tagged_name("blue", "hello"), tagged_name("", "hello")) == ("blue-hello", "hello")


def test_a_long_parent_is_cut_and_told_apart_by_its_hash() -> None:
    parent = "f" * 63
    digest = hashlib.md5(parent.encode()).hexdigest()
    assert child_name(parent, "-deployment") == "f" * (31 - len("-deployment")) + digest + "-deployment"
    assert len(child_name(parent, "-deployment")) == 63


def test_a_long_suffix_is_cut_too_and_never_ends_in_a_dash() -> None:
    parent, suffix = "asdf", "-" + "x" * 20 + "-" * 40
    name = child_name(parent, suffix)
    assert name.startswith("asdf" + hashlib.md5((parent + suffix).encode()).hexdigest() + "-xxxx")
    assert len(name) <= 63
    assert name[-1] == "x"


def test_a_long_parent_with_a_long_suffix_is_its_head_and_the_hash_of_both() -> None:
    parent, suffix = "p" * 40, "-" + "s" * 40
    assert child_name(parent, suffix) == "p" * 31 + hashlib.md5((parent + suffix).encode()).hexdigest()
