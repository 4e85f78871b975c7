"""`eventmesh images`: make directories and container images runnable as `dev.local/NAME`, list and remove them."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from eventmesh.cli import connection, data_dir, local_mesh
from eventmesh.cluster.runtime.images import REGISTRY, ImageStore, digests_in
from eventmesh.kube.resources import POD, REVISION


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    add = actions.add_parser(
        "add", help=f"take a directory or a container image in as the newest version of {REGISTRY}/NAME"
    )
    add.add_argument("name", metavar="NAME")
    add.add_argument(
        "source",
        metavar="DIR|FILE",
        type=Path,
        help="a function's directory, an OCI image layout or archive, or a file from `docker save`",
    )
    listing = actions.add_parser("list", help="show names and versions")
    removal = actions.add_parser("rm", help="remove an image, or one version of it that nothing uses")
    removal.add_argument("name", metavar="NAME[@sha256:...]")
    for action in (add, listing, removal):
        data_dir.add_flag(action)


def run(args: argparse.Namespace) -> int:
    """Do the action; errors are MeshError."""
    store = ImageStore(data_dir.prepared(args.data_dir))
    if args.action == "add":
        image = store.add(args.name, args.source)
        sys.stdout.write(f"{REGISTRY}/{image.name} is now {image.digest}\n")
        return 0
    if args.action == "rm":
        for digest in store.remove(args.name, _in_use(args)):
            sys.stdout.write(f"removed {digest}\n")
        return 0
    for name in store.names():
        newest, *older = store.versions(name)
        note = f"  ({len(older)} older kept)" if older else ""
        sys.stdout.write(f"{REGISTRY}/{name}  {newest}{note}\n")
    return 0


def _in_use(args: argparse.Namespace) -> frozenset[str]:
    """Return the digests that the mesh of this directory needs; none when no mesh runs there.

    A mesh that is started later and misses an image says so in the conditions of the revisions that name it.
    """
    from eventmesh.cluster.running import find

    if find(args.data_dir.absolute()) is None:
        return frozenset()
    found = local_mesh.running(args)

    async def ask() -> frozenset[str]:
        async with connection.open_api(Path(found.kubeconfig)) as api:
            lists = [await api.list(resource) for resource in (REVISION, POD)]
        return frozenset(digests_in(obj for listed in lists for obj in listed.items))

    return asyncio.run(ask())
