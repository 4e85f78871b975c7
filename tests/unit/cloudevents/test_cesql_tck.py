"""The conformance suite of CESQL v1.0.0: every case of cloudevents/spec, and where the SDKs' copies differ, theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from eventmesh.cloudevents.cesql import (
    BUILT_IN,
    CesqlError,
    ErrorKind,
    Function,
    FunctionTable,
    compile_cesql,
)
from eventmesh.cloudevents.event import AttributeValue, Event
from tests.conformance import DATA, needs_data

pytestmark = needs_data
CASES, FILES = 275, 18
DISPUTED = {("not_operator.yaml", "Invalid int cast")}
"""Cases of the specification's own suite that contradict its text; both SDKs follow the text (docs/adr/0015)."""

USER_DEFINED = BUILT_IN.extended(
    Function("HASPREFIX", (str, str), bool, str.startswith),
    Function("KONKAT", (), str, lambda *texts: "".join(texts), rest=str),
)
ANY_EVENT: Mapping[str, AttributeValue] = {"specversion": "1.0", "id": "1", "source": "/tck", "type": "tck"}


class TextLoader(yaml.SafeLoader):
    """Keeps expressions, names and timestamps as they are written: TRUE, 0 and -10 are expressions here."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        for key, value in node.value:
            if key.value in ("expression", "name"):
                value.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)


TextLoader.yaml_constructors = {
    **yaml.SafeLoader.yaml_constructors,
    "tag:yaml.org,2002:timestamp": yaml.SafeLoader.construct_yaml_str,
}


@dataclass(frozen=True)
class Case:
    """One case of a file; `result` is None where the suite leaves it open."""

    file: str
    name: str
    expression: str
    result: object = None
    error: str = ""
    event: Mapping[str, AttributeValue] = field(default_factory=dict)
    eventOverrides: Mapping[str, AttributeValue] = field(default_factory=dict)  # noqa: N815  the suite's own name

    def attributes(self) -> dict[str, AttributeValue]:
        return {**(self.event or ANY_EVENT), **self.eventOverrides}


def _cases(folder: Path) -> Iterator[Case]:
    for path in sorted(folder.glob("*.yaml")):
        for case in yaml.load(path.read_text(encoding="utf-8"), TextLoader)["tests"]:
            yield Case(path.name, **case)


TCK = list(_cases(DATA / "cesql_tck"))
VARIANTS = [case for sdk in ("sdk-go", "sdk-java") for case in _cases(DATA / "cesql_tck_variants" / sdk)]


def _outcome(case: Case, functions: FunctionTable = BUILT_IN) -> tuple[object, type, list[str]]:
    """Return value, its type (1 == True in Python) and errors; what cannot be compiled is worth false in the suite."""
    try:
        result = compile_cesql(case.expression, functions).evaluate(Event(case.attributes()))
    except CesqlError as error:
        return False, bool, [error.kind]
    return result.value, type(result.value), [error.kind for error in result.errors]


def _expected(case: Case, value: object) -> tuple[object, type, list[str]]:
    return value, type(value), [case.error] if case.error else []


def _name(case: Case) -> str:
    return f"{case.file}: {case.name}"


@pytest.mark.parametrize("case", [case for case in TCK if (case.file, case.name) not in DISPUTED], ids=_name)
def test_the_specifications_suite(case: Case) -> None:
    # The one case without a result cannot be parsed, and is worth false like every such expression.
    assert _outcome(case) == _expected(case, case.result if case.result is not None else False)


@pytest.mark.parametrize("case", VARIANTS, ids=_name)
def test_the_sdks_suites(case: Case) -> None:
    assert _outcome(case, USER_DEFINED) == _expected(case, case.result)


def test_no_case_is_passed_over() -> None:
    assert len(TCK) == CASES
    assert len({case.file for case in TCK}) == FILES
    assert Counter((case.file, case.name) in DISPUTED for case in TCK) == {False: CASES - len(DISPUTED), True: 1}
    assert [case.name for case in TCK if case.result is None] == ["No closed parenthesis"]
    assert sum(case.file == "user_defined_functions.yaml" for case in VARIANTS) == 8
    assert {case.error for case in TCK} - {""} == set(ErrorKind) - {"generic"}


def test_an_integer_is_true_unless_it_is_zero_whatever_the_suite_says() -> None:
    (case,) = [case for case in TCK if (case.file, case.name) in DISPUTED]
    assert (case.expression, case.result, case.error) == ("NOT 10", True, "cast")
    assert _outcome(case) == (False, bool, [])
