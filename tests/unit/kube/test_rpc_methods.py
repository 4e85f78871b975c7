"""Methods that Triggers name, and signatures that ServiceInterfaces declare."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.kube.rpc_methods import (
    MAX_METHODS,
    MAX_TYPES,
    SIGNATURE,
    read_methods,
    rpc_method_of,
    signature_text,
)
from eventmesh.model.rpc import RpcMethod, RpcProtocol, Signature

SIGNED = Signature(("int", "byte[]"), "shop.Quote", ("shop.SoldOut",))


def trigger(annotations: dict[str, str], status: dict[str, Any] | None = None) -> dict[str, Any]:
    named = {f"eventmesh.io/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return {"metadata": {"annotations": named}, "status": status or {}}


@pytest.mark.parametrize(
    ("annotation", "text", "method"),
    [
        ("grpc_method", "shop.Prices/Quote", RpcMethod(RpcProtocol.GRPC, "shop.Prices", "Quote")),
        ("bolt_method", "com.shop.Prices/quote", RpcMethod(RpcProtocol.BOLT, "com.shop.Prices", "quote")),
        ("bolt_method", "a.B:2.0:blue/c", RpcMethod(RpcProtocol.BOLT, "a.B", "c", "2.0", "blue")),
        ("dubbo_method", "a.B:1.0.0/c", RpcMethod(RpcProtocol.DUBBO, "a.B", "c", "1.0.0")),
        ("dubbo_method", "a.B::canary/c", RpcMethod(RpcProtocol.DUBBO, "a.B", "c", "", "canary")),
    ],
)
def test_an_annotation_names_a_method(annotation: str, text: str, method: RpcMethod) -> None:
    assert rpc_method_of(trigger({annotation: text})) == method
    assert rpc_method_of(trigger({})) is None


def test_sofarpcs_name_of_a_service_has_a_version() -> None:
    named = {"a.B": "a.B:1.0", "a.B:2.0": "a.B:2.0", "a.B:2.0:x": "a.B:2.0:x", "a.B::x": "a.B:1.0:x"}
    for text, unique_name in named.items():
        method = rpc_method_of(trigger({"bolt_method": f"{text}/c"}))
        assert method is not None
        assert (method.unique_name, str(method)) == (unique_name, f"{text}/c")


def test_the_signature_is_in_the_status() -> None:
    told = trigger({"dubbo_method": "a.B/c"}, {"annotations": {SIGNATURE: signature_text(SIGNED)}})
    method = rpc_method_of(told)
    assert method is not None and method.signature == SIGNED


@pytest.mark.parametrize(
    ("annotations", "at"),
    [
        ({"bolt_method": "/quote"}, "bolt-method"),
        ({"bolt_method": "com.shop.Prices"}, "bolt-method"),
        ({"bolt_method": "com.shop.Prices:1.0:a:b/quote"}, "bolt-method"),
        ({"bolt_method": "com.shop.Prices/quote/more"}, "bolt-method"),
        ({"dubbo_method": "com.shop.Prices/quo te"}, "dubbo-method"),
        ({"dubbo_method": "com.shop.Prices:1 0/quote"}, "dubbo-method"),
        ({"dubbo_method": "a.B/c", "bolt_method": "a.B/c"}, "dubbo-method"),
        ({"grpc_method": "a.B/c", "dubbo_method": "a.B/c"}, "dubbo-method"),
        ({"reply_type": "x"}, "reply-type"),
    ],
)
def test_an_annotation_that_names_no_method_is_refused(annotations: dict[str, str], at: str) -> None:
    with pytest.raises(ConfigError) as refused:
        rpc_method_of(trigger(annotations))
    assert refused.value.path == f"metadata.annotations[eventmesh.io/{at}]"


@pytest.mark.parametrize("text", ["{", "[]", '{"arguments": []}', '{"arguments": 1, "result": "", "throws": []}'])
def test_a_status_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="status.annotations"):
        rpc_method_of(trigger({"dubbo_method": "a.B/c"}, {"annotations": {SIGNATURE: text}}))


def test_methods_are_read_with_their_types() -> None:
    wrong: list[str] = []
    quote = {"name": "quote", "arguments": ["int", "byte[]"], "result": "shop.Quote", "throws": ["shop.SoldOut"]}
    read = read_methods([quote, {"name": "forget"}], "methods", lambda path, _: wrong.append(path))
    assert (read, wrong) == ({"quote": SIGNED, "forget": Signature()}, [])
    assert read_methods(None, "methods", lambda path, _: wrong.append(path)) == {}


@pytest.mark.parametrize(
    ("listed", "path"),
    [
        ({}, "methods"),
        ([{"name": "a"}] * (MAX_METHODS + 1), "methods"),
        ([{"name": "a"}, {"name": "a"}], "methods[1].name"),
        (["a"], "methods[0]"),
        ([{"name": "a b"}], "methods[0].name"),
        ([{}], "methods[0].name"),
        ([{"name": "a", "codec": "json"}], "methods[0].codec"),
        ([{"name": "a", "result": "List<Order>"}], "methods[0].result"),
        ([{"name": "a", "result": 1}], "methods[0].result"),
        ([{"name": "a", "arguments": "int"}], "methods[0].arguments"),
        ([{"name": "a", "arguments": ["int"] * (MAX_TYPES + 1)}], "methods[0].arguments"),
        ([{"name": "a", "arguments": ["int", "void"]}], "methods[0].arguments[1]"),
        ([{"name": "a", "throws": ["a..B"]}], "methods[0].throws[0]"),
    ],
)
def test_what_is_wrong_with_a_method_is_named(listed: object, path: str) -> None:
    wrong: list[str] = []
    read_methods(listed, "methods", lambda at, _: wrong.append(at))
    assert path in wrong


def test_methods_without_a_name_are_not_told_to_be_the_same() -> None:
    wrong: list[str] = []
    read_methods([{}, {}], "methods", lambda at, _: wrong.append(at))
    assert wrong == ["methods[0].name", "methods[1].name"]
