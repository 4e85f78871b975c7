"""`eventmesh logs NAME`: what a function (all pods of a Knative Service) or one pod has written."""

from __future__ import annotations

import argparse
import sys

from eventmesh.base.errors import UsageError
from eventmesh.cli import connection
from eventmesh.kube.client import HttpApi
from eventmesh.kube.resources import POD

SERVICE_LABEL = "serving.knative.dev/service"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("name", metavar="NAME", help="a Knative Service or a pod")
    parser.add_argument("-c", "--container", default="", metavar="NAME", help="(default: the pod's first container)")
    parser.add_argument("--timestamps", action="store_true", help="begin each line with the time it was written")
    connection.add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Print the logs; errors are MeshError."""

    async def show(api: HttpApi) -> int:
        selector = f"{SERVICE_LABEL}={args.name}"
        pods = (await api.list(POD, args.namespace, label_selector=selector)).items
        names = [pod["metadata"]["name"] for pod in pods]
        if not names:
            pods = (await api.list(POD, args.namespace, field_selector=f"metadata.name={args.name}")).items
            names = [pod["metadata"]["name"] for pod in pods]
        if not names:
            raise UsageError(f"no pod {args.name} and no pod of a service {args.name}: the function may be asleep")
        for name in names:
            text = await api.pod_log(name, args.namespace, args.container, timestamps=args.timestamps)
            sys.stdout.write(text)
        return 0

    return connection.run(args, show)
