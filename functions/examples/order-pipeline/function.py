"""Three small steps in one image; the variable STEP tells which one a function is.

`price` answers order.placed with order.priced, `ship` answers order.priced with order.shipped, and `journal` writes
down every event it receives, one line each, for `kubectl logs`.
"""

import json
import os
import sys

from aiohttp import web
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event
from cloudevents.core.v1.event import CloudEvent

PRICES = {"tea": 4, "pot": 21}


def price(order: BaseCloudEvent) -> CloudEvent:
    """Add up the order."""
    data = order.get_data()
    total = sum(PRICES.get(item, 10) for item in data["items"])
    return _reply(order, "order.priced", {**data, "total": total})


def ship(order: BaseCloudEvent) -> CloudEvent:
    """Send the parcel on its way."""
    return _reply(order, "order.shipped", {**order.get_data(), "parcel": f"P-{order.get_subject()}"})


def journal(event: BaseCloudEvent) -> None:
    """Write the event down."""
    line = {"type": event.get_type(), "subject": event.get_subject(), "data": event.get_data()}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _reply(cause: BaseCloudEvent, event_type: str, data: dict[str, object]) -> CloudEvent:
    attributes = {
        "id": f"{cause.get_id()}-{event_type}",
        "source": f"/examples/order-pipeline/{event_type}",
        "type": event_type,
        "subject": cause.get_subject(),
        "specversion": "1.0",
        "datacontenttype": "application/json",
    }
    return CloudEvent(attributes=attributes, data=data)


STEP = {"price": price, "ship": ship, "journal": journal}[os.environ.get("STEP", "journal")]


async def receive(request: web.Request) -> web.Response:
    """Run this function's step; its event, if there is one, is the reply."""
    reply = STEP(from_http_event(HTTPMessage(dict(request.headers), await request.read())))
    if reply is None:
        return web.Response(status=202)
    message = to_binary_event(reply)
    return web.Response(headers=message.headers, body=message.body)


app = web.Application()
app.router.add_post("/", receive)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8080")), print=None)
