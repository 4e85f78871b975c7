"""Kernel calls that Python 3.11 does not wrap: namespaces, mounts, privileges, parent-death signals, sub-reapers.

Every function raises OSError with the kernel's own reason. Nothing here decides anything.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from typing import Final, TypeVar

T = TypeVar("T")

CLONE_NEWNS: Final = 0x0002_0000
CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWNET: Final = 0x4000_0000

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_CAPBSET_DROP: Final = 24
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITY_VERSION_3: Final = 0x2008_0522
_CAPABILITY_DATA_BYTES: Final = 2 * 3 * 4
"""Two halves of three sets: effective, permitted, inheritable (capset(2))."""
_LAST_CAPABILITY: Final = "/proc/sys/kernel/cap_last_cap"

_ENDED: Final = ("Z", "X")
"""Zombie and dead, in `/proc/PID/stat`."""

_MS_RDONLY: Final = 0x1
_MS_NOSUID: Final = 0x2
_MS_NODEV: Final = 0x4
_MS_NOEXEC: Final = 0x8
_MS_REMOUNT: Final = 0x20
_MS_BIND: Final = 0x1000
_MS_REC: Final = 0x4000
_MS_UNBINDABLE: Final = 0x2_0000
_MS_PRIVATE: Final = 0x4_0000
_KEPT_MOUNT_FLAGS: Final = (
    (os.ST_NOSUID, _MS_NOSUID),
    (os.ST_NODEV, _MS_NODEV),
    (os.ST_NOEXEC, _MS_NOEXEC),
    (os.ST_NOATIME, 0x400),
    (os.ST_NODIRATIME, 0x800),
    (os.ST_RELATIME, 0x20_0000),
)
"""What `statvfs` tells of a mount, and the flag of mount(2) for it: a user namespace may add to them, not take away."""

_SIOCGIFFLAGS: Final = 0x8913
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 0x1
_IFREQ: Final = "16sH22x"
OWN_NETWORK: Final = "/proc/thread-self/ns/net"


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move the calling thread into new namespaces of the kinds in `flags` (`CLONE_NEW*`)."""
    _check(_libc().unshare(flags), "unshare")


def enter_namespace(fd: int, kind: int) -> None:
    """Move the calling thread into the namespace behind `fd`, which must be of `kind`."""
    _check(_libc().setns(fd, kind), "setns")


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Ask for signal `number` when the thread that forked this process ends; kept across exec."""
    _check(_libc().prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def start_time(pid: int) -> str:
    """Return when the process was started, in ticks since the machine was (proc(5)): with its number, a name for ever.

    One that has ended and is not reaped yet is as gone as any.
    """
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        # The name in parentheses may hold anything.
        state, *fields = file.read().rpartition(")")[2].split()
    if state in _ENDED:
        raise ProcessLookupError(errno.ESRCH, f"process {pid} has ended")
    return fields[18]


def adopt_orphans() -> None:
    """Make this process, and not init, the parent of descendants whose own parent ends."""
    _check(_libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")


def name_process(name: str) -> None:
    """Have `ps` and `top` show `name`, cut after 15 characters, for this process; its command line remains."""
    with suppress(OSError), open("/proc/self/comm", "w", encoding="utf-8") as file:
        file.write(name)


def end_children() -> None:
    """Kill every child of this process, orphans that it has adopted included, and return when none is left."""
    while True:
        with open("/proc/thread-self/children", encoding="ascii") as file:
            children = [int(word) for word in file.read().split()]
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def own_mounts() -> None:
    """Give the calling process a mount namespace of its own, whose mounts nobody else ever sees."""
    unshare(CLONE_NEWNS)
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)


def bind(source: str, target: str, *, read_only: bool = False) -> None:
    """Show the file or directory `source`, with what is mounted below it, at `target` too."""
    _mount(source, target, "", _MS_BIND | _MS_REC)
    if read_only:
        told = os.statvfs(target).f_flag
        kept = sum(flag for reported, flag in _KEPT_MOUNT_FLAGS if told & reported)
        _mount("none", target, "", _MS_BIND | _MS_REMOUNT | _MS_RDONLY | kept)


def mount_memory(target: str, mode: int, *, unbindable: bool = False) -> None:
    """Mount an empty file system in memory; an `unbindable` one is left out when what it lies in is bound elsewhere."""
    _mount("tmpfs", target, "tmpfs", 0, f"mode={mode:o}")
    if unbindable:
        _mount("none", target, "", _MS_UNBINDABLE)


def mount_terminals(target: str) -> None:
    """Mount terminals that nobody else has, with the file that opens new ones (`ptmx`), for everybody."""
    _mount("devpts", target, "devpts", _MS_NOSUID | _MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620")


def mount_system(target: str) -> None:
    """Show what the kernel tells of the machine, and of the network of the calling process; nothing can be set."""
    _mount("sysfs", target, "sysfs", _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)


def mount_overlay(lower: str, upper: str, work: str, target: str) -> None:
    """Show `lower` at `target`, with what is written kept in `upper`; `work` is an empty directory beside that."""
    _mount("overlay", target, "overlay", 0, f"lowerdir={lower},upperdir={upper},workdir={work}")


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    if _libc().mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount: {os.strerror(number)}", target)


def give_up_capabilities() -> None:
    """Have the next program executed without any capability, root's too; the calling process keeps its own."""
    with open(_LAST_CAPABILITY, encoding="ascii") as file:
        last = int(file.read())
    for capability in range(last + 1):
        _check(_libc().prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0), "prctl(PR_CAPBSET_DROP)")


