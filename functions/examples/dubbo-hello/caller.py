"""An HTTP function that calls the Dubbo service through its sidecar, which takes Dubbo at 127.0.0.1:20882."""

import asyncio
import os

import dubbo
from aiohttp import web

SERVICE = "com.example.HelloService"
MESH = ("127.0.0.1", 20882)


async def hello(request: web.Request) -> web.Response:
    """Pass the name on to the wanted group; answer with what the service said, or with its Dubbo status."""
    reader, writer = await asyncio.open_connection(*MESH)
    try:
        name, group = request.query.get("name", "world"), request.query.get("group", "polite")
        writer.write(dubbo.call(1, SERVICE, "1.0.0", "sayHello", name, group=group))
        answer = await dubbo.read_frame(reader)
    finally:
        writer.close()
    if answer.status != dubbo.OK:
        return web.json_response({"dubbo_status": answer.status}, status=502)
    return web.json_response({"greeting": answer.texts[0]})


app = web.Application()
app.router.add_get("/", hello)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8080")), print=None)
