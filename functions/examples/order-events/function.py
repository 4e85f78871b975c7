"""A function that receives a CloudEvent and answers with another one: `order.created` becomes `order.confirmed`."""

from eventmesh.functions import function, reply_to


@function
def confirm(created):
    """Return the reply event; the broker routes it like any other."""
    order = created.get_data()
    print(f"{created.get_type()} of order {order['order']}: confirmed")
    total = sum(item["price"] * item["count"] for item in order["items"])
    return reply_to(created, "order.confirmed", {"order": order["order"], "total": total})


@function(path="/confirmed")
def confirmed(event):
    """Take a confirmation in; there is nothing to reply."""
    order = event.get_data()
    print(f"{event.get_type()} of order {order['order']}: {order['total']} to pay")
