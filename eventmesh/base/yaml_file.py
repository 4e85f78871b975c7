"""Reads YAML as Kubernetes and Envoy do: JSON's types, no key twice. Imported only for files that are not JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eventmesh.base.errors import ConfigError
from eventmesh.base.late_patterns import late_patterns

with late_patterns("yaml"):
    import yaml
    from yaml.constructor import ConstructorError

_Base: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader over libyaml is ten times faster, and there in every wheel of PyYAML."""


class _Loader(_Base):  # type: ignore[valid-type, misc]  # chosen at import, so not static
    """A loader that refuses a key given twice and leaves dates as the strings they are written as."""


def _construct_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[object, object]:
    loader.flatten_mapping(node)
    members: dict[object, object] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise ConstructorError(None, None, f"the key {key!r} must be a string; quote it", key_node.start_mark)
        if key in members:
            raise ConstructorError(None, None, f"the key {key!r} is given twice", key_node.start_mark)
        members[key] = loader.construct_object(value_node, deep=True)
    return members


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))


def parse_yaml(text: str, source: str) -> object:
    """Return the one document in `text`. Raises ConfigError with `source`, line and column."""
    with _errors_name(source):
        document: object = yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of the safe loader
    if document is None:
        raise ConfigError(source, "is empty")
    return document


def parse_documents(text: str, source: str) -> list[tuple[int, object]]:
    """Return each document in `text` that is not empty, with the line it begins on. Raises ConfigError likewise."""
    found: list[tuple[int, object]] = []
    with _errors_name(source):
        loader = _Loader(text)
        try:
            while loader.check_node():
                node = loader.get_node()
                document: object = loader.construct_document(node)
                if document is not None:
                    found.append((node.start_mark.line + 1, document))
        finally:
            loader.dispose()
    return found


@contextmanager
def _errors_name(source: str) -> Iterator[None]:
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(source, f"is no valid YAML{place}: {error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(source, f"is no valid YAML: {error}") from None
