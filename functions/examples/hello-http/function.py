"""The smallest function: an HTTP server on $PORT. Any language and any server would do."""

import os

from aiohttp import web


async def hello(request: web.Request) -> web.Response:
    """Greet; the revision shows which version answered."""
    name = request.query.get("name", os.environ.get("TARGET", "world"))
    return web.json_response({"greeting": f"Hello, {name}!", "revision": os.environ.get("K_REVISION", "")})


app = web.Application()
app.router.add_route("*", "/{path:.*}", hello)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8080")), print=None)
