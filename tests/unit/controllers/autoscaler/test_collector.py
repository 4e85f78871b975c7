"""Reports in, averages out."""

import dataclasses

from eventmesh.autoscale.config import AutoscalerConfig
from eventmesh.autoscale.spec import Metric, spec_of
from eventmesh.autoscale.stat import Stat
from eventmesh.controllers.autoscaler.collector import Collector
from eventmesh.kube.objects import Key

KEY = Key("default", "hello-00001")
SPEC = spec_of({}, AutoscalerConfig(), 0, reachable=True)


def test_reports_of_one_second_add_up_and_the_proxied_part_is_left_out() -> None:
    collector = Collector()
    collector.measure(KEY, SPEC)
    collector.record(KEY, Stat("activator", average_concurrent_requests=4.0), 10.0)
    pod = Stat("pod", average_concurrent_requests=6.0, average_proxied_concurrent_requests=4.0)
    collector.record(KEY, pod, 10.5)
    assert collector.load(KEY, 10.9) == (6.0, 6.0)


def test_requests_a_second_are_collected_beside_concurrency() -> None:
    collector = Collector()
    collector.measure(KEY, dataclasses.replace(SPEC, metric=Metric.RPS))
    collector.record(KEY, Stat(average_concurrent_requests=1.0, request_count=30.0, proxied_request_count=10.0), 10.0)
    assert collector.load(KEY, 10.0) == (20.0, 20.0)


def test_nothing_reported_is_nothing_known() -> None:
    collector = Collector()
    collector.measure(KEY, SPEC)
    assert collector.load(KEY, 10.0) is None


def test_behind_the_activator_for_ever_silence_means_idle() -> None:
    collector = Collector()
    collector.measure(KEY, dataclasses.replace(SPEC, target_burst_capacity=-1.0))
    assert collector.load(KEY, 10.0) == (0.0, 0.0)


def test_another_window_keeps_what_was_collected() -> None:
    collector = Collector()
    collector.measure(KEY, SPEC)
    collector.record(KEY, Stat(average_concurrent_requests=5.0), 10.0)
    collector.measure(KEY, dataclasses.replace(SPEC, stable_window_s=6.0))
    assert collector.load(KEY, 10.0) == (5.0, 5.0)


def test_reports_of_what_is_not_scaled_are_dropped() -> None:
    collector = Collector()
    collector.record(KEY, Stat(average_concurrent_requests=5.0), 10.0)
    assert KEY not in collector
    collector.measure(KEY, SPEC)
    collector.forget(KEY)
    assert KEY not in collector
