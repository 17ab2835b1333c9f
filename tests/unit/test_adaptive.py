from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_contacts.pacing.adaptive import (
    DECREASE,
    MEMORY,
    PERIOD,
    RECOVERY,
    RISE_SECONDS,
    SLOWEST,
    START,
    AdaptivePace,
)
from airflow_provider_contacts.pacing.bucket import Pace
from airflow_provider_contacts.vendor_kit.vendor import Limits, Response
from tests.support.fake_vendor import Deed, World, answers, names


def hear(pace: Pace, now: float, *, later: bool = False, seconds: float | None = 0.1, sent_at: float = -1.0) -> None:
    pace.hear(now, sent_at=sent_at if sent_at >= 0 else now - (seconds or 0.0), later=later, seconds=seconds)


def opened(most: int = 64) -> AdaptivePace:
    """Return a pace whose window has grown to the most that may be in flight."""
    pace = AdaptivePace(most)
    for index in range(most):
        hear(pace, 1.0 + index / 1000)
    assert pace.window == most
    return pace


# In the whole: a vendor that hides its limit.


def hidden_limit(world: World, rate: int, latency: float, wish: str | None) -> list[tuple[float, bool]]:
    """Let the vendor take ``rate`` requests in any second and refuse the others; return when it was asked what."""
    taken: deque[float] = deque()
    asked: list[tuple[float, bool]] = []

    def script(_index: int, _sent: Any) -> Deed:
        now = world.time.seconds
        while taken and taken[0] <= now - 1.0:
            taken.popleft()
        fine = len(taken) < rate
        asked.append((now, fine))
        if fine:
            taken.append(now)
            return Deed(delay=latency)
        return replace(answers(429, retry_after=wish), delay=latency)

    world.server.script = script
    return asked


@pytest.mark.parametrize(
    ("rate", "latency", "wish"),
    [
        (5, 0.005, None),
        (5, 0.5, "1"),
        (20, 0.005, None),
        (20, 0.1, "1"),
        (20, 0.5, None),
        (100, 0.005, None),
        (100, 0.1, None),
        (100, 0.5, None),
        (100, 0.5, "1"),
    ],
)
def test_a_hidden_limit_is_met_without_a_storm(rate: int, latency: float, wish: str | None) -> None:
    world = World()
    asked = hidden_limit(world, rate, latency, wish)
    count = rate * 50
    pushed = world.push(names(count), limits=Limits(batch_size=1, max_in_flight=100))
    assert pushed.counts() == {"succeeded": count}
    begun, ended = asked[0][0] + 10.0, asked[-1][0] - 5.0
    settled = [fine for at, fine in asked if begun <= at < ended]
    assert 0.75 * rate <= sum(settled) / (ended - begun) <= rate
    assert len(settled) - sum(settled) <= max(0.01 * len(settled), (ended - begun) / 5.0)
    # The first seconds too: what was in flight when the limit was met, and no more than that.
    assert len(asked) - count <= max(0.05 * count, 30.0)


def test_a_stated_rate_is_kept_as_it_is() -> None:
    world = World()
    asked = hidden_limit(world, 10, 0.01, None)
    limits = Limits(batch_size=1, max_in_flight=50, requests_per_second=8.0)
    assert world.push(names(80), limits=limits).counts() == {"succeeded": 80}
    assert all(fine for _, fine in asked)
    assert asked[-1][0] - asked[0][0] == pytest.approx(79 / 8.0, abs=0.2)


def test_a_vendor_that_answers_well_gets_as_many_as_may_be() -> None:
    world = World(lambda _index, _sent: Deed(delay=0.1))
    started = world.time.seconds
    assert world.push(names(2000), limits=Limits(batch_size=1, max_in_flight=50)).counts() == {"succeeded": 2000}
    # 4 seconds at 50 in flight, and a few answers' time to get there.
    assert 4.0 <= world.time.seconds - started <= 4.6


