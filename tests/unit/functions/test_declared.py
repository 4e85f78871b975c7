"""Decorators leave a function as it is, and what it is for is found again."""

from __future__ import annotations

import pytest

from eventmesh.base.errors import UsageError
from eventmesh.functions.declared import Kind, bolt_function, declared_in, function, http_function


def test_a_decorated_function_is_still_the_function() -> None:
    def handle(event: str) -> str:
        return event.upper()

    assert function(handle) is handle
    assert handle("a") == "A"


def test_each_declaration_says_what_leads_to_its_function() -> None:
    @function
    def confirm(event: object) -> None: ...

    @http_function(path="/hi", methods=["get"])
    def hi(request: object) -> None: ...

    @bolt_function("com.example.Hello:1.0")
    def greet(call: object) -> None: ...

    event, http, bolt = declared_in({"confirm": confirm, "hi": hi, "greet": greet, "again": greet, "other": 7})
    assert (event.kind, event.path, event.name) == (Kind.EVENT, "/", "confirm")
    assert (http.kind, http.path, http.methods) == (Kind.HTTP, "/hi", frozenset({"GET"}))
    assert (bolt.kind, bolt.interface, bolt.method) == (Kind.BOLT, "com.example.Hello:1.0", "greet")


def test_one_function_may_be_reached_in_several_ways() -> None:
    @bolt_function("com.example.Hello:1.0", method="sayHello")
    @bolt_function("com.example.Hello:2.0", method="sayHello")
    def greet(call: object) -> None: ...

    assert {one.interface for one in declared_in({"greet": greet})} == {
        "com.example.Hello:1.0",
        "com.example.Hello:2.0",
    }


def test_two_functions_that_want_the_same_calls_are_refused_by_name() -> None:
    @function
    def first(event: object) -> None: ...

    @http_function
    def second(request: object) -> None: ...

    with pytest.raises(UsageError, match="first and second both want the path /"):
        declared_in({"first": first, "second": second})


def test_a_path_begins_with_a_slash_and_an_interface_has_a_name() -> None:
    with pytest.raises(UsageError, match="'orders'"):
        function(path="orders")
    with pytest.raises(UsageError, match="the interface is empty"):
        bolt_function("")
