from __future__ import annotations

from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.cluster.api.fieldset import field_set, path_text
from eventmesh.cluster.api.ownership import (
    ANCIENT,
    BEFORE_FIRST_APPLY,
    MAX_UPDATERS,
    ApplyConflictError,
    Manager,
    Operation,
    Owned,
    Owners,
    Write,
    applied,
    claimed,
    decode,
    encode,
    updated,
)

SCHEMA: dict[str, Any] = {
    "properties": {"metadata": {"properties": {"labels": {"additionalProperties": {}}}}, "data": {}, "status": {}}
}
STATUS = field_set(("f:status",))


def who(name: str, operation: Operation = Operation.APPLY, version: str = "v1", part: str = "") -> Manager:
    return Manager(name, operation, version, part)


def write(manager: Manager, now: str = "t1") -> Write:
    return Write(SCHEMA, manager, now, STATUS)


def config(**data: str) -> dict[str, Any]:
    return {"metadata": {"name": "c"}, "data": data}


def data_of(owners: Owners, manager: Manager) -> set[str]:
    return {name.removeprefix("f:") for name in owners[manager].fields["f:data"] if name != "."}


ANN, BOB = who("ann"), who("bob")


def apply(manager: Manager, owners: Owners, live: Any, now: str = "t1", *, force: bool = False, **data: str) -> Any:
    return applied(write(manager, now), owners, live, config(**data), force=force)


def test_applier_owns_what_it_applies_and_gives_up_what_it_leaves_out() -> None:
    obj, owners = apply(ANN, {}, {}, a="1", b="2")
    assert data_of(owners, ANN) == {"a", "b"}
    obj, owners = apply(ANN, owners, obj, b="2")
    assert obj["data"] == {"b": "2"} and data_of(owners, ANN) == {"b"}


def test_what_two_apply_alike_both_own_and_neither_alone_takes_away() -> None:
    obj, owners = apply(ANN, {}, {}, a="1", b="2")
    obj, owners = apply(BOB, owners, obj, a="1")
    obj, owners = apply(ANN, owners, obj, b="2")
    assert obj["data"] == {"a": "1", "b": "2"} and data_of(owners, BOB) == {"a"}


def test_a_map_stays_its_owners_when_all_in_it_is_given_up() -> None:
    clerk = who("clerk", Operation.UPDATE)
    obj = {**config(k="1"), "metadata": {"name": "c", "labels": {"tier": "db"}}}
    owners = updated(write(clerk), {}, None, obj)
    said = {**config(), "metadata": {"name": "c", "labels": {"tier": "web"}}}
    obj, owners = applied(write(ANN), owners, obj, said, force=True)
    obj, owners = applied(write(ANN), owners, obj, config(k="1"), force=False)
    assert obj["metadata"] == {"name": "c"}
    assert owners[clerk].fields["f:metadata"] == {"f:labels": {}}


def test_another_value_for_what_another_owns_is_a_conflict() -> None:
    obj, owners = apply(ANN, {}, {}, a="1", b="2")
    with pytest.raises(ApplyConflictError) as failure:
        apply(BOB, owners, obj, a="9", b="2")
    assert [(manager, path_text(path)) for manager, path in failure.value.conflicts] == [(ANN, ".data.a")]
    obj, owners = apply(BOB, owners, obj, force=True, a="9", b="2")
    assert obj["data"] == {"a": "9", "b": "2"}
    assert data_of(owners, ANN) == {"b"} and data_of(owners, BOB) == {"a", "b"}


def test_applying_the_same_again_changes_nothing_not_even_the_time() -> None:
    obj, owners = apply(ANN, {}, {}, a="1")
    again, after = apply(ANN, owners, obj, "t2", a="1")
    assert (again, after) == (obj, owners)
    assert apply(ANN, owners, obj, "t2", a="2")[1][ANN].time == "t2"


def test_an_applier_is_the_same_in_every_version_of_the_kind() -> None:
    obj, owners = apply(ANN, {}, {}, a="1", b="2")
    newer = who("ann", version="v2")
    obj, owners = apply(newer, owners, obj, a="1")
    assert obj["data"] == {"a": "1"} and list(owners) == [newer]


