"""Header edits and header conditions."""

from __future__ import annotations

import re

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.core import check_pattern
from eventmesh.model.match import HeaderMatch, TextKind, TextMatch
from eventmesh.model.route import HeaderEdits
from eventmesh.xds.schema.tree import Message

_NAME = re.compile(r":?[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_FIXED_NAMES = frozenset(("host", "content-length", "transfer-encoding", "connection", "upgrade", "keep-alive"))
"""What an edit may not touch, beside pseudo-headers: a rewrite has a field of its own, the others frame messages."""


@frozen
class Edits:
    """The header edits of one level: a table, a virtual host, a route or a share of a split."""

    request: HeaderEdits = HeaderEdits()
    response: HeaderEdits = HeaderEdits()

    def __bool__(self) -> bool:
        return self != Edits()

    def then(self, later: Edits) -> Edits:
        """Return the edits that do what these and after them `later` would do."""
        if later is NO_EDITS:
            return self
        if self is NO_EDITS:
            return later
        return Edits(merge_edits(self.request, later.request), merge_edits(self.response, later.response))


NO_EDITS = Edits()
"""What most messages ask for: told by identity, so that nothing is compared or merged for them."""

_FIELDS = frozenset(f"{way}_headers_to_{verb}" for way in ("request", "response") for verb in ("add", "remove"))


def read_edits(owner: Message) -> Edits:
    """Return the edits that `owner` itself asks for; NO_EDITS when there are none."""
    if _FIELDS.isdisjoint(owner.fields):
        return NO_EDITS
    return Edits(_read_direction(owner, "request"), _read_direction(owner, "response"))


def _read_direction(owner: Message, direction: str) -> HeaderEdits:
    removed = []
    for i, name in enumerate(owner.texts(f"{direction}_headers_to_remove")):
        _check_name(owner.where(f"{direction}_headers_to_remove[{i}]"), name)
        removed.append(name.lower())
    edits = HeaderEdits(remove=tuple(removed))
    for option in owner.children(f"{direction}_headers_to_add"):
        edits = merge_edits(edits, _read_option(option))
    return edits


def merge_edits(first: HeaderEdits, then: HeaderEdits) -> HeaderEdits:
    """Return the one set of edits that does what `first` and after it `then` would do."""
    if then == HeaderEdits():
        return first
    gone = {name for name, _ in then.set} | set(then.remove)
    kept = [pair for pair in first.set if pair[0] not in gone]
    appended = [pair for pair in first.append if pair[0] not in gone]
    # What `first` set and `then` removed must also go when it came with the message: its removal stays.
    return HeaderEdits(
        set=(*kept, *then.set),
        append=(*appended, *then.append),
        remove=tuple(dict.fromkeys((*first.remove, *then.remove))),
    )


def _read_option(option: Message) -> HeaderEdits:
    header = option.child("header")
    if header is None:
        raise option.error("header", "missing")
    name, value = header.text("key"), header.text("value")
    _check_name(header.where("key"), name)
    value = _literal_value(header, value)
    if not value and not option.flag("keep_empty_value"):
        return HeaderEdits()
    pair = ((name.lower(), value),)
    action = option.text("append_action", "APPEND_IF_EXISTS_OR_ADD")
    if action == "OVERWRITE_IF_EXISTS_OR_ADD" or (option.has("append") and not option.flag("append")):
        return HeaderEdits(set=pair)
    if action != "APPEND_IF_EXISTS_OR_ADD":
        raise option.error(
            "append_action", f"{action} is not supported; use APPEND_IF_EXISTS_OR_ADD or OVERWRITE_IF_EXISTS_OR_ADD"
        )
    return HeaderEdits(append=pair)


def _literal_value(header: Message, value: str) -> str:
    """Return `value` with `%%` read as `%`; a command such as `%REQ(x)%` is refused."""
    if "%" in value.replace("%%", ""):
        raise header.error("value", f"{value!r} holds a command (%...%), which eventmesh does not run; % is spelled %%")
    if not _VALUE.fullmatch(value):
        raise header.error("value", f"{value!r} holds control characters")
    return value.replace("%%", "%")


def _check_name(path: str, name: str) -> None:
    if not _NAME.fullmatch(name) or name.lower() in _FIXED_NAMES or name.startswith(":"):
        raise ConfigError(path, f"{name!r} cannot be edited as a header")


_KINDS = {
    "exact_match": TextKind.EXACT,
    "prefix_match": TextKind.PREFIX,
    "suffix_match": TextKind.SUFFIX,
    "contains_match": TextKind.CONTAINS,
}
_STRING_KINDS = {
    "exact": TextKind.EXACT,
    "prefix": TextKind.PREFIX,
    "suffix": TextKind.SUFFIX,
    "contains": TextKind.CONTAINS,
}


def read_matcher(matcher: Message) -> HeaderMatch:
    """Return a `route.HeaderMatcher`; without a condition the header must be present, as in Envoy."""
    name = matcher.text("name")
    if not _NAME.fullmatch(name):
        raise matcher.error("name", f"{name!r} is no header name")
    name, invert = name.lower(), matcher.flag("invert_match")
    if name == "host":
        name = ":authority"
    if matcher.has("present_match"):
        return HeaderMatch(name, TextKind.PRESENT, invert=invert == matcher.flag("present_match"))
    for field, kind in _KINDS.items():
        if matcher.has(field):
            return HeaderMatch(name, kind, _condition(matcher, field, kind), invert)
    regex = matcher.child("safe_regex_match")
    if regex is not None:
        return HeaderMatch(name, TextKind.REGEX, read_regex(regex), invert)
    string_match = matcher.child("string_match")
    if string_match is None:
        return HeaderMatch(name, TextKind.PRESENT, invert=invert)
    text = read_text_match(string_match)
    return HeaderMatch(name, text.kind, text.value, invert, text.ignore_case)


def read_text_match(matcher: Message) -> TextMatch:
    """Return a `matcher.StringMatcher`."""
    for field, kind in _STRING_KINDS.items():
        if matcher.has(field):
            return TextMatch(kind, _condition(matcher, field, kind), matcher.flag("ignore_case"))
    regex = matcher.child("safe_regex")
    if regex is not None:
        return TextMatch(TextKind.REGEX, read_regex(regex))
    raise matcher.error("", "empty; give exact, prefix, suffix, contains or safe_regex")


def read_regex(matcher: Message) -> str:
    """Return the expression of a `matcher.RegexMatcher`, which the engine must know."""
    text = matcher.text("regex")
    try:
        check_pattern(text)
    except ValueError as error:
        raise matcher.error("regex", str(error)) from None
    return text


def _condition(owner: Message, field: str, kind: TextKind) -> str:
    value = owner.text(field)
    if not value and kind is not TextKind.EXACT:
        raise owner.error(field, "empty; an empty text is found in every value: use present_match")
    return value
