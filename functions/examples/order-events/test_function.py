"""What order-events promises."""

from cloudevents.core.v1.event import CloudEvent
from function import confirm, confirmed

ORDER = {"order": 7, "items": [{"price": 3, "count": 2}, {"price": 1, "count": 4}]}


def created():
    return CloudEvent({"id": "1", "source": "/test", "type": "order.created"}, ORDER)


def test_an_order_is_confirmed_with_its_total(capsys):
    reply = confirm(created())
    assert (reply.get_type(), reply.get_data()) == ("order.confirmed", {"order": 7, "total": 10})
    assert confirmed(reply) is None
    assert capsys.readouterr().out.splitlines()[1] == "order.confirmed of order 7: 10 to pay"


def test_the_same_order_delivered_twice_is_answered_with_the_same_id():
    assert confirm(created()).get_id() == confirm(created()).get_id()
