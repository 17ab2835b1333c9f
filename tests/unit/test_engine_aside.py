"""While a ledger writes, the next rows are read: what must hold all the same."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pytest

from airflow_provider_contacts.core.aside import Aside
from airflow_provider_contacts.core.errors import InterruptedPushError, LedgerError, SupersededError
from airflow_provider_contacts.core.ledger import Mark
from airflow_provider_contacts.core.outcome import Outcome
from tests.unit.fake_vendor import Deed, FakeLedger, Pushed, World, answers, failing, first

WAIT = 10.0
"""Seconds after which a test that waits for another thread is over."""


def test_both_halves_are_done() -> None:
    aside, done = Aside(), []
    assert aside.run(lambda: threading.current_thread().name, lambda: done.append(1)).startswith("contacts-ledger")
    assert done == [1]
    aside.close()
    aside.close()


def test_what_ends_the_caller_waits_for_the_work() -> None:
    aside, begun, go, done = Aside(), threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        assert go.wait(WAIT)
        done.append(1)

    def meanwhile() -> None:
        assert begun.wait(WAIT)
        go.set()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        aside.run(work, meanwhile)
    assert done == [1]
    aside.close()


def test_what_the_work_raises_is_raised() -> None:
    aside, done = Aside(), []

    def work() -> None:
        raise LedgerError("away")

    with pytest.raises(LedgerError):
        aside.run(work, lambda: done.append(1))
    assert done == [1]
    aside.close()


class Waiting(FakeLedger):
    """Its claims wait until the source has been asked for a row of the next chunk."""

    asked: threading.Event
    waited: list[bool]

    def claim(self, marks: Sequence[Mark]) -> Collection[str]:
        self.waited.append(self.asked.wait(WAIT))
        return super().claim(marks)


def test_rows_are_read_while_marks_are_written() -> None:
    world = World()
    ledger = Waiting(world.table, parallel=True)
    ledger.asked, ledger.waited = threading.Event(), []

    def rows() -> Iterator[dict[str, Any]]:
        for index in range(300):
            if index >= 100:
                ledger.asked.set()
            yield {"name": f"n{index}"}

    pushed = world.push(rows(), ledger=ledger)
    assert pushed.counts() == {"succeeded": 300}
    assert ledger.waited
    assert all(ledger.waited), "a claim was over before the next rows were read"
    assert "contacts-ledger" not in " ".join(thread.name for thread in threading.enumerate())


def read_and_pushed(world: World, count: int, **options: Any) -> tuple[list[int], Pushed]:
    read: list[int] = []

    def rows() -> Iterator[dict[str, Any]]:
        for index in range(count):
            read.append(index)
            yield {"name": f"n{index}"}

    return read, world.push(rows(), **options)


@pytest.mark.parametrize("error", [LedgerError, SupersededError])
@pytest.mark.parametrize("call", [1, 2, 5])
@pytest.mark.parametrize("point", ["claim:before", "claim:after", "settle:before", "settle:after", "standing:before"])
def test_every_row_that_was_read_has_one_outcome_whatever_fails(
    point: str, call: int, error: type[LedgerError]
) -> None:
    world = World()
    ledger = FakeLedger(world.table, trouble=failing(point, call, error=error), parallel=True)
    read, pushed = read_and_pushed(world, 500, ledger=ledger)
    assert sorted(pushed.statuses()) == read
    assert len(read) <= 500
    assert set(world.server.created().values()) <= {1}
    delivered = {f"n{index}" for index, status in pushed.statuses().items() if status == "succeeded"}
    assert delivered <= set(world.server.created())


def test_every_row_that_was_read_has_one_outcome_after_a_signal() -> None:
    world = World(first(then=Deed(delay=2.0)))
    begun = world.time.seconds
    ledger = FakeLedger(world.table, parallel=True)
    read, pushed = read_and_pushed(world, 1000, ledger=ledger, stopping=lambda: world.time.seconds >= begun + 0.5)
    assert isinstance(pushed.error, InterruptedPushError)
    assert sorted(pushed.statuses()) == read
    assert 100 <= len(read) <= 300


class Timeout(BaseException):
    """What a signal handler raises in the middle of anything."""


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("at", [0, 50, 99, 100, 150, 201, 499])
def test_a_time_out_in_the_middle_of_reading_costs_no_outcome(at: int, parallel: bool) -> None:
    world = World()

    def rows() -> Iterator[dict[str, Any]]:
        for index in range(500):
            if index == at:
                raise Timeout
            yield {"name": f"n{index}"}

    pushed = world.push(rows(), ledger=FakeLedger(world.table, parallel=parallel))
    assert isinstance(pushed.error, Timeout)
    everything: list[Outcome] = [*pushed.outcomes, *pushed.push.last_words]
    assert sorted(outcome.row_index for outcome in everything) == list(range(at))
    assert not any(row.status == "sending" for row in world.table.rows.values())


def test_a_halt_that_drains_reads_everything() -> None:
    world = World(first(answers(403), then=Deed()))
    read, pushed = read_and_pushed(world, 500, ledger=FakeLedger(world.table, parallel=True))
    assert len(read) == 500
    assert sorted(pushed.statuses()) == read
