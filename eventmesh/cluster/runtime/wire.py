"""What the runtime and its launcher process say to each other: JSON datagrams over a socket pair, descriptors beside.

Only the standard library is imported here, because the launcher pays for every import at each fork.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any, Final, NamedTuple, get_args

from eventmesh.base.frozen import frozen

MAX_MESSAGE_BYTES: Final = 160 * 1024
"""Longest message, environment included. Linux takes 128 KiB for one variable and about 200 KiB for one datagram
on a default host (net.core.wmem_default), so that a longer one would be refused by the kernel with less to say."""

MAX_ZYGOTE_BYTES: Final = 16
"""Longest message to and from a zygote or a fork of it: the number of a process, or one byte beside a socket."""

MAX_SOCKETS: Final = 8
"""Listening sockets that a process may be given."""

MAX_KEPT: Final = 3
"""Descriptors that outlive the runtime with a process: what its two outputs are read from, a socket it speaks to."""

MAX_DESCRIPTORS: Final = 3 + MAX_SOCKETS + MAX_KEPT
"""Standard output, standard error, standard input where somebody has something to say, listening sockets, what is
kept."""

MAX_CHILD_DESCRIPTORS: Final = MAX_DESCRIPTORS + 2
"""What an order has on its way from the launcher to a spare: these, the pipe for its failure, its network."""


class Mount(NamedTuple):
    """A file or directory that a process sees at another path too."""

    source: str
    target: str
    read_only: bool


@frozen
class Confinement:
    """What a process sees of the files and may do, where that differs from the runtime's own."""

    mounts: tuple[Mount, ...] = ()
    staging: str = ""
    """An empty directory, mounted over in the process's own view alone; needed when there are mounts."""
    root: str = ""
    """A directory that it sees as the root of all files (of a container image); empty: the machine's own."""
    layer: str = ""
    """Where what it writes into that root is kept; empty: it cannot write there."""
    beside: int = 0
    """A process whose view of the files it has; 0: one of its own."""
    user: int | None = None
    group: int | None = None
    no_new_privileges: bool = False
    no_capabilities: bool = False
    groups: tuple[str, ...] = ()
    """Control groups that it belongs to from its first moment on."""


@frozen
class Spawn:
    """Start a process in a session of its own; its descriptors travel beside the message."""

    request: int
    argv: tuple[str, ...]
    env: dict[str, str]
    workdir: str
    network: int | None = None
    """The launcher's number for a namespace that `MakeNetwork` returned; None is the host's."""
    entry: str = ""
    """`module:function` to call with `argv` in the forked launcher, instead of executing a program."""
    confinement: Confinement = Confinement()
    sockets: int = 0
    """How many listening sockets travel beside the message, for an entry to find by sd_listen_fds(3)."""
    has_input: bool = False
    """Whether a third descriptor is its standard input; without one it reads the end at once."""
    on_terminal: bool = False
    """Whether its streams are a terminal that becomes the one that controls it."""
    label: str = ""
    """What the next runtime is told of the process when this one is gone; without a label it ends with this one."""
    kept: int = 0
    """How many more descriptors travel beside the message, for the next runtime alone."""
    warm: bool = False
    """Whether `argv`, which is `PYTHON FILE ...` or `PYTHON -m MODULE ...`, may be done by a fork of a prepared
    interpreter (`zygote`) if there is one now."""


@frozen
class Prepare:
    """Fork a process now, have it import `modules`, and keep it for the entry whose first word is `word`, or for the
    program that is to belong to the control group `word`, one of `groups`, in which the process waits."""

    word: str
    modules: tuple[str, ...]
    groups: tuple[str, ...] = ()


@frozen
class MakeNetwork:
    """Make a network namespace."""

    request: int


@frozen
class OpenSocket:
    """Make a TCP socket inside a namespace; it travels beside the reply."""

    request: int
    network: int


@frozen
class DropNetwork:
    """Forget a namespace; it ends with the last process inside."""

    network: int


@frozen
class Signal:
    """Send a signal to the whole process group of a spawned process, unless it has ended."""

    pid: int
    number: int


@frozen
class Attach:
    """Answer a runtime at the socket beside this message from now on; the one before it is gone."""


@frozen
class Hold:
    """Keep the listening sockets beside this message open, and give them to the next runtime under this name."""

    name: str


@frozen
class Held:
    """What a runtime before had held; the sockets travel beside the message."""

    name: str


@frozen
class Survivor:
    """A process that a runtime before has started under a label; what is kept with it travels beside the message."""

    pid: int
    label: str
    status: int | None = None
    """How it has ended while no runtime was there, as in `Exited`; None: it runs."""


@frozen
class Attached:
    """All has been told that outlived the runtimes before."""

    networks: tuple[int, ...] = ()
    """The namespaces that they had made."""


@frozen
class Reply:
    """The outcome of a `Spawn` (`pid`), a `MakeNetwork` (`network`, a descriptor of the launcher) or an `OpenSocket`,
    or its error."""

    request: int
    pid: int = 0
    network: int = 0
    error: str = ""


@frozen
class Exited:
    """A spawned process has ended, and what was left of its group is gone."""

    pid: int
    status: int
    """As `os.waitstatus_to_exitcode` gives it: the exit code, or minus the signal."""


@frozen
class Preloaded:
    """The launcher has imported what it was told to; `error` names a module that failed."""

    error: str = ""


Message = (
    Spawn
    | Prepare
    | MakeNetwork
    | OpenSocket
    | DropNetwork
    | Signal
    | Attach
    | Hold
    | Held
    | Survivor
    | Attached
    | Reply
    | Exited
    | Preloaded
)

_KINDS: Final[dict[str, type[Any]]] = {kind.__name__: kind for kind in get_args(Message)}


def encode(message: Message) -> bytes:
    """Return `message` as one datagram."""
    return json.dumps({"kind": type(message).__name__, **asdict(message)}).encode()


def decode(data: bytes) -> Message:
    """Return the message in a datagram of our own peer; anything else is a bug and raises."""
    values = json.loads(data)
    kind = _KINDS[values.pop("kind")]
    for name in ("argv", "modules", "networks", "groups"):
        if name in values:
            values[name] = tuple(values[name])
    if "confinement" in values:
        confinement = values["confinement"]
        mounts = tuple(Mount(*mount) for mount in confinement.pop("mounts"))
        groups = tuple(confinement.pop("groups"))
        values["confinement"] = Confinement(mounts, groups=groups, **confinement)
    known = {field.name for field in fields(kind)}
    message: Message = kind(**{name: value for name, value in values.items() if name in known})
    return message
