"""One rate for many tasks: on a clock that a test turns, and a row that is a variable."""

from __future__ import annotations

import logging
import math
from collections import deque
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts import vendors
from airflow_provider_contacts.errors import BudgetError, ConfigError, ContactsError
from airflow_provider_contacts.ledgers.shared_rate.limiter import AGAIN, LATE, TRIES, LimiterBudget
from airflow_provider_contacts.ledgers.shared_rate.rate_table import RateRow
from airflow_provider_contacts.pacing.shared import SETTINGS, SharedRate
from airflow_provider_contacts.transport.connection import StoredConnection, Target, resolve
from airflow_provider_contacts.vendor_kit.push_settings import SYSTEM_CLOCK, Clock

FIFTY = SharedRate(conn_id="store", requests_per_second=50.0)


@dataclass(slots=True)
class Row(RateRow):
    """The shared row and the time."""

    now: float = 1e6
    behind: float = 0.0  # seconds that the database's clock is behind the workers'
    trip: float = 0.0  # seconds that a question takes
    losing: int = 0  # questions to which others are always faster
    text: str = ""
    asked: int = 0
    error: Exception | None = None
    closed: int = 0
    chance: Random = field(default_factory=lambda: Random(1))

    def read(self) -> tuple[str, int]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        now = int((self.now - self.behind) * 1000)
        self.now += self.trip
        return self.text, now

    def replace(self, before: str, after: str) -> bool:
        if self.asked > self.losing:
            assert before == self.text
            self.text = after
        return self.asked > self.losing

    def close(self) -> None:
        self.closed += 1

    @property
    def clock(self) -> Clock:
        return replace(SYSTEM_CLOCK, monotonic=lambda: self.now, random=self.chance.random)

    def task(self, shared: SharedRate = FIFTY) -> LimiterBudget:
        return LimiterBudget(self, shared, clock=self.clock)


def drain(row: Row, budgets: list[LimiterBudget], seconds: float, wanted: int = 50) -> list[tuple[float, int]]:
    """Let tasks send all they can; return the moment and the task of each request."""
    sent: list[tuple[float, int]] = []
    end = row.now + seconds
    while row.now < end:
        for number, budget in enumerate(budgets):
            if not budget.wait():
                granted = budget.take(wanted)
                assert 0 <= granted <= wanted
                sent += [(row.now, number)] * granted
        row.now += max(1e-4, min(budget.wait() for budget in budgets))
    return sent


def most_within_a_second(sent: list[tuple[float, int]]) -> int:
    window: deque[float] = deque()
    most = 0
    for moment, _ in sent:
        window.append(moment)
        while window[0] <= moment - 1.0 + 1e-6:
            window.popleft()
        most = max(most, len(window))
    return most


# What a connection states.


def dex(**extra: Any) -> Target:
    return resolve(vendors.load("dex"), StoredConnection(conn_id="dex_default", password="key", extra=extra))


