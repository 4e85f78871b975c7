"""One line an event, in text or in JSON, whatever the values hold."""

import io
import json

import pytest

from eventmesh.base import log


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Log to memory, at 1970-01-02 00:00:01.004."""
    monkeypatch.setattr("time.time", lambda: 86_401.004_25)
    return io.StringIO()


def test_a_text_line_has_the_time_in_utc_and_quotes_what_would_break_it(written: io.StringIO) -> None:
    log.configure(level="info", stream=written)
    log.get("xds.client").warning("refused", node="a", why="no\nsuch =field")
    assert written.getvalue() == '00:00:01.004 warning xds.client: refused node=a why="no\\nsuch =field"\n'


def test_a_json_line_has_every_field(written: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTMESH_LOG_FORMAT", "json")
    log.configure(level="info", stream=written)
    log.get("sidecar").info("serving", node="a", port=1)
    assert json.loads(written.getvalue()) == {
        "ts": "1970-01-02T00:00:01.004Z",
        "level": "info",
        "logger": "eventmesh.sidecar",
        "msg": "serving",
        "node": "a",
        "port": "1",
    }
