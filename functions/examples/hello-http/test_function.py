"""What hello-http promises."""

from function import hello

from eventmesh.functions import Request


def test_it_greets_by_name_and_tells_its_revision(monkeypatch):
    monkeypatch.setenv("K_REVISION", "hello-00001")
    assert hello(Request("GET", "/", {"name": "Ada"})) == {"greeting": "Hello, Ada!", "revision": "hello-00001"}


def test_nobody_is_greeted_as_the_target_of_its_environment(monkeypatch):
    monkeypatch.setenv("TARGET", "mesh")
    assert hello(Request("GET", "/"))["greeting"] == "Hello, mesh!"
