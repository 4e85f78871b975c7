"""A function that the clock calls: it looks at the stock, and answers with an order when there is too little."""

import os
import sys

from aiohttp import web
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event
from cloudevents.core.v1.event import CloudEvent


async def check(request: web.Request) -> web.Response:
    """Return `stock.low` when less is left than is wanted; nothing otherwise."""
    tick = await event_of(request)
    stock = tick.get_data()
    write_down(f"{stock['item']}: {stock['left']} left of {stock['wanted']}")
    if stock["left"] >= stock["wanted"]:
        return web.Response(status=202)
    low = CloudEvent(
        attributes={
            "id": f"{tick.get_id()}-low",
            "source": "/examples/stock-check",
            "type": "stock.low",
            "specversion": "1.0",
            "datacontenttype": "application/json",
        },
        data={"item": stock["item"], "missing": stock["wanted"] - stock["left"]},
    )
    message = to_binary_event(low)
    return web.Response(headers=message.headers, body=message.body)


async def order(request: web.Request) -> web.Response:
    """Take in what is low; there is nothing to reply."""
    low = (await event_of(request)).get_data()
    write_down(f"order {low['missing']} {low['item']}")
    return web.Response(status=202)


async def event_of(request: web.Request) -> BaseCloudEvent:
    """Return the event that a request carries."""
    return from_http_event(HTTPMessage(dict(request.headers), await request.read()))


def write_down(text: str) -> None:
    """Write a line for `kubectl logs`."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


app = web.Application()
app.router.add_post("/", check)
app.router.add_post("/order", order)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8080")), print=None)