def test_a_connection_states_its_shared_rate() -> None:
    assert dex().shared_rate is None
    assert dex(rate_limit_conn_id="store", requests_per_second="50").shared_rate == FIFTY
    stated = dex(rate_limit_conn_id="store", requests_per_second=2, burst="10").shared_rate
    assert stated == SharedRate(conn_id="store", requests_per_second=2.0, burst=10)
    assert [setting.name for setting in SETTINGS] == ["rate_limit_conn_id", "requests_per_second", "burst"]


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ({"requests_per_second": 5}, r"'dex_default': \['requests_per_second'\] need rate_limit_conn_id.*postgres"),
        ({"burst": 5, "requests_per_second": 5}, r"\['requests_per_second', 'burst'\] need rate_limit_conn_id"),
        ({"rate_limit_conn_id": "store"}, "'dex_default': rate_limit_conn_id needs requests_per_second"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(extra: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        dex(**extra)


# Alone.


@pytest.mark.parametrize("rate", [0.5, 1.0, 3.3, 10.0, 1000.0, 10_000.0])
def test_slow_and_fast_rates(rate: float) -> None:
    row = Row()
    seconds = max(4.0 / rate, 2.0)
    sent = drain(row, [row.task(SharedRate(conn_id="s", requests_per_second=rate))], seconds, wanted=500)
    assert 0.9 * rate * seconds - 1 <= len(sent) <= rate * seconds + 1
    assert most_within_a_second(sent) <= math.ceil(rate)


def test_a_stated_burst_leaves_at_once_and_then_the_whole_rate() -> None:
    row = Row()
    budget = row.task(SharedRate(conn_id="s", requests_per_second=10.0, burst=25))
    assert budget.take(100) == 25
    sent = drain(row, [budget], 5.0)
    assert len(sent) == pytest.approx(50, abs=1)
    row.now += 60
    assert budget.take(10) == 10
    assert budget.take(100) == 15


def test_what_is_not_due_yet_asks_nothing() -> None:
    row = Row()
    budget = row.task()
    assert budget.take(50) == 1
    assert 0 < budget.wait() <= 0.0225
    assert [budget.take(50) for _ in range(5)] == [0] * 5
    assert row.asked == 1
    row.now += budget.wait()
    assert (budget.wait(), budget.take(50), row.asked) == (0.0, 1, 1)


def test_no_more_than_a_run_is_booked_ahead_however_large_the_burst() -> None:
    row = Row()
    shared = SharedRate(conn_id="s", requests_per_second=100.0, burst=1000)
    assert row.task(shared).take(5000) == 1000
    greedy, modest = row.task(shared), row.task(shared)
    assert (greedy.take(5000), modest.take(1)) == (0, 0)
    assert modest.wait() == pytest.approx(6 * 0.01, abs=0.002), "behind five of the other"


# Together.


@pytest.mark.parametrize("trips", [[0.0] * 8, [0.03] + [0.0] * 7])
def test_eight_tasks_share_evenly_however_far_they_are_from_the_database(trips: list[float]) -> None:
    row = Row()

    class Far(LimiterBudget):
        trip = 0.0

        def take(self, wanted: int) -> int:
            row.trip = self.trip
            return super().take(wanted)

    budgets: list[LimiterBudget] = []
    for trip in trips:
        far = Far(row, FIFTY, clock=row.clock)
        far.trip = trip
        budgets.append(far)
    sent = drain(row, budgets, 20.0)
    shares = [sum(number == one for _, number in sent) / len(sent) for one in range(8)]
    assert min(shares) > 0.1
    assert max(shares) < 0.15
    assert 0.9 * 940 <= len(sent) <= 942
    assert most_within_a_second(sent) <= 50


@given(seed=st.integers(0, 2**32), tasks=st.integers(1, 6), rate=st.sampled_from([0.7, 5.0, 50.0, 333.3]))
def test_no_second_holds_more_whoever_comes_and_goes_and_dawdles(seed: int, tasks: int, rate: float) -> None:
    chance = Random(seed)
    row = Row(chance=Random(seed))
    shared = SharedRate(conn_id="s", requests_per_second=rate)
    budgets = [row.task(shared) for _ in range(tasks)]
    sent: list[tuple[float, int]] = []
    for _ in range(300):
        row.now += chance.choice([0.0, 0.0, 0.001, 0.02, 0.3, 2.0])
        number = chance.randrange(tasks)
        if chance.random() < 0.05:
            budgets[number] = row.task(shared)
        sent += [(row.now, number)] * budgets[number].take(chance.randrange(5))
    # Who asks late sends late: what leaves in a second was meant for that second, or for the moments before it.
    assert most_within_a_second(sent) <= shared.sustained * (1 + LATE) + 1


def test_tasks_that_were_all_held_up_do_not_all_go_at_once() -> None:
    row = Row()
    budgets = [row.task() for _ in range(8)]
    drain(row, budgets, 2.0)
    row.now += 5.0
    assert sum(budget.take(50) for budget in budgets) == 1
    sent = drain(row, budgets, 3.0)
    assert most_within_a_second(sent) <= 50


def test_who_finds_no_place_comes_back_by_chance() -> None:
    row = Row(losing=TRIES)
    budget = row.task()
    assert budget.take(50) == 0
    assert AGAIN <= budget.wait() <= 2 * AGAIN
    assert budget.take(50) == 0
    assert row.asked == TRIES
    row.now += budget.wait()
    assert (budget.take(50), row.asked) == (1, TRIES + 1)


def test_a_queue_has_an_end() -> None:
    row = Row()
    shared = SharedRate(conn_id="s", requests_per_second=1.0)
    waiting = [row.task(shared) for _ in range(150)]
    for budget in waiting:
        budget.take(1)
    longest = max(budget.wait() for budget in waiting)
    assert 100 < longest < 110
    assert 1.0 <= waiting[-1].wait() <= 2.1, "no place: it asks again when one may be free"


def test_a_clock_of_the_database_that_went_back_holds_everyone_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    row = Row()
    drain(row, [row.task()], 1.0)
    row.behind = 3600.0
    budget = row.task()
    with caplog.at_level(logging.WARNING):
        assert budget.take(50) == 0
    assert sum(budget.take(50) for _ in range(3)) == 0
    row.behind = 0.0
    row.now += budget.wait()
    assert budget.take(50) == 1
    slow = SharedRate(conn_id="s", requests_per_second=0.01)
    assert Row().task(slow).take(1) == 1
    queued = Row()
    queued.task(slow).take(1)
    with caplog.at_level(logging.WARNING):
        assert queued.task(slow).take(1) == 0
    assert "has room in 106 s" in caplog.text


def test_a_database_that_fails_is_an_error_that_may_be_retried() -> None:
    row = Row(error=BudgetError("away"))
    with pytest.raises(BudgetError, match="away"):
        row.task().take(1)
    assert issubclass(BudgetError, ContactsError)
    assert not issubclass(BudgetError, ConfigError)
