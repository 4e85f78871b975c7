"""The grammar of CESQL (cesql/spec.md, section 2, with the precedence of section 3.6), and from its rules to closures.

Where the text leaves a choice: signs are tokens of their own, so that `4-1` is a subtraction; identifiers are read
without regard to case; a backslash escapes nothing but the quote around the string.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import lark

from eventmesh.cloudevents.cesql import operators
from eventmesh.cloudevents.cesql.errors import CesqlError, ErrorKind
from eventmesh.cloudevents.cesql.functions import FunctionTable
from eventmesh.cloudevents.cesql.like import compile_pattern
from eventmesh.cloudevents.cesql.operators import Term
from eventmesh.cloudevents.cesql.values import INTEGERS

MAX_DEPTH = 64
"""Deepest nesting of operators and calls. Evaluating takes up to four frames a level, and Python stops at 1,000;
chains such as `a OR b OR c` and mere parentheses do not nest."""

MAX_PATTERNS = 32
"""Most LIKEs of one expression. Each costs its pattern times the attribute, up to 4 ms for the longest
attribute: this many keep the worst event in the order of a tenth of a second; real filters have a handful."""

_GRAMMAR = r"""
?logic: comparison ((AND | OR | XOR) comparison)*
?comparison: sum ((EQUAL | NOT_EQUAL | LESS | LESS_OR_EQUAL | GREATER | GREATER_OR_EQUAL) sum)*
?sum: product ((PLUS | MINUS) product)*
?product: test ((STAR | SLASH | PERCENT) test)*
?test: unary
     | test LIKE STRING                                 -> like
     | test NOT LIKE STRING                             -> like
     | test IN _LPAR logic (_COMMA logic)* _RPAR        -> contained
     | test NOT IN _LPAR logic (_COMMA logic)* _RPAR    -> contained
?unary: INTEGER                                         -> positive
      | _signed
_signed: negation | minus | negative | positive | _primary
negation: NOT unary
minus: MINUS _signed
negative: MINUS INTEGER
positive: PLUS INTEGER
_primary: _LPAR logic _RPAR | exists | call | string | boolean | attribute
exists: EXISTS (NAME | INTEGER)
call: NAME _LPAR (logic (_COMMA logic)*)? _RPAR
string: STRING
boolean: TRUE | FALSE
attribute: NAME

