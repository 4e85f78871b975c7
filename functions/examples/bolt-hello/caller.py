"""An HTTP function that calls the Bolt service through its sidecar, at SOFA's own client port 127.0.0.1:12220."""

import asyncio
import json
import os

import bolt
from aiohttp import web

SERVICE = "com.example.HelloService:1.0"
MESH = ("127.0.0.1", 12220)


async def hello(request: web.Request) -> web.Response:
    """Pass the name on; answer with what the service said, or with its Bolt status."""
    reader, writer = await asyncio.open_connection(*MESH)
    try:
        content = json.dumps({"name": request.query.get("name", "world")}).encode()
        writer.write(bolt.request(1, SERVICE, "sayHello", content))
        answer = await bolt.read_frame(reader)
    finally:
        writer.close()
    if answer.status != 0:
        return web.json_response({"bolt_status": answer.status}, status=502)
    return web.json_response(json.loads(answer.content))


app = web.Application()
app.router.add_get("/", hello)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8080")), print=None)
