"""An activator whose store is damaged goes on without it, and takes events in again after a repair."""

from __future__ import annotations

from pathlib import Path

from eventmesh.activator.broker.app import STORE_FILE
from eventmesh.activator.broker.store.page_sums import PAGE_SIZE
from eventmesh.activator.broker.store.repair import repair
from tests.component.broker_world import world_in
from tests.mesh.broker_mesh import event_headers


def moved(database: Path, directory: Path) -> Path:
    """Have the next world in `directory` find the store of the last one; return its path."""
    return database.parent.rename(directory / database.parent.name) / database.name


async def test_damage_stops_202s_until_it_is_repaired_and_nothing_else(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    for directory in (first, second, third):
        directory.mkdir()
    async with world_in(first) as world:
        await world.send("before")
        database = world.mesh.data_dir / STORE_FILE
    with database.open("r+b") as file:
        file.seek(PAGE_SIZE + 100)
        file.write(b"damage")
    database = moved(database, second)
    async with world_in(second) as world:
        answer = await world.ask(headers=event_headers("refused"))
        assert (answer.status, answer.headers["retry-after"]) == (503, "60")
        assert "damaged" in answer.text and "eventmesh events repair" in answer.text
        assert str(database) not in answer.text, "a sender need not know where files are"
        told = await world.ask_admin("/events?namespace=default")
        assert (told.status, "is page 2" in told.text) == (500, True)
        metrics = await world.ask_admin("/stats/prometheus")
        assert (metrics.status, "# not to be had now: event store" in metrics.text) == (200, True)
    done = repair(database, dry_run=False)
    assert done.damaged_pages == [2]
    moved(database, third)
    async with world_in(third) as world:
        await world.send("after")
        assert '"before"' in (await world.ask_admin("/events?namespace=default")).text
