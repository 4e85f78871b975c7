"""A new function is whole from its first moment: its code loads, its test passes, its manifest is admitted as YAML."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from eventmesh.base.errors import UsageError
from eventmesh.cluster.runtime.images import ImageStore
from eventmesh.functions.scaffold import TEMPLATES, init
from tests.mesh.readme import REPOSITORY


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_the_test_of_a_new_function_passes_and_it_is_an_image(tmp_path: Path, template: str) -> None:
    init("greeter", template, tmp_path)
    run_tests_of(tmp_path / "greeter")
    image = ImageStore(tmp_path / "data").add("greeter", tmp_path / "greeter")
    assert image.command[1:] == ("-m", "eventmesh.functions", "function.py")
    kinds = {document["kind"] for document in yaml.safe_load_all((tmp_path / "greeter/manifest.yaml").read_text())}
    assert kinds >= ({"Deployment"} if template == "bolt" else {"Service"})
    assert "$" not in (tmp_path / "greeter/function.py").read_text()


@pytest.mark.parametrize("name", ["Greeter", "9lives", "a_b", "a-", "", "a" * 64, "../up"])
def test_a_name_that_no_service_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="lower-case letters"):
        init(name, "event", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "greeter").mkdir()
    with pytest.raises(UsageError, match="there already"):
        init("greeter", "event", tmp_path)
    assert list((tmp_path / "greeter").iterdir()) == []


@pytest.mark.parametrize("example", ["hello-http", "order-events", "order-pipeline", "stock-check"])
def test_the_test_of_an_example_passes(example: str) -> None:
    run_tests_of(REPOSITORY / "functions" / "examples" / example)


def run_tests_of(directory: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-c", "/dev/null"]
    done = subprocess.run([*command, "--rootdir", directory, directory], cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
