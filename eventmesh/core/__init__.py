"""The Python face of the compiled engine (`crates/core`): bytes and events go in, actions come out.

The engine opens no socket, reads no clock and calls nothing back; `transport` does what its actions
say. Only `Receiver`, by which reads come in, does the writes among them itself. See `_core.pyi` for the contract and
`actions` for the vocabulary.
"""

from eventmesh.core._core import Engine, Protocol, Receiver, check_keys, check_pattern

__all__ = ["Engine", "Protocol", "Receiver", "check_keys", "check_pattern"]
