"""The API that a command talks to: `--kubeconfig`, else $KUBECONFIG, else the local mesh of the data directory."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from eventmesh.base.errors import UsageError
from eventmesh.cli import data_dir

if TYPE_CHECKING:
    from eventmesh.kube.client import HttpApi


T = TypeVar("T")


def add_flags(parser: argparse.ArgumentParser, *, namespace: bool = True) -> None:
    """Declare the flags that say which API and, for commands that are about one, which `namespace`."""
    parser.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="which API (default: $KUBECONFIG, else the mesh)"
    )
    if namespace:
        parser.add_argument("-n", "--namespace", default="default", metavar="NAMESPACE")
    data_dir.add_flag(parser)


def run(args: argparse.Namespace, work: Callable[[HttpApi], Awaitable[T]]) -> T:
    """Run `work` with the API; return what it returns, an exit code for the most part."""

    kubeconfig = kubeconfig_of(args)

    async def main() -> T:
        async with open_api(kubeconfig) as api:
            return await work(api)

    return asyncio.run(main())


@asynccontextmanager
async def open_api(kubeconfig: Path | None) -> AsyncIterator[HttpApi]:
    """Yield the API of a kubeconfig, of $KUBECONFIG when None; raises ConfigError when it cannot be read."""
    from eventmesh.kube.client import HttpApi
    from eventmesh.kube.config import load_config

    api = HttpApi(await load_config(kubeconfig))
    try:
        yield api
    finally:
        await api.close()


def is_named_by_environment() -> bool:
    """Return whether $KUBECONFIG says which API."""
    return bool(os.environ.get("KUBECONFIG"))


def kubeconfig_of(args: argparse.Namespace) -> Path | None:
    """Return the kubeconfig in force; None: that of $KUBECONFIG. Raises UsageError when there is none."""
    named: Path | None = args.kubeconfig
    if named is not None or is_named_by_environment():
        return named
    own: Path = args.data_dir / "kubeconfig"
    if not own.exists():
        raise UsageError(f"no mesh in {args.data_dir}: run `eventmesh up`, or name a --kubeconfig")
    return own
