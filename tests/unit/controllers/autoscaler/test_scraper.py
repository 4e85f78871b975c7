"""Whom to ask for their load, and what the answers mean for all."""

import random

import pytest

from eventmesh.autoscale.stat import Stat
from eventmesh.controllers.autoscaler.scraper import ScrapedPod, ScrapeTarget, extrapolate, sample, sample_size
from eventmesh.kube.objects import Key


@pytest.mark.parametrize(
    ("population", "asked"),
    [(0, 0), (1, 1), (3, 3), (4, 4), (5, 4), (10, 7), (50, 12), (100, 14), (1000, 16), (10**6, 16)],
)
def test_the_sample_of_many_pods_stays_small(population: int, asked: int) -> None:
    assert sample_size(population) == asked


def test_pods_that_have_seen_a_whole_window_are_asked_first() -> None:
    pods = tuple(ScrapedPod(f"p{number}", "127.0.0.1", age_s=float(number * 10)) for number in range(20))
    target = ScrapeTarget(Key("default", "r"), pods, stable_window_s=60.0)
    chosen = sample(target, random.Random(7))
    assert len(chosen) == sample_size(20)
    assert all(pod.age_s >= 60 for pod in chosen)


def test_a_young_revision_is_asked_all_the_same() -> None:
    pods = (ScrapedPod("p", "127.0.0.1", age_s=0.0),)
    assert sample(ScrapeTarget(Key("default", "r"), pods, 60.0), random.Random(7)) == list(pods)


def test_the_average_answer_speaks_for_all() -> None:
    answers = [Stat(average_concurrent_requests=2.0, request_count=4.0), Stat(average_concurrent_requests=4.0)]
    whole = extrapolate(answers, 10)
    assert whole.average_concurrent_requests == pytest.approx(30.0)
    assert whole.request_count == pytest.approx(20.0)
