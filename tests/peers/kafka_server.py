"""A real Apache Kafka in KRaft mode, one process for everything, that can be killed and started again on the same files
and the same ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.component.processes import program, until_listening
from tests.free_ports import free_port
from tests.peers.tools import TOOLS

START_S = 60
"""A JVM on a busy machine takes its time; two seconds on a quiet one."""

KAFKA = str(TOOLS / "kafka")
START = "kafka.Kafka"
FORMAT = ("kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c")
"""What `KAFKA` is asked for before the first start."""

GUARDED = """
listeners=OUTSIDE://127.0.0.1:@PORT@,INSIDE://127.0.0.1:@INSIDE@,QUORUM://127.0.0.1:@CONTROLLER@
listener.security.protocol.map=OUTSIDE:SASL_SSL,INSIDE:PLAINTEXT,QUORUM:PLAINTEXT
listener.name.outside.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.outside.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.outside.ssl.keystore.type=PEM
listener.name.outside.ssl.keystore.location={keystore}
listener.name.outside.ssl.truststore.type=PEM
listener.name.outside.ssl.truststore.location={truststore}
listener.name.outside.ssl.client.auth=required
"""
"""Lines of a server that lets in, at its own port, who shows a certificate and a password; anybody inside."""

_TEMPLATE = Path(__file__).parents[2] / "tools" / "kafka" / "server.properties"


def configured(directory: Path, port: int, more: str = "") -> Path:
    """Write a configuration whose last lines are `more`, in place of those before; return its file."""
    directory.mkdir(parents=True, exist_ok=True)
    text = f"{_TEMPLATE.read_text()}{more}".replace("@DATA@", str(directory / "data"))
    for name, number in {"PORT": port, "INSIDE": free_port(), "CONTROLLER": free_port()}.items():
        text = text.replace(f"@{name}@", str(number))
    file = directory / "server.properties"
    file.write_text(text)
    return file


class KafkaServer:
    """One server; `more` are lines that its configuration ends with, in place of those before."""

    engine = "kafka"

    def __init__(self, directory: Path, more: str = "", *formatted: str, port: int = 0) -> None:
        """`formatted` is what `kafka-storage format` is told; when nothing is, the server is a cluster of one."""
        self.port = port or free_port()
        self.process: asyncio.subprocess.Process | None = None
        self._data = directory / "data"
        self._formatted = formatted or ("--standalone",)
        self._config = str(configured(directory, self.port, more))

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def address(self, topic: str = "eventmesh") -> str:
        """Return the address of a store in a topic of its own."""
        return f"kafka://{self.bootstrap}/{topic}"

    async def _format(self) -> None:
        command = (KAFKA, *FORMAT, self._config, *self._formatted)
        pipe = asyncio.subprocess.PIPE
        async with program(*command, stdout=pipe, stderr=pipe) as process:
            out, err = await process.communicate()
            assert process.returncode == 0, (out + err).decode()

    def segment(self, topic: str, partition: int) -> Path:
        """Return the file that holds the first entries of a partition."""
        return self._data / f"{topic}-{partition}" / f"{0:020}.log"

    async def start(self) -> None:
        """Start it, on the files that it had; return when it listens."""
        if not self._data.exists():
            await self._format()
        null = asyncio.subprocess.DEVNULL
        self.process = await asyncio.create_subprocess_exec(KAFKA, START, self._config, stdout=null, stderr=null)
        await until_listening(self.process, self.port, START_S)

    async def kill(self) -> None:
        """End it as a crash does."""
        process, self.process = self.process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.communicate()


class KafkaCluster:
    """Three servers that hold everything together; one of them at a time is killed."""

    engine = "three of Kafka"

    def __init__(self, directory: Path) -> None:
        quorum = {number: free_port() for number in (1, 2, 3)}
        asked = ",".join(f"127.0.0.1:{port}" for port in quorum.values())
        # Each is known by its number, its address, and an id of its directory in 22 digits of base 64.
        voters = ",".join(f"{number}@127.0.0.1:{port}:eventmesh-directory-{number}g" for number, port in quorum.items())
        self.servers = []
        for number, port in quorum.items():
            serving = free_port()
            listeners = f"INSIDE://127.0.0.1:{serving},QUORUM://127.0.0.1:{port}"
            more = f"node.id={number}\nlisteners={listeners}\ncontroller.quorum.bootstrap.servers={asked}\n"
            formatted = ("--initial-controllers", voters)
            self.servers.append(KafkaServer(directory / str(number), more, *formatted, port=serving))
        self._next = 0

    def address(self, topic: str = "eventmesh") -> str:
        """Return the address of a store that each of them holds."""
        return f"kafka://{','.join(server.bootstrap for server in self.servers)}/{topic}?replicas=3"

    async def start(self) -> None:
        """Start those that do not run; return when they listen."""
        await asyncio.gather(*(server.start() for server in self.servers if server.process is None))

    async def kill(self) -> None:
        """End the next of them as a crash does."""
        await self.servers[self._next % 3].kill()
        self._next += 1

    async def end(self) -> None:
        """End them all."""
        for server in self.servers:
            await server.kill()


@asynccontextmanager
async def kafka_cluster(directory: Path) -> AsyncIterator[KafkaCluster]:
    """Run three servers until the block ends."""
    cluster = KafkaCluster(directory)
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.end()


@asynccontextmanager
async def kafka_server(directory: Path, more: str = "", *formatted: str) -> AsyncIterator[KafkaServer]:
    """Run a server until the block ends."""
    server = KafkaServer(directory, more, *formatted)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()
