"""Reads an expression (`cel-spec/doc/langdef.md` §syntax) into a tree: by precedence, bounded in size and depth."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from eventmesh.cluster.api.cel.syntax import (
    RESERVED,
    Call,
    CompileError,
    Entries,
    Expression,
    Issue,
    Items,
    Literal,
    Name,
    Select,
)
from eventmesh.cluster.api.cel.syntax import told as told_issues
from eventmesh.cluster.api.cel.types import BOOL, BYTES, DOUBLE, INT, NULL, STRING, UINT, Type
from eventmesh.cluster.api.cel.values import MAX_INT, MAX_UINT, Uint

MAX_CHARS: Final = 10_000
"""The longest rule among the CRDs of Gateway API, cert-manager and Cluster API has some 1,000."""
MAX_DEPTH: Final = 48
"""Each level is up to ten frames of Python, of the thousand that there are; real rules have under ten."""

_CONSTANTS: Final[dict[str, tuple[Any, Type]]] = {"true": (True, BOOL), "false": (False, BOOL), "null": (None, NULL)}
_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r\n\f]+|//[^\n]*)
    |(?P<text>[bB]?[rR]?[bB]?(?:'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"|'(?:\\.|[^\\'\n\r])*'|"(?:\\.|[^\\"\n\r])*"))
    |(?P<double>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<uint>(?:0x[0-9a-fA-F]+|\d+)[uU])
    |(?P<int>0x[0-9a-fA-F]+|\d+)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*|`[A-Za-z0-9_.\-/ ]+`)
    |(?P<sign>==|!=|<=|>=|&&|\|\||[-+*/%!<>?:.,()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)
_RELATIONS: Final = {"<": "_<_", "<=": "_<=_", ">": "_>_", ">=": "_>=_", "==": "_==_", "!=": "_!=_", "in": "@in"}
_LEVELS: Final = (
    {"||": "_||_"},
    {"&&": "_&&_"},
    _RELATIONS,
    {"+": "_+_", "-": "_-_"},
    {"*": "_*_", "/": "_/_", "%": "_%_"},
)
"""Operators from the loosest to the tightest, and the functions that they are."""
_ESCAPE: Final = re.compile(
    r"\\(?:[abfnrtv\\?\"'`]|x[0-9a-fA-F]{2}|X[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2})"
)
_SIMPLE: Final = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))


class _Token(NamedTuple):
    kind: str
    text: str
    position: int


class _RefusedError(Exception):
    def __init__(self, position: int, problem: str) -> None:
        super().__init__(problem)
        self.issue = Issue(position, problem)


def parse(source: str) -> Expression:
    """Return the tree of `source`; raises CompileError."""
    if len(source) > MAX_CHARS:
        raise CompileError(f"it has {len(source)} characters, and may have {MAX_CHARS}: split it into several rules")
    try:
        return _Parser(source).whole()
    except _RefusedError as error:
        raise CompileError(told_issues(source, [error.issue])) from None


def _tokens(source: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            raise _RefusedError(at, f"Syntax error: token recognition error at: '{source[at:]}'")
        kind = found.lastgroup or ""
        if kind != "space":
            tokens.append(_Token(kind, found[0], at))
        at = found.end()
    return [*tokens, _Token("end", "<EOF>", len(source))]


class _Parser:
    def __init__(self, source: str) -> None:
        self._tokens = _tokens(source)
        self._at = 0
        self._depth = 0

    def whole(self) -> Expression:
        expression = self._expression()
        if self._next.kind != "end":
            raise self._unexpected("<EOF>")
        return expression

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _takes(self, sign: str) -> bool:
        """Take the sign if it comes next."""
        if self._next.kind == "sign" and self._next.text == sign:
            self._at += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._takes(sign):
            raise self._unexpected(f"'{sign}'")

    def _unexpected(self, wanted: str) -> _RefusedError:
        token = self._next
        return _RefusedError(token.position, f"Syntax error: mismatched input '{token.text}' expecting {wanted}")

    def _expression(self) -> Expression:
        self._deeper(self._next.position)
        condition = self._operation(0)
        position = self._next.position
        if self._takes("?"):
            then = self._operation(0)
            self._expect(":")
            condition = Call(position, "_?_:_", (condition, then, self._expression()))
        self._depth -= 1
        return condition

    def _deeper(self, position: int, levels: int = 1) -> None:
        self._depth += levels
        if self._depth > MAX_DEPTH:
            raise _RefusedError(position, f"expression recursion limit exceeded: {MAX_DEPTH}")

    def _operation(self, level: int) -> Expression:
        """Read operands of one level of precedence; those of `&&` and `||` side by side, so that many are not deep."""
        if level == len(_LEVELS):
            return self._unary()
        left = self._operation(level + 1)
        operators, chained = _LEVELS[level], 0
        if level < 2:  # noqa: PLR2004 - the levels of || and &&
            return self._joined(left, level)
        while self._next.text in operators and self._next.kind in ("sign", "name"):
            token = self._take()
            chained += 1
            self._deeper(token.position)
            left = Call(token.position, operators[token.text], (left, self._operation(level + 1)))
        self._depth -= chained
        return left

    def _joined(self, first: Expression, level: int) -> Expression:
        [(sign, function)] = _LEVELS[level].items()
        operands, position = [first], self._next.position
        while self._takes(sign):
            operands.append(self._operation(level + 1))
        return Call(position, function, tuple(operands)) if len(operands) > 1 else first

    def _unary(self) -> Expression:
        token = self._next
        for sign, function in (("!", "!_"), ("-", "-_")):
            if not self._takes(sign):
                continue
            if sign == "-" and self._next.kind in ("int", "double"):
                return self._members(self._number(self._take(), negative_at=token.position))
            self._deeper(token.position)
            operand = self._unary()
            self._depth -= 1
            return Call(token.position, function, (operand,))
        return self._members(self._primary())

    def _members(self, operand: Expression) -> Expression:
        chained = 0
        while True:
            position = self._next.position
            if self._takes("."):
                operand = self._member(operand, position)
            elif self._takes("["):
                function = "_[?_]" if self._takes("?") else "_[_]"
                index = self._expression()
                self._expect("]")
                operand = Call(position, function, (operand, index))
            else:
                self._depth -= chained
                return operand
            chained += 1
            self._deeper(position)

    def _member(self, operand: Expression, position: int) -> Expression:
        is_optional = self._takes("?")
        if self._next.kind != "name":
            raise self._unexpected("IDENTIFIER")
        name = self._take().text.strip("`")
        opening = self._next.position
        if not is_optional and self._takes("("):
            return Call(opening, name, self._arguments(), operand)
        return Select(position, operand, name, is_optional)

    def _arguments(self) -> tuple[Expression, ...]:
        found: list[Expression] = []
        while not self._takes(")"):
            if found:
                self._expect(",")
            found.append(self._expression())
        return tuple(found)

    def _primary(self) -> Expression:
        token = self._take()
        match token.kind, token.text:
            case "text", text:
                return _text(text, token.position)
            case (("int" | "uint" | "double"), _):
                return self._number(token)
            case "name", name:
                return self._named(name, token.position)
            case "sign", "(":
                inner = self._expression()
                self._expect(")")
                return inner
            case "sign", "[":
                return self._items(token.position)
            case "sign", "{":
                return self._entries(token.position)
            case "sign", "." if self._next.kind == "name":
                return self._named(self._take().text, token.position)
        self._at -= 1
        raise self._unexpected(
            "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, "
            "IDENTIFIER}"
        )

    def _named(self, name: str, position: int) -> Expression:
        if name in _CONSTANTS:
            value, type_ = _CONSTANTS[name]
            return Literal(position, value, type_)
        opening = self._next.position
        if name in RESERVED:
            raise _RefusedError(position, f"reserved identifier: {name}")
        if self._takes("("):
            return Call(opening, name, self._arguments())
        return Name(position, name)

    def _number(self, token: _Token, negative_at: int | None = None) -> Literal:
        sign = 1 if negative_at is None else -1
        position = token.position if negative_at is None else negative_at
        if token.kind == "double":
            return Literal(position, sign * float(token.text), DOUBLE)
        digits = token.text.rstrip("uU")
        # A text of ten thousand digits is long to read; no number of sixty-four bits has twenty-one.
        value = sign * int(digits, 16 if digits[:2] == "0x" else 10) if len(digits.lstrip("0x")) <= 20 else MAX_UINT + 1  # noqa: PLR2004
        if token.kind == "uint":
            if value > MAX_UINT:
                raise _RefusedError(position, "invalid uint literal")
            return Literal(position, Uint(value), UINT)
        if not -MAX_INT - 1 <= value <= MAX_INT:
            raise _RefusedError(position, "invalid int literal")
        return Literal(position, value, INT)

    def _items(self, position: int) -> Items:
        found: list[tuple[Expression, bool]] = []
        while not self._takes("]"):
            if found:
                self._expect(",")
                if self._takes("]"):
                    break
            is_optional = self._takes("?")
            found.append((self._expression(), is_optional))
        return Items(position, tuple(found))

    def _entries(self, position: int) -> Entries:
        found: list[tuple[Expression, Expression, bool]] = []
        while not self._takes("}"):
            if found:
                self._expect(",")
                if self._takes("}"):
                    break
            is_optional = self._takes("?")
            key = self._expression()
            self._expect(":")
            found.append((key, self._expression(), is_optional))
        return Entries(position, tuple(found))


def _text(token: str, position: int) -> Literal:
    """Return what a text or bytes in quotes stand for."""
    prefix = re.match(r"[bBrR]*", token)
    marks = prefix[0].lower() if prefix else ""
    quoted = token[len(marks) :]
    quotes = 3 if quoted[:3] in ("'''", '"""') else 1
    body = quoted[quotes:-quotes]
    if "b" in marks:
        return Literal(position, _unescaped_bytes(body, position, is_raw="r" in marks), BYTES)
    return Literal(position, body if "r" in marks else _unescaped(body, position), STRING)


