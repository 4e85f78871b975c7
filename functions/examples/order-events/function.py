"""A function that receives a CloudEvent and answers with another one: `order.created` becomes `order.confirmed`."""

import os
import sys

from aiohttp import web
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event
from cloudevents.core.v1.event import CloudEvent


async def confirm(request: web.Request) -> web.Response:
    """Return the reply event; the broker routes it like any other."""
    order = await event_of(request)
    data = order.get_data()
    write_down(order, "confirmed")
    reply = CloudEvent(
        attributes={
            "id": f"{order.get_id()}-confirmed",
            "source": "/examples/order-events",
            "type": "order.confirmed",
            "specversion": "1.0",
            "datacontenttype": "application/json",
        },
        data={"order": data.get("order"), "total": sum(item["price"] * item["count"] for item in data["items"])},
    )
    message = to_binary_event(reply)
    return web.Response(headers=message.headers, body=message.body)


async def confirmed(request: web.Request) -> web.Response:
    """Take a confirmation in; there is nothing to reply."""
    event = await event_of(request)
    write_down(event, f"{event.get_data()['total']} to pay")
    return web.Response(status=202)


async def event_of(request: web.Request) -> BaseCloudEvent:
    """Return the event that a request carries."""
    return from_http_event(HTTPMessage(dict(request.headers), await request.read()))


def write_down(event: BaseCloudEvent, text: str) -> None:
    """Write a line for `kubectl logs`."""
    sys.stdout.write(f"{event.get_type()} of order {event.get_data().get('order')}: {text}\n")
    sys.stdout.flush()


app = web.Application()
app.router.add_post("/", confirm)
app.router.add_post("/confirmed", confirmed)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8080")), print=None)
