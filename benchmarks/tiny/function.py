"""The function that is woken: one request a connection, few imports, and an answer that tells when things happened."""

import time

BEGAN = time.monotonic()

import os  # noqa: E402 - the clock is read first
import socket  # noqa: E402

HEAD_END = b"\r\n\r\n"
received = 0.0
"""When the last event came."""


def serve(listener: socket.socket, listening: float) -> None:
    """Answer for ever; times are monotonic seconds, the same clock for every process of the machine."""
    global received  # noqa: PLW0603 - the whole state of the smallest function
    while True:
        connection, _ = listener.accept()
        with connection:
            data = b""
            while HEAD_END not in data:
                more = connection.recv(65536)
                if not more:
                    break
                data += more
            accepted = time.monotonic()
            if HEAD_END not in data:
                continue  # a probe: it connects and goes
            if data.startswith(b"POST"):
                received = received or accepted
                connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                continue
            body = f"{BEGAN} {listening} {accepted} {received}".encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode() + body)


def main() -> None:
    """Listen on $PORT."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(os.environ["PORT"])))
        listener.listen()
        serve(listener, time.monotonic())


if __name__ == "__main__":
    main()