def _unescaped(body: str, position: int) -> str:
    pieces: list[str] = []
    at = 0
    while (back := body.find("\\", at)) >= 0:
        pieces.append(body[at:back])
        found = _ESCAPE.match(body, back)
        point = _code_point(found[0][1:]) if found else None
        if found is None or point is None:
            raise _RefusedError(position, f"Syntax error: token recognition error at: '{body[back : back + 2]}'")
        pieces.append(point)
        at = found.end()
    return "".join((*pieces, body[at:]))


def _code_point(escape: str) -> str | None:
    if escape[0] in "xXuU":
        number = int(escape[1:], 16)
    elif escape[0] in "0123":
        number = int(escape, 8)
    else:
        return _SIMPLE.get(escape, escape)
    return None if number > 0x10FFFF or 0xD800 <= number < 0xE000 else chr(number)  # noqa: PLR2004 - no characters


def _unescaped_bytes(body: str, position: int, *, is_raw: bool) -> bytes:
    """Return bytes: an escape of a number is one byte, every other character its UTF-8."""
    if is_raw:
        return body.encode()
    pieces: list[bytes] = []
    at = 0
    while at < len(body):
        found = _ESCAPE.match(body, at)
        if found is None:
            pieces.append(body[at].encode())
            at += 1
        elif found[0][1] in "xX0123":
            text = found[0][1:]
            pieces.append(bytes([int(text[1:], 16) if text[0] in "xX" else int(text, 8)]))
            at = found.end()
        else:
            pieces.append(_unescaped(found[0], position).encode())
            at = found.end()
    return b"".join(pieces)
