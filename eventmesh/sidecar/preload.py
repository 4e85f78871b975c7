"""Imported by a process that forks sidecars: all that a starting sidecar would import, and compute always alike.

A pod's start waits for its sidecar, so what can be done once is done here, before the fork: modules, the compiled table
of Envoy's messages, a whole start up to its first socket. Nothing here starts a thread or opens a socket.
"""

from __future__ import annotations

import eventmesh.base.linux  # noqa: F401 - transport.netns's, when a pod has a namespace
import eventmesh.sidecar.app
import eventmesh.sidecar.function
import eventmesh.xds.client.ads  # noqa: F401 - the app's, when there is a control plane
import eventmesh.xds.client.channel  # noqa: F401 - likewise
import eventmesh.xds.client.inbound  # noqa: F401 - the app's, when there is a function
import eventmesh.xds.translate.tls  # noqa: F401 - the bootstrap's, when it has an identity
from eventmesh.base.late_methods import written_at_once
from eventmesh.sidecar.rehearsal import rehearse
from eventmesh.xds.schema.table import MESSAGES
from eventmesh.xds.schema.types import full_name, message_type

with written_at_once():
    for _name in MESSAGES:
        message_type(full_name(_name))
    rehearse()
