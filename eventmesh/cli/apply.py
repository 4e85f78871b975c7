"""`eventmesh apply -f FILE`: create or update what a manifest says, where kubectl is not at hand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from eventmesh.cli import connection
from eventmesh.kube.client import HttpApi


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("-f", "--filename", type=Path, required=True, metavar="FILE", help="YAML")
    connection.add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Apply every object in the order of the file; errors are MeshError."""
    from eventmesh.cli.kinds import of_object
    from eventmesh.kube.api import ApiError
    from eventmesh.kube.manifests import read_manifests

    objects = [(of_object(obj), obj) for obj in read_manifests(args.filename)]

    async def apply(api: HttpApi) -> int:
        for resource, obj in objects:
            name = obj["metadata"]["name"]
            namespace = obj["metadata"].get("namespace", args.namespace)
            try:
                await api.create(resource, obj, namespace)
                done = "created"
            except ApiError as error:
                if not error.already_exists:
                    raise
                await api.patch(resource, name, obj, namespace)
                done = "configured"
            sys.stdout.write(f"{resource.plural}/{name} {done}\n")
        return 0

    return connection.run(args, apply)
