"""A process whose event loop does without OpenSSL. Each runs by itself: what is imported cannot be taken back."""

import subprocess
import sys
from pathlib import Path

LOADED = "from eventmesh.base.without_openssl import load_loop; load_loop(); import asyncio, sys, uvloop\n"


def python(program: str) -> str:
    """Run `program`; return what it prints."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_loop_works_and_nothing_of_openssl_is_mapped() -> None:
    program = (
        LOADED
        + """
class Echo(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(data)

async def main():
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"hello")
    print((await reader.readexactly(5)).decode(), type(asyncio.get_running_loop()).__module__)

uvloop.run(main())
maps = open("/proc/self/maps").read()
print([name for name in ("libssl", "libcrypto", "_ssl") if name in maps], "ssl" in sys.modules)
"""
    )
    assert python(program).splitlines() == ["hello uvloop", "[] False"]


def test_who_imports_ssl_later_gets_the_real_one() -> None:
    assert python(LOADED + "import ssl; print(ssl.create_default_context().verify_mode.name)") == "CERT_REQUIRED"


def test_tls_by_the_loop_is_refused_with_the_way_out() -> None:
    program = (
        LOADED
        + """
import ssl

async def main():
    for context in (True, ssl.create_default_context()):
        try:
            await asyncio.open_connection("127.0.0.1", 1, ssl=context)
        except RuntimeError as error:
            print(error)

uvloop.run(main())
"""
    )
    refusals = python(program).splitlines()
    assert len(refusals) == 2
    assert all("docs/protocols/tls.md" in refusal for refusal in refusals)


def test_a_process_that_has_loaded_asyncio_already_is_left_as_it_is() -> None:
    program = "import asyncio\n" + LOADED + "import ssl; print(asyncio.sslproto.ssl is ssl)"
    assert python(program) == "True"


def test_a_uvloop_that_wants_more_of_ssl_shares_it_with_all_others(tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("import ssl\nwanted = ssl.OPENSSL_VERSION\n")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + LOADED + "import ssl; print(uvloop.ssl is ssl)"
    assert python(program) == "True"
