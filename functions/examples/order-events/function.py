"""A function that receives a CloudEvent and answers with another one: `order.created` becomes `order.confirmed`."""

import os

from aiohttp import web
from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event
from cloudevents.core.v1.event import CloudEvent


async def confirm(request: web.Request) -> web.Response:
    """Return the reply event; the broker routes it like any other."""
    order = from_http_event(HTTPMessage(dict(request.headers), await request.read()))
    data = order.get_data()
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


app = web.Application()
app.router.add_post("/", confirm)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8080")), print=None)