def drop_capabilities() -> None:
    """Take every capability from the calling process, at once and for good."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    _check(_libc().capset(header, bytes(_CAPABILITY_DATA_BYTES)), "capset")


def be_inspectable() -> None:
    """Let the calling process see itself below `/proc/self`, and who may look at it do so, as after any exec."""
    _check(_libc().prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl(PR_SET_DUMPABLE)")


def gain_no_privileges() -> None:
    """Keep every program executed from now on from gaining privileges (set-user-id files have no effect)."""
    _check(_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")


def raise_loopback() -> None:
    """Bring up `lo` of the calling thread's network namespace; a new namespace has it down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack(_IFREQ, b"lo", 0)
        (_, flags) = struct.unpack(_IFREQ, fcntl.ioctl(probe, _SIOCGIFFLAGS, request))
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack(_IFREQ, b"lo", flags | _IFF_UP))


def call_in_network(fd: int, function: Callable[[], T]) -> T:
    """Return what `function` returns when run in the network namespace behind `fd`.

    Sockets made inside belong to that namespace for good. A thread of its own goes there and ends, because an
    unprivileged process may enter its pod's namespace but may never come back to the host's.
    """

    def enter_and_call() -> T:
        enter_namespace(fd, CLONE_NEWNET)
        return function()

    return _call_in_thread(enter_and_call)


def new_network() -> int:
    """Make a network namespace whose loopback is up; return a descriptor that keeps it alive.

    Needs CAP_SYS_ADMIN in the caller's user namespace; without it raises PermissionError.
    """

    def make() -> int:
        unshare(CLONE_NEWNET)
        raise_loopback()
        return os.open(OWN_NETWORK, os.O_RDONLY | os.O_CLOEXEC)

    return _call_in_thread(make)


def _call_in_thread(function: Callable[[], T]) -> T:
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:  # the caller's thread raises it
            outcome.set_exception(error)

    thread = threading.Thread(target=run, name="network-namespace")
    thread.start()
    thread.join()
    return outcome.result()


def become_namespace_root() -> None:
    """Enter a new user namespace where the caller's user and group appear as 0, with every capability in it.

    Raises OSError where the host forbids it (`kernel.unprivileged_userns_clone`, `user.max_user_namespaces`, AppArmor).
    """
    user, group = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
