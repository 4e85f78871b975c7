"""The admin port of a part of the mesh: found as the API is, or named by a flag; asked over HTTP."""

from __future__ import annotations

import argparse
import http.client
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from eventmesh.base.errors import UnavailableError, UsageError
from eventmesh.base.frozen import frozen
from eventmesh.cli import connection
from eventmesh.kube.config import ACTIVATOR_EXTENSION, CONTROL_EXTENSION, GATEWAY_EXTENSION, admin_port

TIMEOUT_S = 60.0
"""Longer than the activator waits with the answer to who follows events."""

Json = dict[str, Any]


@frozen
class AdminPort:
    """Where one part of the mesh is asked about itself."""

    who: str
    extension: str
    """Its entry in a kubeconfig (`kube.config`)."""

    def add_flags(self, parser: argparse.ArgumentParser) -> None:
        """Declare the flags that say which mesh, and which namespace."""
        parser.add_argument(
            "--admin",
            metavar="HOST:PORT",
            default="",
            help=f"admin port of the {self.who} (default: as the kubeconfig says)",
        )
        connection.add_flags(parser)

    def address_of(self, args: argparse.Namespace) -> str:
        """Return `host:port`; raises UsageError when nothing says where it is."""
        if args.admin:
            return str(args.admin)
        kubeconfig = connection.kubeconfig_of(args) or Path(os.environ["KUBECONFIG"].split(os.pathsep)[0])
        address = admin_port(kubeconfig, self.extension)
        if not address:
            raise UsageError(
                f"{kubeconfig} does not say where the {self.who} is: name its admin port with --admin HOST:PORT"
            )
        return address

    def ask(self, args: argparse.Namespace, path: str, parameters: Mapping[str, object] | None = None) -> Json:
        """Return the answer to a GET; a list among `parameters` is given once an item.

        Raises UsageError for what the other side finds wrong, else UnavailableError.
        """
        query = {name: value for name, value in (parameters or {}).items() if value not in (None, "", [])}
        return self._exchange(args, "GET", f"{path}?{urlencode(query, doseq=True)}" if query else path, None)

    def order(self, args: argparse.Namespace, path: str, what: Mapping[str, object]) -> Json:
        """Return the answer to a POST of `what`; raises as `ask` does."""
        return self._exchange(args, "POST", path, json.dumps(what).encode())

    def cancel(self, args: argparse.Namespace, path: str) -> Json:
        """Return the answer to a DELETE; raises as `ask` does."""
        return self._exchange(args, "DELETE", path, None)

    def _exchange(self, args: argparse.Namespace, method: str, path: str, body: bytes | None) -> Json:
        address = self.address_of(args)
        try:
            connection_ = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
        except http.client.InvalidURL as error:
            raise UsageError(f"--admin: {error}; write HOST:PORT") from None
        try:
            connection_.request(method, path, body)
            answer = connection_.getresponse()
            status, content = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise UnavailableError(f"the {self.who}'s admin port {address} cannot be reached: {error}") from error
        finally:
            connection_.close()
        if status == 200:
            found: Json = json.loads(content)
            return found
        text = content.decode(errors="replace").strip()
        if 400 <= status < 500:
            raise UsageError(text)
        raise UnavailableError(f"the {self.who} answered {status}: {text}")


ACTIVATOR = AdminPort("activator", ACTIVATOR_EXTENSION)
GATEWAY = AdminPort("gateway", GATEWAY_EXTENSION)
CONTROL = AdminPort("control", CONTROL_EXTENSION)
