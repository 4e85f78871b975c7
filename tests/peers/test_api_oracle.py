"""The embedded API answers for custom resources as Kubernetes' own server of them: `tools/api-oracle`, over etcd.

Random histories from seeds: 100 each time, 1,000 in `make soak SEED=n`. What differs on purpose is in
docs/adr/0050-an-oracle-for-custom-resources.md.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.peers.api_oracle.answers import Names, agreed, compile_causes, differences, parted
from tests.peers.api_oracle.histories import history
from tests.peers.api_oracle.kinds import DEFINITIONS, GROUP, ruled_definition
from tests.peers.api_oracle.sides import Side, Step, embedded_side, oracle_side
from tests.unit.cluster.api.cel.expressions import FALSE, REFUSED, SCHEMA, TRUE, VALUE, WITHOUT_VALUE
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

HISTORIES = 1000 if os.environ.get("EVENTMESH_SOAK") else 100
FIRST_SEED = int(os.environ.get("EVENTMESH_SEED", "1")) * 10_000
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RETRY_S = 0.05
RULES_AT_ONCE = 8
"""So many that the oracle does not find the rules of one CRD too dear."""


@asynccontextmanager
async def both(directory: Path, namespaces: list[str]) -> AsyncIterator[tuple[Side, Side]]:
    async with embedded_side(directory / "ours", namespaces) as ours, oracle_side(directory / "theirs") as theirs:
        await asyncio.gather(serve_kinds(ours), serve_kinds(theirs))
        yield ours, theirs


async def serve_kinds(side: Side) -> None:
    async with asyncio.timeout(WAIT_S):
        for definition in DEFINITIONS:
            assert (await side.take(Step("POST", CRDS, body=definition))).code == 201
        for definition in DEFINITIONS:
            # Established, and then a moment later, served.
            collection = Step("GET", f"/apis/{GROUP}/v1/{definition['spec']['names']['plural']}")
            while (await side.take(collection)).code != 200:
                await asyncio.sleep(RETRY_S)


async def compare(ours: Side, theirs: Side, steps: list[Step]) -> str:
    """Put the steps to both sides; return the first that they answer differently, and what led there."""
    ours.forget()
    theirs.forget()
    our_names, their_names = Names(), Names()
    story = []
    for step in steps:
        one, other = our_names.answer(await ours.take(step)), their_names.answer(await theirs.take(step))
        story.append(f"{step} -> {one['code']}")
        found = list(differences(one, other))
        if found and parted(step, one, other, found):
            return ""
        if found and not agreed(one, other):
            return "\n".join([*story, *found])
    return ""


# Seconds of work, on a machine that has others to do as well; in soak ten times as much.
@pytest.mark.timeout(6 * HISTORIES)
async def test_random_histories_are_answered_as_kubernetes_answers_them(tmp_path: Path) -> None:
    seeds = range(FIRST_SEED, FIRST_SEED + HISTORIES)
    async with both(tmp_path, [f"h{seed}" for seed in seeds]) as (ours, theirs):
        for seed in seeds:
            difference = await compare(ours, theirs, history(seed, f"h{seed}"))
            assert not difference, f"seed {seed}:\n{difference}"


async def verdicts(side: Side, expressions: Sequence[str]) -> list[list[str]]:
    """Return which of the expressions are broken as rules on `VALUE`, and how: some sentences for each kind."""
    kinds = [
        ruled_definition(f"rules{number}", SCHEMA, expressions[number : number + RULES_AT_ONCE])
        for number in range(0, len(expressions), RULES_AT_ONCE)
    ]
    for definition in kinds:
        told = await side.take(Step("POST", CRDS, body=definition))
        assert told.code == 201, told.body
    return [await broken_by(side, definition["spec"]["names"]) for definition in kinds]


async def broken_by(side: Side, names: dict[str, str]) -> list[str]:
    body = {"apiVersion": f"{GROUP}/v1", "kind": names["kind"], "metadata": {"name": "one"}, "spec": VALUE}
    create = Step("POST", f"/apis/{GROUP}/v1/{names['plural']}", {"dryRun": "All"}, body)
    async with asyncio.timeout(WAIT_S):
        while (answer := await side.take(create)).code == 404:
            await asyncio.sleep(RETRY_S)
    return sorted(cause["message"] for cause in answer.body.get("details", {}).get("causes", ()))


async def test_rules_come_to_what_they_come_to_for_kubernetes(tmp_path: Path) -> None:
    expressions = [*TRUE, *FALSE, *WITHOUT_VALUE]
    async with embedded_side(tmp_path / "ours", []) as ours, oracle_side(tmp_path / "theirs") as theirs:
        one, other = await asyncio.gather(*(verdicts(side, expressions) for side in (ours, theirs)))
    assert one == other
    assert sum(map(len, one)) == len(FALSE) + len(WITHOUT_VALUE)


async def test_rules_that_cannot_be_meant_are_refused_in_the_words_of_kubernetes(tmp_path: Path) -> None:
    async with embedded_side(tmp_path / "ours", []) as ours, oracle_side(tmp_path / "theirs") as theirs:
        for expression in REFUSED:
            step = Step("POST", CRDS, {"dryRun": "All"}, ruled_definition("wrongs", SCHEMA, [expression]))
            answers = await asyncio.gather(ours.take(step), theirs.take(step))
            assert [answer.code for answer in answers] == [422, 422], expression
            one, other = (compile_causes(answer) for answer in answers)
            assert one == other, expression
