"""Makes a program of an expression."""

from __future__ import annotations

from collections.abc import Mapping

from eventmesh.cluster.api.cel.checker import Checker
from eventmesh.cluster.api.cel.macros import MACROS
from eventmesh.cluster.api.cel.parser import parse
from eventmesh.cluster.api.cel.program import Program
from eventmesh.cluster.api.cel.syntax import CompileError, told
from eventmesh.cluster.api.cel.types import Type


def compile_expression(source: str, variables: Mapping[str, Type]) -> Program:
    """Return the program of `source` over `variables`; raises CompileError naming everything that is wrong."""
    checker = Checker(variables, MACROS)
    part = checker.part(parse(source))
    if checker.issues:
        raise CompileError(told(source, checker.issues))
    return Program(part.type, part.run, frozenset(checker.used))
