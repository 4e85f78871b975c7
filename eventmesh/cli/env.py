"""`eventmesh env`: the variables with which kn, kubectl and eventmesh find the mesh, for a shell to evaluate."""

from __future__ import annotations

import argparse
import os
import shlex
import sys

from eventmesh.cli import data_dir, local_mesh


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    data_dir.add_flag(parser)
    shell = "fish" if os.environ.get("SHELL", "").endswith("/fish") else "sh"
    parser.add_argument("--shell", choices=("sh", "fish"), default=shell, help="(default: that of $SHELL)")


def run(args: argparse.Namespace) -> int:
    """Print a line for each variable; raises UnavailableError, with nothing printed, when no mesh runs."""
    found = local_mesh.running(args)
    variables = {"KUBECONFIG": found.kubeconfig, "EVENTMESH_DATA_DIR": str(args.data_dir.absolute())}
    for name, value in variables.items():
        if args.shell == "fish":
            quoted = value.replace("\\", "\\\\").replace("'", "\\'")
            sys.stdout.write(f"set -gx {name} '{quoted}'\n")
        else:
            sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    if sys.stdout.isatty():
        sys.stdout.write('# eval "$(eventmesh env)"\n' if args.shell == "sh" else "# eventmesh env | source\n")
    return 0
