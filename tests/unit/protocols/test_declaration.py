"""Declarations from files and structs: read, checked, and refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.core import Protocol
from eventmesh.protocols.declaration import MAX_DECLARATION_BYTES, declared, read_declaration
from tests.unit.core.declared import FOLDER


@pytest.mark.parametrize("name", ["dubbo-thrift", "motan2", "thrift"])
def test_the_declarations_of_the_documents_are_sound(name: str) -> None:
    declaration = read_declaration(FOLDER / f"{name}.yaml", "x")
    assert declaration.name == name == Protocol(declaration.text).name


def test_a_struct_says_the_same_as_a_file() -> None:
    from eventmesh.base.yaml_file import parse_yaml

    def floats(value: object) -> object:
        """What google.protobuf.Struct makes of numbers."""
        match value:
            case int():
                return float(value)
            case dict():
                return {key: floats(member) for key, member in value.items()}
            case list():
                return [floats(member) for member in value]
        return value

    file = FOLDER / "motan2.yaml"
    document = floats(parse_yaml(file.read_text(), "x"))
    assert isinstance(document, dict)
    assert declared(document, "x") == read_declaration(file, "x")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    def refused(content: bytes | None) -> str:
        file = tmp_path / "p.yaml"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(ConfigError) as error:
            read_declaration(file, "declaration_file")
        return str(error.value).replace(str(tmp_path), "")

    assert refused(None) == "declaration_file: cannot read /p.yaml: No such file or directory"
    assert refused(b"\xff\xfe") == "declaration_file: /p.yaml is not UTF-8"
    assert refused(b"- a") == "/p.yaml: expected a declaration (a mapping), got list"
    assert refused(b"a: [").startswith("/p.yaml: is no valid YAML at line 2")
    assert refused(b"name: a") == "/p.yaml: missing field `frame`"
    assert refused(b"x" * (MAX_DECLARATION_BYTES + 1)) == "declaration_file: /p.yaml is larger than 65536 bytes"
    assert refused(b"name: !!binary aGk=").startswith("/p.yaml: is more than YAML and JSON have in common")
    sound = (FOLDER / "thrift.yaml").read_bytes()
    assert (
        refused(sound.replace(b"id: {size: 4}", b"id: {size: 5}")) == "/p.yaml: frame[5].id.size: 5 is none of [4, 8]"
    )


def test_a_group_cannot_have_the_name_of_a_text_of_the_frame() -> None:
    document = json.loads(read_declaration(FOLDER / "dubbo-thrift.yaml", "x").text)
    text = next(element["text"] for element in document["frame"] if "text" in element)
    route = {**document["route"], "group": {"text": text["name"]}}
    assert declared({**document, "route": route}, "x").name == "dubbo-thrift"
    called = json.loads(json.dumps(document).replace(f'"{text["name"]}"', '"group"'))
    with pytest.raises(ConfigError, match=r"^x: route.group: a text of the frame has this name already$"):
        declared({**called, "route": {**called["route"], "group": {"text": "group"}}}, "x")


def test_a_struct_is_bounded_like_a_file() -> None:
    with pytest.raises(ConfigError, match=r"^x: is larger than 65536 bytes$"):
        declared({"name": "a" * MAX_DECLARATION_BYTES}, "x")