EQUAL: "="
NOT_EQUAL: "!=" | "<>"
LESS: "<"
LESS_OR_EQUAL: "<="
GREATER: ">"
GREATER_OR_EQUAL: ">="
PLUS: "+"
MINUS: "-"
STAR: "*"
SLASH: "/"
PERCENT: "%"
_LPAR: "("
_RPAR: ")"
_COMMA: ","
STRING: /'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"/s
INTEGER.1: /[0-9]+(?![A-Za-z0-9_])/
NAME: /[A-Za-z0-9_]+/
%declare AND OR XOR NOT LIKE IN EXISTS TRUE FALSE
%ignore /[ \t\r\n]+/
"""

_KEYWORDS = frozenset({"AND", "OR", "XOR", "NOT", "LIKE", "IN", "EXISTS", "TRUE", "FALSE"})
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ATTRIBUTE_NAME = re.compile(r"[a-z0-9]+\Z")
_FUNCTION_NAME = re.compile(r"[A-Za-z][A-Za-z_]*\Z")
_INTEGER_DIGITS = 10

_EXPECTATIONS = (
    ({"NAME", "STRING", "INTEGER", "_LPAR"}, "a value"),
    ({"STRING"}, "a string literal"),
    ({"NAME", "INTEGER"}, "the name of an attribute"),
    ({"INTEGER"}, "an integer"),
    ({"_LPAR"}, "'('"),
    ({"EQUAL", "AND"}, "an operator"),
    ({"LIKE", "IN"}, "LIKE or IN"),
    ({"_COMMA"}, "','"),
    ({"_RPAR"}, "')'"),
    ({"$END"}, "the end"),
)
"""Tokens that may come next -> how that is told. What one line has told, later lines do not tell again."""


def parse(text: str, functions: FunctionTable) -> Term:
    """Return the term of a whole expression; raises CesqlError with the place of the fault."""
    try:
        return term_of(_grammar().parse(text), functions)
    except lark.UnexpectedInput as error:
        raise _refusal(text, error) from None


def term_of(tree: lark.Tree[lark.Token], functions: FunctionTable) -> Term:
    """Return the term of a parsed (sub)expression; raises CesqlError."""
    try:
        term: Term = _Builder(functions).transform(tree)
    except lark.exceptions.VisitError as error:
        raise error.orig_exc from None
    return term


def grammar(*, positions: bool = False) -> lark.Lark:
    """Return the parser; with `positions` its trees know the places of their parts, at some cost."""
    return lark.Lark(
        _GRAMMAR,
        start="logic",
        parser="lalr",
        lexer="basic",
        maybe_placeholders=False,
        lexer_callbacks={"NAME": _word},
        propagate_positions=positions,
    )


@cache
def _grammar() -> lark.Lark:
    return grammar()


def _word(token: lark.Token) -> lark.Token:
    keyword = token.upper()
    return lark.Token.new_borrow_pos(keyword, token, token) if keyword in _KEYWORDS else token


@lark.v_args(inline=True)
class _Builder(lark.visitors.Transformer_NonRecursive[lark.Token, Term]):
    """One method a rule: gets the tokens and terms of the rule, returns its term.

    Non-recursive: the tree of a hostile expression may be deeper than Python's stack, until it is refused here.
    """

    def __init__(self, functions: FunctionTable) -> None:
        super().__init__(visit_tokens=False)
        self._functions = functions
        self._patterns = 0

    def logic(self, first: Term, *rest: Term | lark.Token) -> Term:
        return _nested(operators.logic(first, _links(rest)), _token(rest))

    def comparison(self, first: Term, *rest: Term | lark.Token) -> Term:
        return _nested(operators.comparison(first, _links(rest)), _token(rest))

    def sum(self, first: Term, *rest: Term | lark.Token) -> Term:
        return _nested(operators.arithmetic(first, _links(rest)), _token(rest))

    product = sum

    def like(self, operand: Term, *tokens: lark.Token) -> Term:
        self._patterns += 1
        if self._patterns > MAX_PATTERNS:
            raise _at(tokens[0], f"the expression has more than {MAX_PATTERNS} LIKEs")
        matches = compile_pattern(_unquoted(tokens[-1]))
        return _nested(operators.like(operand, matches, negated=tokens[0].type == "NOT"), tokens[0])

    def contained(self, operand: Term, *rest: Term | lark.Token) -> Term:
        token = _token(rest)
        return _nested(operators.contained(operand, _terms(rest), negated=token.type == "NOT"), token)

    def negation(self, token: lark.Token, operand: Term) -> Term:
        return _nested(operators.negation(operand), token)

    def minus(self, token: lark.Token, operand: Term) -> Term:
        return _nested(operators.minus(operand), token)

    def negative(self, _sign: lark.Token, digits: lark.Token) -> Term:
        return _integer(digits, "-")

    def positive(self, *tokens: lark.Token) -> Term:
        return _integer(tokens[-1], "")

    def exists(self, _exists: lark.Token, name: lark.Token) -> Term:
        return operators.exists(_attribute_name(name))

    def attribute(self, name: lark.Token) -> Term:
        return operators.attribute(_attribute_name(name))

    def call(self, name: lark.Token, *arguments: Term) -> Term:
        if not _FUNCTION_NAME.match(name):
            raise _at(name, f"{str(name)!r} cannot name a function: use letters and underscores")
        function = self._functions.find(name, len(arguments))
        if function is None:
            known = ", ".join(self._functions.names())
            problem = f"there is no function {name.upper()} of {len(arguments)} arguments; there are {known}"
            raise _at(name, problem, ErrorKind.MISSING_FUNCTION)
        return _nested(operators.call(function, arguments), name)

    def string(self, token: lark.Token) -> Term:
        return operators.literal(_unquoted(token))

    def boolean(self, token: lark.Token) -> Term:
        return operators.literal(token.type == "TRUE")


def _terms(children: Sequence[Term | lark.Token]) -> list[Term]:
    return [child for child in children if isinstance(child, Term)]


def _token(children: Sequence[Term | lark.Token]) -> lark.Token:
    return next(child for child in children if isinstance(child, lark.Token))


def _links(children: Sequence[Term | lark.Token]) -> list[operators.Link]:
    names = [child.upper() for child in children if isinstance(child, lark.Token)]
    return list(zip(names, _terms(children), strict=True))


def _nested(term: Term, token: lark.Token) -> Term:
    if term.depth > MAX_DEPTH:
        raise _at(token, f"operators are nested deeper than {MAX_DEPTH}")
    return term


def _integer(token: lark.Token, sign: str) -> Term:
    digits = token.lstrip("0") or "0"
    # Measured before int() sees it: a number of thousands of digits is refused, not computed.
    if len(digits) > _INTEGER_DIGITS or int(sign + digits) not in INTEGERS:
        raise _at(token, f"the integer is outside {INTEGERS.start} to {INTEGERS.stop - 1}")
    return operators.literal(int(sign + digits))


def _attribute_name(token: lark.Token) -> str:
    name = token.lower()
    if not _ATTRIBUTE_NAME.match(name):
        raise _at(token, f"{str(token)!r} cannot name an attribute: use letters and digits")
    return name


def _unquoted(token: lark.Token) -> str:
    quote = token[0]
    return _ESCAPE.sub(lambda pair: quote if pair[1] == quote else pair[0], token[1:-1])


def _at(token: lark.Token, problem: str, kind: ErrorKind = ErrorKind.PARSE) -> CesqlError:
    return CesqlError(kind, problem, token.line or 0, token.column or 0)


def _refusal(text: str, error: lark.UnexpectedInput) -> CesqlError:
    """Say where the text cannot go on, and with what it could."""
    if not isinstance(error, lark.UnexpectedToken):
        character = text[error.pos_in_stream or 0]
        problem = "the string has no end" if character in "'\"" else f"unexpected character {character!r}"
        return CesqlError(ErrorKind.PARSE, problem, error.line, error.column)
    expected = set(error.accepts or ())
    told = []
    for tokens, words in _EXPECTATIONS:
        if tokens <= expected:
            told.append(words)
            expected -= tokens
    wanted = " or ".join(told)
    if error.token.type == "$END":
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
        return CesqlError(ErrorKind.PARSE, f"the expression ends too soon; expected {wanted}", line, column)
    return CesqlError(ErrorKind.PARSE, f"unexpected {str(error.token)!r}; expected {wanted}", error.line, error.column)
