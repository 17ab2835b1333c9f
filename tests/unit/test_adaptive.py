"""How fast a push goes where nobody states a rate: what a vendor answers well, and only what it asks for."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_contacts.engine.policy import judge
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
from airflow_provider_contacts.vendor_kit.push_settings import Assumptions
from airflow_provider_contacts.vendor_kit.vendor import Limits, Response
from airflow_provider_contacts.vendors import nedzo
from tests.support.fake_vendor import EPOCH, Deed, World, answers, names


def respond(
    pace: Pace,
    now: float,
    *,
    later: bool = False,
    seconds: float | None = 0.1,
    sent_at: float | None = None,
    records: int = 1,
) -> None:
    """Let the pace learn from a response, to what left just before unless told otherwise."""
    sent_at = now - (seconds or 0.0) if sent_at is None else sent_at
    pace.on_response(now, sent_at=sent_at, later=later, seconds=seconds, records=records)


def opened(most: int = 64) -> AdaptivePace:
    """Return a pace whose window has grown to the most that may be in flight."""
    pace = AdaptivePace(most)
    for index in range(most):
        respond(pace, 1.0 + index / 1000)
    assert pace.window == most
    return pace


# In the whole: a vendor that hides its limit.


def hidden_limit(world: World, rate: int, latency: float, retry_after: str | None) -> list[tuple[float, bool]]:
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
        return replace(answers(429, retry_after=retry_after), delay=latency)

    world.server.script = script
    return asked


@pytest.mark.parametrize(
    ("rate", "latency", "retry_after"),
    [(5, 0.5, "1"), (20, 0.005, None), (100, 0.005, "1"), (100, 0.5, None)],
)
def test_a_hidden_limit_is_met_without_a_storm(rate: int, latency: float, retry_after: str | None) -> None:
    world = World()
    asked = hidden_limit(world, rate, latency, retry_after)
    count = rate * 50
    pushed = world.push(names(count), limits=Limits(batch_size=1, max_in_flight=100))
    assert pushed.counts() == {"succeeded": count}
    begun, ended = asked[0][0] + 10.0, asked[-1][0] - 5.0
    settled = [fine for at, fine in asked if begun <= at < ended]
    assert 0.75 * rate <= sum(settled) / (ended - begun) <= rate
    assert len(settled) - sum(settled) <= max(0.01 * len(settled), (ended - begun) / 5.0)
    # The first seconds too: what was in flight when the limit was met, and no more than that.
    assert len(asked) - count <= max(0.05 * count, 30.0)


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
        respond(pace, float(index))
        assert pace.window == min(10, START + index + 1)
    assert pace._rate is None


def test_after_trouble_it_grows_by_one_for_a_window() -> None:
    pace = opened()
    respond(pace, 10.0, later=True)
    before = pace.window
    assert before == int(64 * DECREASE)
    for _ in range(int(before) + 1):
        respond(pace, 20.0)
    assert pace.window == before + 1


def test_trouble_counts_once_for_all_that_was_in_flight() -> None:
    pace = opened()
    respond(pace, 10.0, later=True)
    window, rate = pace.window, pace._rate
    respond(pace, 10.5, later=True)  # within the second
    respond(pace, 10.0 + PERIOD + 0.5, later=True, sent_at=9.9)  # left before it
    assert (pace.window, pace._rate) == (window, rate)
    respond(pace, 10.0 + PERIOD + 0.5, later=True)
    assert pace.window < window


def test_one_request_is_always_tried() -> None:
    pace = AdaptivePace(8)
    for index in range(50):
        respond(pace, 10.0 * index, later=True)
    assert pace.window == 1
    assert pace._rate is not None
    assert pace._rate >= SLOWEST


@pytest.mark.parametrize(
    ("seconds", "shrinks"),
    [(0.1 + RISE_SECONDS, False), (0.1 + RISE_SECONDS + 0.01, True), (0.19, False), (None, False)],
)
def test_latency_rises_when_it_is_twice_as_long_and_long(seconds: float | None, shrinks: bool) -> None:
    pace = opened()
    respond(pace, 10.0, seconds=seconds)
    assert (pace.window < 64) is shrinks
    assert pace._rate is None


def test_the_fastest_answer_is_forgotten_in_time() -> None:
    pace = opened()
    for index in range(4):
        respond(pace, 10.0 + index * MEMORY, seconds=1.0)
    window = pace.window
    respond(pace, 11.0 + 4 * MEMORY, seconds=1.0)
    assert pace.window >= window


@pytest.mark.parametrize(("rise", "shrinks"), [(3, False), (7, True)])
def test_latency_is_compared_among_requests_of_one_size(rise: float, shrinks: bool) -> None:
    pace = AdaptivePace(64)
    for index in range(64):
        respond(pace, index / 100, seconds=0.01)
    respond(pace, 10.0, seconds=0.01 + 3 * RISE_SECONDS, records=50)
    respond(pace, 12.0, seconds=0.01 + rise * RISE_SECONDS + shrinks, records=50)
    assert (pace.window < 64) is shrinks


# The rate.


def limited() -> AdaptivePace:
    """Return a pace that was told "later" at 10 s, having sent 20 requests a second."""
    pace = opened()
    for tick in range(100):
        pace.take(5.0 + tick / 20, 1)
    respond(pace, 10.0, later=True)
    return pace


def test_the_first_refusal_sets_a_rate_below_what_was_sent() -> None:
    pace = limited()
    assert pace._rate == pytest.approx(20.0 * DECREASE, rel=0.06)
    assert pace.available(10.0 + PERIOD / 2, 5) == 0


def test_the_rate_comes_back_on_its_curve_and_goes_beyond_with_care() -> None:
    pace = limited()
    seen = []
    for tick in range(1, 301):
        now = 10.0 + tick / 10
        pace.take(now, 2)
        respond(pace, now)
        seen.append(pace._rate or 0.0)
    assert seen == sorted(seen)
    assert seen[int(RECOVERY * 10) - 1] == pytest.approx(20.0, rel=0.06)
    assert seen[int(RECOVERY * 20) - 1] == pytest.approx(26.0, rel=0.06)


def test_a_task_without_records_earns_no_burst() -> None:
    pace = limited()
    for tick in range(1, 61):
        now = 10.0 + tick
        pace.take(now, 1)
        respond(pace, now)
    assert pace._rate is not None
    assert pace._rate <= 16.0


# What asks for fewer requests.


@pytest.mark.parametrize(("status", "slower"), [(429, True), (425, True), (409, False)])
def test_a_status_inside_of_a_good_answer_asks_like_one_outside(status: int, slower: bool) -> None:
    answer = Response(200, body=b'{"status_code": %d, "message": "no"}' % status)
    found = judge(answer, [{"email": "a@example.com"}], nedzo.VENDOR, Assumptions(), EPOCH)
    assert found.later is slower


@pytest.mark.parametrize("named", [True, False])
def test_refused_batches_cost_their_requests_and_no_waiting(named: bool) -> None:
    count, refused = 2000, {f"n{80 * index}" for index in range(25)}

    def seconds(culprits: set[str]) -> float:
        def script(_index: int, sent: Any) -> Deed:
            # A refusal is answered at once, and a batch that is stored takes long: neither is slow for being the other.
            found = {payload["name"] for payload in sent} & culprits
            return Deed(delay=0.002, status=422, applies=False) if found else Deed(delay=0.02 * len(sent))

        world = World(script, refuses=lambda payload: payload["name"] in culprits, names=named)
        begun = world.time.seconds
        pushed = world.push(names(count), limits=Limits(batch_size=50, max_in_flight=8))
        assert pushed.statuses() == {n: "rejected" if f"n{n}" in culprits else "succeeded" for n in range(count)}
        return world.time.seconds - begun

    assert seconds(refused) <= 1.6 * seconds(set())