def test_a_vendor_that_grows_slow_gets_fewer() -> None:
    flying: list[float] = []
    most: list[int] = []

    def script(_index: int, _sent: Any) -> Deed:
        now = world.time.seconds
        flying[:] = [at for at in flying if at > now]
        delay = 0.1 + 0.05 * max(0, len(flying) + 1 - 10)
        flying.append(now + delay)
        most.append(len(flying))
        return Deed(delay=delay)

    world = World(script)
    assert world.push(names(2000), limits=Limits(batch_size=1, max_in_flight=60)).counts() == {"succeeded": 2000}
    assert max(most[1000:]) <= 30


# The window.


def test_it_begins_with_few_and_grows_by_every_good_answer() -> None:
    pace = AdaptivePace(10)
    assert pace.window == START
    assert AdaptivePace(2).window == 2
    for index in range(20):
        hear(pace, float(index))
        assert pace.window == min(10, START + index + 1)
    assert pace.rate is None


def test_after_trouble_it_grows_by_one_for_a_window() -> None:
    pace = opened()
    hear(pace, 10.0, later=True)
    before = pace.window
    assert before == int(64 * DECREASE)
    for _ in range(int(before) + 1):
        hear(pace, 20.0)
    assert pace.window == before + 1


def test_trouble_counts_once_for_all_that_was_in_flight() -> None:
    pace = opened()
    hear(pace, 10.0, later=True)
    window, rate = pace.window, pace.rate
    hear(pace, 10.5, later=True)  # within the second
    hear(pace, 10.0 + PERIOD + 0.5, later=True, sent_at=9.9)  # left before it
    assert (pace.window, pace.rate) == (window, rate)
    hear(pace, 10.0 + PERIOD + 0.5, later=True)
    assert pace.window < window


def test_one_request_is_always_tried() -> None:
    pace = AdaptivePace(8)
    for index in range(50):
        hear(pace, 10.0 * index, later=True)
    assert pace.window == 1
    assert pace.rate is not None
    assert pace.rate >= SLOWEST


@pytest.mark.parametrize(
    ("seconds", "shrinks"),
    [(0.1 + RISE_SECONDS, False), (0.1 + RISE_SECONDS + 0.01, True), (0.19, False), (None, False)],
)
def test_latency_rises_when_it_is_twice_as_long_and_long(seconds: float | None, shrinks: bool) -> None:
    pace = opened()
    hear(pace, 10.0, seconds=seconds)
    assert (pace.window < 64) is shrinks
    assert pace.rate is None


def test_the_fastest_answer_is_forgotten_in_time() -> None:
    pace = opened()
    for index in range(4):
        hear(pace, 10.0 + index * MEMORY, seconds=1.0)
    window = pace.window
    hear(pace, 11.0 + 4 * MEMORY, seconds=1.0)
    assert pace.window >= window


# The rate.


def limited() -> AdaptivePace:
    """Return a pace that was told "later" at 10 s, having sent 20 requests a second."""
    pace = opened()
    for tick in range(100):
        pace.take(5.0 + tick / 20, 1)
    hear(pace, 10.0, later=True)
    return pace


def test_the_first_refusal_sets_a_rate_below_what_was_sent() -> None:
    pace = limited()
    assert pace.rate == pytest.approx(20.0 * DECREASE, rel=0.06)
    assert pace.available(10.0 + PERIOD / 2, 5) == 0


def test_the_rate_comes_back_on_its_curve_and_goes_beyond_with_care() -> None:
    pace = limited()
    seen = []
    for tick in range(1, 301):
        now = 10.0 + tick / 10
        pace.take(now, 2)
        hear(pace, now)
        seen.append(pace.rate or 0.0)
    assert seen == sorted(seen)
    assert seen[int(RECOVERY * 10) - 1] == pytest.approx(20.0, rel=0.06)
    assert seen[int(RECOVERY * 20) - 1] == pytest.approx(26.0, rel=0.06)


def test_a_task_without_records_earns_no_burst() -> None:
    pace = limited()
    for tick in range(1, 61):
        now = 10.0 + tick
        pace.take(now, 1)
        hear(pace, now)
    assert pace.rate is not None
    assert pace.rate <= 16.0


def test_the_time_of_an_answer_is_no_part_of_what_it_says() -> None:
    assert Response(200, {}, b"", 1.0) == Response(200, {}, b"", 2.0)
