"""The errors a user may see: each names the field, the value, and what to do.

Protocol faults never appear as Python exceptions; they are answered by the compiled core. What is
raised here concerns configuration, objects, and the outside world (files, sockets, other services).
"""

from __future__ import annotations


class MeshError(Exception):
    """Base of every error that eventmesh raises on purpose; anything else escaping is a bug."""

    exit_code = 1
    """The process exit code of a command that ends with this error."""


class UsageError(MeshError):
    """The caller asked for something impossible; the message names the flag or argument."""

    exit_code = 2


class ConfigError(MeshError):
    """A configuration field is missing, unknown, unsupported or out of range.

    `path` is the field as the author would write it (`static_resources.listeners[0].address`);
    the message says what is wrong with its value and what is accepted.
    """

    exit_code = 2

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem


class UnavailableError(MeshError):
    """Something outside (a port, a file, another component) is not to be had now; trying later may help."""

    exit_code = 3


class TemporaryError(MeshError):
    """A reconcile step cannot finish yet; the controller tries the object again after `after_s` seconds."""

    def __init__(self, message: str, after_s: float = 1.0) -> None:
        super().__init__(message)
        self.after_s = after_s


class PermanentError(MeshError):
    """A reconcile step cannot ever finish for this object as written; it is not tried until the object changes."""
