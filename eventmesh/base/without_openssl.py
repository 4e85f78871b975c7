"""asyncio and uvloop without OpenSSL, for processes that speak TLS by the engine alone.

`import ssl` maps OpenSSL and makes hundreds of constants: a seventh of a sidecar's resident memory, for nothing.
asyncio can do without, as on a Python that was built so; uvloop wants a few names, which stand in here. Who imports
`ssl` later gets the real one; only these two cannot use it any more.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Final, NoReturn

_MODULE: Final = "ssl"

_REFUSAL: Final = (
    "asyncio of this process was loaded without OpenSSL: TLS to other services is declared as a cluster with a "
    "transport_socket, which the engine speaks (docs/protocols/tls.md)"
)


class _Absent(type):
    """The type of a class of `ssl` that has no instances here."""

    def __instancecheck__(cls, instance: object) -> bool:
        raise RuntimeError(_REFUSAL)


def _refuse(*_args: object, **_kwargs: object) -> NoReturn:
    raise RuntimeError(_REFUSAL)


def load_loop() -> None:
    """Import asyncio and uvloop without OpenSSL; nothing happens where one of them, or `ssl`, is there already."""
    if {_MODULE, "asyncio", "uvloop"} & sys.modules.keys():
        return
    sys.modules[_MODULE] = None  # type: ignore[assignment]  # import then says that there is none
    try:
        import asyncio  # noqa: F401

        sys.modules[_MODULE] = _stand_in()
        import uvloop  # noqa: F401
    except AttributeError:
        pass  # a uvloop that wants another name: who imports it next does so with OpenSSL, and we pay
    finally:
        del sys.modules[_MODULE]


def _stand_in() -> ModuleType:
    """Return a module with what uvloop looks up in `ssl` when it is imported."""
    module = ModuleType(_MODULE, "Stands in for ssl while uvloop is imported.")
    errors = ("SSLError", "SSLWantReadError", "SSLSyscallError", "SSLZeroReturnError", "CertificateError")
    codes = ("SSL_ERROR_WANT_READ", "SSL_ERROR_WANT_WRITE", "SSL_ERROR_SYSCALL")
    vars(module).update(
        {name: type(name, (OSError,), {}) for name in errors},
        **dict.fromkeys(codes, 0),
        SSLContext=_Absent("SSLContext", (), {}),
        MemoryBIO=_refuse,
        create_default_context=_refuse,
    )
    return module
