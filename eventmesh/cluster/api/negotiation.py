"""Media types: in what form a reply is wanted, and what form a body has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from math import isfinite
from typing import Any, NoReturn

import yaml

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.base.yaml_file import parse_yaml
from eventmesh.cluster.api import errors
from eventmesh.cluster.api.structural import MAX_DEPTH, depth_exceeds
from eventmesh.kube.api import PatchType

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
MAX_BODY_BYTES = 3 * 1024 * 1024
"""The API server's own limit on a request body."""
MAX_EXACT_WHOLE = 2**53
"""Above it a float no longer tells one whole number from the next."""
MAX_YAML_BYTES = 1_048_576
"""YAML costs a hundred times what JSON does; manifests are far smaller."""


class Form(Enum):
    """The shape of a reply."""

    OBJECT = "object"
    TABLE = "table"
    PARTIAL = "metadata alone"
    DISCOVERY_V2 = "discovery v2"
    DISCOVERY_V2BETA1 = "discovery v2beta1"


@frozen
class MediaType:
    """One entry of an Accept header, or a Content-Type."""

    name: str
    parameters: tuple[tuple[str, str], ...] = ()

    def parameter(self, name: str) -> str:
        """Return a parameter; empty when absent."""
        return dict(self.parameters).get(name, "")

    def __str__(self) -> str:
        return ";".join([self.name, *(f"{key}={value}" for key, value in self.parameters)])


def media_types(header: str) -> Iterator[MediaType]:
    """Yield the media types of a header in the order given; quality values are not weighed, clients send none."""
    for entry in header.split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        pairs = (parameter.partition("=") for parameter in parameters)
        yield MediaType(name.lower(), tuple((key, value) for key, _, value in pairs if key != "q"))


def reply_form(accept: str) -> tuple[Form, MediaType]:
    """Return the first form in `accept` that we can give, and the Content-Type to name it by; JSON otherwise."""
    for media in media_types(accept):
        if media.name != JSON:
            continue
        match media.parameter("as"), media.parameter("g"), media.parameter("v"):
            case "Table", "meta.k8s.io", "v1":
                return Form.TABLE, MediaType(JSON)
            case "PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1":
                return Form.PARTIAL, MediaType(JSON)
            case "APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2":
                return Form.DISCOVERY_V2, media
            case "APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2beta1":
                return Form.DISCOVERY_V2BETA1, media
            case "", _, _:
                return Form.OBJECT, MediaType(JSON)
    return Form.OBJECT, MediaType(JSON)


def decode_text(body: bytes, content_type: str) -> Any:
    """Return the JSON or YAML value in `body`; raises 400 for what cannot be read, 415 for other types."""
    media = next(media_types(content_type or JSON))
    match media.name:
        case "application/json" | "text/json" | "":
            value = _json(body)
        case "application/yaml" | "text/yaml" | "application/x-yaml":
            value = _yaml(body)
        case other:
            raise errors.unsupported_media_type(other, (JSON, YAML, PROTOBUF))
    return _bounded(value)


def decode_patch(body: bytes, content_type: str) -> tuple[Any, PatchType]:
    """Return the patch and its type; raises 400, 415."""
    media = next(media_types(content_type))
    accepted = [kind.value for kind in PatchType]
    try:
        patch_type = PatchType(media.name)
    except ValueError:
        raise errors.unsupported_media_type(media.name, accepted) from None
    # kubectl sends an applied object as JSON, which is read a hundred times faster than the YAML it also is.
    is_yaml = patch_type is PatchType.APPLY and not body.lstrip().startswith(b"{")
    return _bounded(_yaml(body) if is_yaml else _json(body)), patch_type


def _json(body: bytes) -> Any:
    try:
        value = json.loads(body, parse_float=_number, parse_constant=_no_number)
        if b"\\u" in body:
            # Half of a surrogate pair is no text: it could neither be stored nor sent.
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except (ValueError, RecursionError) as error:
        raise errors.bad_request(f"the body is not JSON: {error}") from error


def _number(text: str) -> float:
    """Return a number with a fraction or an exponent; a whole one becomes an integer, as it does when Go stores it."""
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"the number {text} is too large")
    return int(value) if value.is_integer() and abs(value) <= MAX_EXACT_WHOLE else value


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _yaml(body: bytes) -> Any:
    if len(body) > MAX_YAML_BYTES:
        raise errors.too_large(f"a YAML body may have {MAX_YAML_BYTES} bytes; send JSON")
    if b"&" in body and b"*" in body and _has_aliases(body):
        # Aliases let a few lines stand for gigabytes; manifests sent to an API do without.
        raise errors.bad_request("the YAML body uses aliases; write the values out")
    try:
        said = json.dumps(parse_yaml(body.decode(), "the body"))
    except (ConfigError, UnicodeDecodeError, TypeError, RecursionError) as error:
        raise errors.bad_request(f"the body is not YAML: {error}") from error
    # As the JSON that it stands for, so that numbers are read alike.
    return _json(said.encode())


def _has_aliases(body: bytes) -> bool:
    try:
        return any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(body, Loader=yaml.CSafeLoader))
    except (yaml.YAMLError, ValueError) as error:
        raise errors.bad_request(f"the body is not YAML: {error}") from error


def _bounded(value: Any) -> Any:
    if depth_exceeds(value):
        raise errors.bad_request(f"the body nests deeper than {MAX_DEPTH} levels")
    return value
