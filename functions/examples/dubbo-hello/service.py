"""An older, interface-based service: speaks Dubbo 2 on port 20880 and knows nothing of a mesh."""

import asyncio
import os

import dubbo

GREETING = os.environ.get("GREETING", "Hello")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the calls of one connection, in the order they come."""
    try:
        while True:
            frame = await dubbo.read_frame(reader)
            name = frame.texts[5] if len(frame.texts) > 5 else "world"
            if frame.flags & dubbo.TWO_WAY:
                writer.write(dubbo.answer(frame, f"{GREETING}, {name}, over Dubbo!"))
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Listen until killed."""
    server = await asyncio.start_server(serve, "127.0.0.1", 20880)
    await server.serve_forever()


asyncio.run(main())
