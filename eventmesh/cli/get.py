"""`eventmesh get KIND [NAME]`: the objects of a mesh, where kubectl is not at hand."""

from __future__ import annotations

import argparse

from eventmesh.cli import connection, output
from eventmesh.kube.client import HttpApi


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("kind", metavar="KIND", help="ksvc, revision, broker, trigger, pod, ...")
    parser.add_argument("name", metavar="NAME", nargs="?")
    output.add_flag(parser)
    connection.add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Print the objects; errors are MeshError."""
    from eventmesh.cli.kinds import by_word

    kind = by_word(args.kind)

    async def show(api: HttpApi) -> int:
        if args.name:
            items = [await api.get(kind.resource, args.name, args.namespace)]
        else:
            items = (await api.list(kind.resource, args.namespace)).items
        if args.output != "table":
            output.document(items[0] if args.name else items, args.output)
            return 0
        rows = [(obj["metadata"]["name"], *(read(obj) for read in kind.columns.values())) for obj in items]
        output.table(("NAME", *kind.columns), rows)
        return 0

    return connection.run(args, show)
