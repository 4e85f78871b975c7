"""An older, interface-based service: speaks Bolt on port 12200 and knows nothing of a mesh."""

import asyncio
import json
import os

import bolt

PORT = int(os.environ.get("BOLT_PORT", "12200"))


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the calls of one connection, in the order they come."""
    try:
        while True:
            frame = await bolt.read_frame(reader)
            name = json.loads(frame.content or b"{}").get("name", "world")
            content = json.dumps({"greeting": f"Hello, {name}, over Bolt!"}).encode()
            if frame.kind != bolt.ONEWAY_TYPE:
                writer.write(bolt.response(frame, content))
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Listen until killed."""
    server = await asyncio.start_server(serve, "127.0.0.1", PORT)
    await server.serve_forever()


asyncio.run(main())
