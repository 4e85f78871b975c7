"""What order-pipeline promises."""

import json

from cloudevents.core.v1.event import CloudEvent
from function import journal, price, ship


def placed():
    return CloudEvent(
        {"id": "1", "source": "/test", "type": "order.placed", "subject": "42"}, {"items": ["tea", "pot"]}
    )


def test_an_order_is_priced_and_then_shipped_under_its_number():
    priced = price(placed())
    assert (priced.get_type(), priced.get_subject(), priced.get_data()["total"]) == ("order.priced", "42", 25)
    shipped = ship(priced)
    assert (shipped.get_type(), shipped.get_data()["parcel"]) == ("order.shipped", "P-42")


def test_the_journal_writes_one_line_an_event(capsys):
    assert journal(placed()) is None
    line = json.loads(capsys.readouterr().out)
    assert line == {"type": "order.placed", "subject": "42", "data": {"items": ["tea", "pot"]}}
