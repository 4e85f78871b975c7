"""The load: wrk for HTTP/1.1, h2load for HTTP/2; both check that every answer is a 200."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from benchmarks.contenders import find, others
from benchmarks.scene import EDIT, HEADERS, HOSTS, PATHS


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load generator saw."""

    requests: int
    seconds: float
    failed: int

    @property
    def per_second(self) -> float:
        """Return answered requests a second."""
        return self.requests / self.seconds


def http1(
    port: int, connections: int, seconds: float, scheme: str = "http", hosts: tuple[str, ...] = HOSTS
) -> LoadResult:
    """Run wrk over every route of `hosts` in turn."""
    with NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_lua(hosts))
        script.flush()
        argv = [
            find("wrk"),
            "-t1",
            f"-c{connections}",
            f"-d{max(1, round(seconds))}s",
            "-s",
            script.name,
            f"{scheme}://127.0.0.1:{port}/",
        ]
        output = _run(argv)
    total = _search(r"(\d+) requests in ([\d.]+)(ms|s|m)", output)
    unit = {"ms": 1e-3, "s": 1.0, "m": 60.0}[total.group(3)]
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    failed = int(refused.group(1)) if refused else 0
    failed += sum(map(int, errors.groups())) if errors else 0
    return LoadResult(int(total.group(1)), float(total.group(2)) * unit, failed)


def _lua(hosts: tuple[str, ...]) -> str:
    # Requests are formatted once: the generator must not be what is measured. The edited header is sent too, so that
    # the direct run passes the backend's check; proxies overwrite it.
    lines = ["local requests = {}"]
    headers = "".join(f"{name}: {value}\\r\\n" for name, value in {**HEADERS, EDIT[0]: EDIT[1]}.items())
    for host in hosts:
        for path in PATHS:
            lines.append(
                f'requests[#requests+1] = "GET {path}/item?id=7 HTTP/1.1\\r\\nHost: {host}\\r\\n{headers}\\r\\n"'
            )
    lines.append("local at = 0")
    lines.append("request = function() at = at % #requests + 1; return requests[at] end")
    return "\n".join(lines)


def https1(port: int, connections: int, seconds: float) -> LoadResult:
    """Run wrk over TLS."""
    return http1(port, connections, seconds, "https")


def http2(port: int, connections: int, seconds: float, streams: int = 10) -> LoadResult:
    """Run h2load with `streams` concurrent streams on each connection."""
    return _h2load(port, connections, seconds, f"-m{streams}")


def unpaced(port: int, connections: int, seconds: float, *, http2: bool) -> LoadResult:
    """Run what `paced` runs, as fast as it goes."""
    return _h2load(port, connections, seconds, *_kind(http2))


def paced(port: int, connections: int, rate: float, seconds: float, *, http2: bool) -> tuple[LoadResult, list[int]]:
    """Send `rate` requests a second; return also how many microseconds each took, from when it was sent."""
    with NamedTemporaryFile("r", suffix=".log") as log:
        each = max(1, round(rate / connections))
        result = _h2load(port, connections, seconds, *_kind(http2), "--rps", f"{each}", "--log-file", log.name)
        return result, [int(line.split("\t")[2]) for line in log]


def _kind(http2: bool) -> tuple[str, ...]:
    return ("-m10",) if http2 else ("--h1",)


def _h2load(port: int, connections: int, seconds: float, *flags: str) -> LoadResult:
    with NamedTemporaryFile("w", suffix=".txt") as uris:
        uris.write("".join(f"http://127.0.0.1:{port}{path}/item?id=7\n" for path in PATHS))
        uris.flush()
        argv = [find("h2load"), "-t1", f"-c{connections}", "-D", f"{max(1, round(seconds))}", "-i", uris.name, *flags]
        argv += ["-H", f":authority: {HOSTS[7]}"]
        for name, value in {**HEADERS, EDIT[0]: EDIT[1]}.items():
            argv += ["-H", f"{name}: {value}"]
        output = _run(argv)
    done = _search(r"finished in ([\d.]+)(ms|s)", output)
    counts = _search(
        r"requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed, (\d+) errored", output
    )
    codes = _search(r"status codes: (\d+) 2xx", output)
    succeeded = int(counts.group(1))
    seconds_run = float(done.group(1)) * (1e-3 if done.group(2) == "ms" else 1.0)
    return LoadResult(succeeded, seconds_run, int(counts.group(2)) + max(0, succeeded - int(codes.group(1))))


def _run(argv: list[str]) -> str:
    cpus = others()
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, preexec_fn=lambda: os.sched_setaffinity(0, cpus)
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"{Path(argv[0]).name} failed ({done.returncode}): {done.stderr.strip() or done.stdout.strip()}"
        )
    return done.stdout


def _search(pattern: str, text: str) -> re.Match[str]:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"load generator printed nothing that matches {pattern!r}:\n{text}")
    return found
