"""`python -m eventmesh.functions DIR`: what the runtime starts for an image whose `function.py` declares functions."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Serve at 127.0.0.1:$PORT until SIGTERM; return the exit code."""
    # Nothing dies while modules load: the collector would cost a tenth of the start (`run` turns it on again).
    gc.disable()
    from eventmesh.base import log
    from eventmesh.base.errors import MeshError
    from eventmesh.functions.app import port_of_environment, serve

    log.configure()
    try:
        return serve(sys.argv[1] if len(sys.argv) > 1 else ".", f"127.0.0.1:{port_of_environment()}")
    except MeshError as error:
        sys.stderr.write(f"eventmesh: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