def test_who_updates_owns_what_it_changed_and_others_lose_it() -> None:
    obj, owners = apply(ANN, {}, {}, a="1", b="2")
    editor = who("editor", Operation.UPDATE)
    owners = updated(write(editor, "t2"), owners, obj, config(a="5"))
    assert data_of(owners, editor) == {"a"} and list(owners) == [editor]
    assert updated(write(editor, "t3"), owners, config(a="5"), config(a="5")) is owners


def test_names_and_stamps_are_nobodys_and_neither_is_what_the_write_cannot_set() -> None:
    creator = who("creator", Operation.UPDATE)
    obj = {"metadata": {"name": "c", "uid": "u", "labels": {"x": "y"}}, "data": {}, "status": {"phase": "New"}}
    owners = updated(write(creator), {}, None, obj)
    assert owners[creator].fields == {"f:metadata": {"f:labels": {".": {}, "f:x": {}}}, "f:data": {}}


def test_fields_of_an_object_nobody_kept_account_of_are_owned_before_the_first_apply() -> None:
    live = config(a="1", b="2")
    first = who(BEFORE_FIRST_APPLY, Operation.UPDATE)
    with pytest.raises(ApplyConflictError) as failure:
        apply(ANN, {}, live, a="9")
    assert failure.value.conflicts[0][0] == first
    obj, owners = apply(ANN, {}, live, a="9", force=True)
    assert obj["data"] == {"a": "9", "b": "2"} and data_of(owners, first) == {"b"}


def test_many_updaters_become_one_that_keeps_their_fields() -> None:
    owners: Owners = {}
    obj = config()
    for number in range(MAX_UPDATERS + 5):
        changed = config(**obj["data"], **{f"k{number:02}": "v"})
        owners = updated(write(who(f"m{number:02}", Operation.UPDATE), f"t{number:02}"), owners, obj, changed)
        obj = changed
    assert len(owners) == MAX_UPDATERS
    assert data_of(owners, who(ANCIENT, Operation.UPDATE)) == {f"k{number:02}" for number in range(6)}


def test_what_is_encoded_decodes_to_the_same_owners() -> None:
    owners = {
        ANN: Owned(field_set(("f:data", "f:a")), "t1"),
        who("sys", Operation.UPDATE, part="status"): Owned(field_set(("f:status",)), "t2"),
    }
    assert decode(encode(owners)) == owners
    assert [entry["manager"] for entry in encode(owners)] == ["ann", "sys"]


@pytest.mark.parametrize(
    "sent",
    [
        "text",
        ["text"],
        [{"manager": "m"}],
        [{"manager": "m", "operation": "Update", "fieldsType": "FieldsV2"}],
        [{"manager": 1, "operation": "Update", "fieldsType": "FieldsV1"}],
        [{"manager": "m", "operation": "Steal", "fieldsType": "FieldsV1"}],
        [{"manager": "m", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {"x": {}}}],
    ],
)
def test_managed_fields_that_cannot_be_read_lose_nobody_anything(sent: Any) -> None:
    live = {"metadata": {"managedFields": encode({ANN: Owned(field_set(("f:data",)), "t1")})}}
    assert claimed({"metadata": {"managedFields": sent}}, live) == live["metadata"]["managedFields"]


def test_one_empty_entry_forgets_all_owners() -> None:
    live = {"metadata": {"managedFields": encode({ANN: Owned(field_set(("f:data",)), "t1")})}}
    assert claimed({"metadata": {"managedFields": [{}]}}, live) == []
    assert claimed({"metadata": {}}, live) == live["metadata"]["managedFields"]


def test_entry_without_an_operation_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="operation must be Apply or Update"):
        decode([{"manager": "m", "fieldsType": "FieldsV1"}])


def test_managers_are_named_as_in_conflicts() -> None:
    assert ANN.label == '"ann"'
    updater = who("kubectl", Operation.UPDATE, "apps/v1", "scale")
    assert updater.label == '"kubectl" with subresource "scale" using apps/v1'
