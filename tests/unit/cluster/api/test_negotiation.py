"""Bodies: what is read, and what is refused because nobody could read it again."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.cluster.api.negotiation import JSON, YAML, decode_text
from eventmesh.kube.api import ApiError


@pytest.mark.parametrize(
    ("body", "media", "value"),
    [
        (b'{"a": 3.0, "b": 1e2, "c": 0.5}', JSON, {"a": 3, "b": 100, "c": 0.5}),
        (b"a: 3.0\nb: 1.0e+2\nc: .5\n", YAML, {"a": 3, "b": 100, "c": 0.5}),
        (b"day: 2026-01-02\ntime: 2026-01-02T03:04:05Z\n", YAML, {"day": "2026-01-02", "time": "2026-01-02T03:04:05Z"}),
        (rb'{"a": "\ud83d\ude00"}', JSON, {"a": "\U0001f600"}),
    ],
)
def test_a_body_is_read(body: bytes, media: str, value: Any) -> None:
    read = decode_text(body, media)
    assert (read, list(map(type, read.values()))) == (value, list(map(type, value.values())))


@pytest.mark.parametrize(
    ("body", "media", "problem"),
    [
        (b'{"a": NaN}', JSON, "NaN is no JSON"),
        (b'{"a": -Infinity}', JSON, "-Infinity is no JSON"),
        (b'{"a": 1e999}', JSON, "the number 1e999 is too large"),
        (rb'{"a": "\ud800"}', JSON, "surrogates not allowed"),
        (b"a: .nan", YAML, "NaN is no JSON"),
        (b"a: !!binary aGk=", YAML, "bytes is not JSON"),
        (b"a: !!set {x}", YAML, "set is not JSON"),
        (b"1: x", YAML, "the key 1 must be a string"),
        (b"a: \xff", YAML, "can't decode byte 0xff"),
    ],
)
def test_what_is_no_json_is_refused_and_never_stored(body: bytes, media: str, problem: str) -> None:
    with pytest.raises(ApiError, match=problem) as refused:
        decode_text(body, media)
    assert refused.value.code == 400
