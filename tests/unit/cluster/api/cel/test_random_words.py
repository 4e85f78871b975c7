"""Whatever is put together of the words of expressions is refused, has a value, or says why it has none."""

from __future__ import annotations

import re
from random import Random

import pytest

from eventmesh.cluster.api.cel.compiling import compile_expression
from eventmesh.cluster.api.cel.fields import declared, reader
from eventmesh.cluster.api.cel.program import Frame
from eventmesh.cluster.api.cel.syntax import CompileError
from eventmesh.cluster.api.cel.types import DYN
from eventmesh.cluster.api.cel.values import Budget, CostExceededError, EvaluationError
from tests.unit.cluster.api.cel.expressions import REFUSED, SCHEMA, TRUE, VALUE, WITHOUT_VALUE

SOURCES = (*TRUE, *REFUSED, *WITHOUT_VALUE)
WORDS = sorted({word for source in SOURCES for word in re.findall(r"'[^']*'|\w+|[^\w\s]", source)})
ODD = ("dyn(self)", "self.port", "0.0/0.0", "timestamp('0001-01-01T00:00:00Z')", "duration('2562047h')", "[]", "null")
ROUNDS = 1500


def varied(random: Random) -> str:
    """Return a good expression with some of its words exchanged, dropped or said twice."""
    words = re.findall(r"'[^']*'|\w+|\s+|[^\w\s]", random.choice(SOURCES))
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(words))
        words[at] = random.choice(["", words[at] * 2, random.choice(WORDS), random.choice(ODD), random.choice(words)])
    return "".join(words)


@pytest.mark.parametrize("seed", range(4))
def test_no_other_failure_comes_of_it(seed: int) -> None:
    random = Random(seed)
    of, read = declared(SCHEMA, "self"), reader(SCHEMA)
    assert of is not None
    assert read is not None
    values = 0
    for _ in range(ROUNDS):
        source = varied(random)
        for typed in (of, DYN):
            try:
                program = compile_expression(source, {"self": typed})
                program.run(Frame({"self": read(VALUE)}, Budget(5_000)))
                values += 1
            except (CompileError, EvaluationError, CostExceededError):
                pass
    assert values > ROUNDS // 50
