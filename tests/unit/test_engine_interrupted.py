"""Whatever ends a push, and wherever: every row that was read has one outcome."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_contacts.core.errors import InterruptedPushError, LedgerError, SupersededError
from airflow_provider_contacts.core.outcome import Outcome
from tests.unit.fake_vendor import Deed, FakeLedger, Pushed, World, answers, failing, first


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
    ledger = FakeLedger(world.table, trouble=failing(point, call, error=error))
    read, pushed = read_and_pushed(world, 500, ledger=ledger)
    assert sorted(pushed.statuses()) == read
    assert len(read) <= 500
    assert set(world.server.created().values()) <= {1}
    delivered = {f"n{index}" for index, status in pushed.statuses().items() if status == "succeeded"}
    assert delivered <= set(world.server.created())


def test_every_row_that_was_read_has_one_outcome_after_a_signal() -> None:
    world = World(first(then=Deed(delay=2.0)))
    begun = world.time.seconds
    ledger = FakeLedger(world.table)
    read, pushed = read_and_pushed(world, 1000, ledger=ledger, stopping=lambda: world.time.seconds >= begun + 0.5)
    assert isinstance(pushed.error, InterruptedPushError)
    assert sorted(pushed.statuses()) == read
    assert 100 <= len(read) <= 300


class Timeout(BaseException):
    """What a signal handler raises in the middle of anything."""


@pytest.mark.parametrize("at", [0, 50, 99, 100, 150, 201, 499])
def test_a_time_out_in_the_middle_of_reading_costs_no_outcome(at: int) -> None:
    world = World()

    def rows() -> Iterator[dict[str, Any]]:
        for index in range(500):
            if index == at:
                raise Timeout
            yield {"name": f"n{index}"}

    pushed = world.push(rows(), ledger=FakeLedger(world.table))
    assert isinstance(pushed.error, Timeout)
    everything: list[Outcome] = [*pushed.outcomes, *pushed.push.last_words]
    assert sorted(outcome.row_index for outcome in everything) == list(range(at))
    assert not any(row.status == "sending" for row in world.table.rows.values())


def test_a_halt_that_drains_reads_everything() -> None:
    world = World(first(answers(403), then=Deed()))
    read, pushed = read_and_pushed(world, 500, ledger=FakeLedger(world.table))
    assert len(read) == 500
    assert sorted(pushed.statuses()) == read
