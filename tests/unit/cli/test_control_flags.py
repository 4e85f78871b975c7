"""What control is told by flags is judged before anything starts."""

from __future__ import annotations

import pytest

from eventmesh.cli.main import main


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("soon", "--jwks-refresh: invalid duration 'soon'"),
        ("-1m", "--jwks-refresh: -1m is negative"),
        ("9s", "--jwks-refresh: 9s is shorter than 10s"),
    ],
)
def test_a_refresh_that_cannot_be_is_refused(value: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["control", f"--jwks-refresh={value}"]) == 2
    assert complaint in capsys.readouterr().err
