"""Whatever ends a push, and wherever: every row that was read has one outcome."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_contacts.errors import InterruptedPushError, LedgerError, SupersededError
from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.vendor_kit.vendor import Payload
from tests.support.fake_vendor import (
    READABLE,
    VENDOR,
    Deed,
    FakeLedger,
    Pushed,
    Trouble,
    World,
    answers,
    failing,
    first,
)


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


@pytest.mark.parametrize("row", [0, 50, 99, 100, 150, 201, 499])
def test_a_time_out_in_the_middle_of_reading_costs_no_outcome(row: int) -> None:
    world = World()

    def rows() -> Iterator[dict[str, Any]]:
        for index in range(500):
            if index == row:
                raise Timeout
            yield {"name": f"n{index}"}

    pushed = world.push(rows(), ledger=FakeLedger(world.table))
    assert isinstance(pushed.error, Timeout)
    everything: list[Outcome] = [*pushed.outcomes, *pushed.push.last_words]
    assert sorted(outcome.row_index for outcome in everything) == list(range(row))
    assert not any(row.status == "sending" for row in world.table.rows.values())


@pytest.mark.parametrize("call", [1, 50, 100, 101, 300])
def test_a_time_out_in_the_middle_of_preparing_costs_no_outcome(call: int) -> None:
    world, calls = World(), itertools.count(1)

    def coherent(_: Payload) -> None:
        if next(calls) == call:
            raise Timeout

    vendor = replace(VENDOR, contract=replace(VENDOR.contract, coherent=coherent))
    read, pushed = read_and_pushed(world, 300, vendor=vendor)
    assert isinstance(pushed.error, Timeout)
    everything: list[Outcome] = [*pushed.outcomes, *pushed.push.last_words]
    assert sorted(outcome.row_index for outcome in everything) == read
    assert len(read) == call


def at(point: str, *calls: int, error: BaseException) -> Trouble:
    def trouble(found: str, call: int) -> None:
        if found == point and (not calls or call in calls):
            raise error

    return trouble


@pytest.mark.parametrize("call", [1, 2, 3, 4, 7])
@pytest.mark.parametrize(
    "point", [f"{word}:{when}" for word in ("standing", "claim", "settle") for when in ("before", "after")]
)
def test_a_time_out_in_the_middle_of_the_ledger_costs_no_outcome(point: str, call: int) -> None:
    world = World()
    ledger = FakeLedger(world.table, trouble=at(point, call, error=Timeout()))
    read, pushed = read_and_pushed(world, 300, ledger=ledger)
    everything: list[Outcome] = [*pushed.outcomes, *pushed.push.last_words]
    assert sorted(outcome.row_index for outcome in everything) == read
    created = world.server.created()
    assert set(created.values()) <= {1}
    for outcome in everything:
        if outcome.status is Status.SUCCEEDED:
            assert f"n{outcome.row_index}" in created
        elif outcome.status is not Status.UNKNOWN:
            assert f"n{outcome.row_index}" not in created


@pytest.mark.parametrize("call", [1, 2, 3])
@pytest.mark.parametrize(
    "point",
    [
        f"{word}:{when}"
        for word in ("standing", "claim", "settle", "note", "sent", "holders")
        for when in ("before", "after")
    ],
)
def test_a_time_out_among_rows_of_every_kind_costs_no_outcome(point: str, call: int) -> None:
    world = World()
    doubtful = [f"n{index}" for index in range(0, 300, 10)]
    there = doubtful[::2]
    for name in doubtful:
        world.table.put(name, Status.UNKNOWN, sync_run_id="run-0", payload={"name": name})
    for name in there:
        world.server.put({"name": name})
    rows: list[dict[str, Any]] = [{"name": f"n{index}", "note": "new"} for index in range(300)]
    # Invalid, and duplicates of what is in the same chunk.
    rows = [{**row, "age": -1} if index % 7 == 3 else row for index, row in enumerate(rows) for _ in range(2)]
    source, error = iter(rows), Timeout()
    pushed = world.push(source, vendor=READABLE, on_unknown="reconcile", trouble=at(point, call, error=error))
    assert pushed.error in {error, None}
    read = len(rows) - len(list(source))
    everything: list[Outcome] = [*pushed.outcomes, *pushed.push.last_words]
    assert sorted(outcome.row_index for outcome in everything) == list(range(read))
    created = world.server.created() + Counter(there)
    assert set(created.values()) <= {1}
    for outcome in everything:
        if outcome.status is Status.SUCCEEDED:
            assert rows[outcome.row_index]["name"] in created
        elif outcome.status is Status.FAILED:
            assert rows[outcome.row_index]["name"] not in created
    assert "sending" not in world.table.statuses().values()


def test_a_ledger_that_is_broken_for_good_costs_no_outcome_of_what_was_answered() -> None:
    world = World()
    error = RuntimeError("a bug, not a database that is away")
    calls = range(2, 100)
    ledger = FakeLedger(world.table, trouble=at("standing:before", *calls, error=error))
    _, pushed = read_and_pushed(world, 300, ledger=ledger)
    assert pushed.error is error
    everything: list[Outcome] = [*pushed.outcomes, *pushed.push.last_words]
    assert sorted(outcome.row_index for outcome in everything) == list(range(100))


def test_a_halt_that_drains_reads_everything() -> None:
    world = World(first(answers(403), then=Deed()))
    read, pushed = read_and_pushed(world, 500, ledger=FakeLedger(world.table))
    assert len(read) == 500
    assert sorted(pushed.statuses()) == read
