"""One link of a chain: takes a third of a second to start, and answers event `NAME.N` with event `NAME.N+1`."""

import http.server
import os
import time

START_S = 0.3
"""What it waits for before it listens, as a function does that connects to its database."""


class Link(http.server.BaseHTTPRequestHandler):
    """Answers events at once."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Reply with the next event."""
        self.rfile.read(int(self.headers.get("content-length", 0)))
        chain, _, step = self.headers["ce-type"].rpartition(".")
        self.send_response(200)
        self.send_header("ce-specversion", "1.0")
        self.send_header("ce-id", self.headers["ce-id"])
        self.send_header("ce-source", f"/benchmarks/link/{step}")
        self.send_header("ce-type", f"{chain}.{int(step) + 1}")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing of each request."""


if __name__ == "__main__":
    time.sleep(START_S)
    http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Link).serve_forever()
