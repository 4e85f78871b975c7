"""What stock-check promises."""

from cloudevents.core.v1.event import CloudEvent
from function import check, order


def tick(left):
    attributes = {"id": "1", "source": "/test", "type": "dev.knative.sources.ping"}
    return CloudEvent(attributes, {"item": "tea", "left": left, "wanted": 10})


def test_too_little_is_answered_with_what_is_missing(capsys):
    low = check(tick(2))
    assert (low.get_type(), low.get_data()) == ("stock.low", {"item": "tea", "missing": 8})
    assert order(low) is None
    assert capsys.readouterr().out.splitlines() == ["tea: 2 left of 10", "order 8 tea"]


def test_enough_is_answered_with_nothing():
    assert check(tick(10)) is None
