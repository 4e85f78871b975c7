"""Three small steps in one image, each at a path of its own.

`price` answers order.placed with order.priced, `ship` answers order.priced with order.shipped, and `journal` writes
down every event it receives, one line each, for `kubectl logs`.
"""

import json

from eventmesh.functions import function, reply_to

PRICES = {"tea": 4, "pot": 21}


@function(path="/price")
def price(placed):
    """Add up the order."""
    order = placed.get_data()
    total = sum(PRICES.get(item, 10) for item in order["items"])
    return reply_to(placed, "order.priced", {**order, "total": total}, subject=placed.get_subject())


@function(path="/ship")
def ship(priced):
    """Send the parcel on its way."""
    order, number = priced.get_data(), priced.get_subject()
    return reply_to(priced, "order.shipped", {**order, "parcel": f"P-{number}"}, subject=number)


@function(path="/journal")
def journal(event):
    """Write the event down."""
    print(json.dumps({"type": event.get_type(), "subject": event.get_subject(), "data": event.get_data()}))
