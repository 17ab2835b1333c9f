"""The campaigns in a small size: nothing is created twice, nothing is lost, whatever is killed or goes astray."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from campaigns import kills, lost
from campaigns.judge import Book, Finding, Said, Simulated, find, server_book, simulator, sqlite_book
from campaigns.nursery import Nursery
from campaigns.people import VENDORS
from campaigns.task import run_try
from tests.support.pushing import Served
from tests.support.servers import Postgres

NUMBERS = count(1)


# Kills.


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with Nursery(tmp_path_factory.mktemp("nursery")) as found:
        yield found


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    with simulator(tmp_path_factory.mktemp("judge"), 1, **kills.KNOBS) as found:
        yield found


@pytest.fixture
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Book:
    if request.param == "SQLite":
        return sqlite_book(tmp_path)
    server: Postgres = request.getfixturevalue("postgres")
    return server_book("PostgreSQL", server, f"campaign_{next(NUMBERS)}")


@pytest.mark.parametrize(
    ("vendor", "book"),
    [(vendor, ("SQLite", "PostgreSQL")[place % 2]) for place, vendor in enumerate(VENDORS)],
    indirect=["book"],
)
def test_a_killed_push_creates_nothing_twice_and_loses_nothing(
    nursery: Nursery, judge: Simulated, vendor: str, book: Book
) -> None:
    first_job = 1000 * VENDORS.index(vendor)
    tally = kills.Lane(nursery.run, judge, book, vendor, "hold", seed=1, first_job=first_job).kill(2)
    assert tally.kills == 2
    assert tally.tries >= tally.jobs + tally.kills
    assert tally.moments.total() >= 2
    assert kills.complaints([tally]) == []
    found = tally.finding
    assert found.created == found.succeeded + found.doubted_there
    assert found.records == found.succeeded + found.doubted + found.failed


# Lost answers.


def of(served: Served) -> Simulated:
    connections = {f"{name}_default": value for name, value in served.simulator.connections(served.url).items()}
    return Simulated(served.url, connections)


@pytest.mark.parametrize("on_unknown", ["hold", "reconcile"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_a_lost_answer_creates_nothing_twice_and_loses_nothing(
    served: Served, tmp_path: Path, vendor: str, on_unknown: str
) -> None:
    faults = {lost.LOST: 0.2}
    row = lost.ours(run_try, of(served), sqlite_book(tmp_path), vendor, on_unknown, records=300, faults=faults)
    assert row.lost > 0
    assert row.complaint == ""
    assert (row.created, row.never) == (300, 0)
    assert row.finding is not None
    assert (row.finding.failed, row.finding.doubted_absent) == (0, 0)
    can_be_found = on_unknown == "reconcile" and vendor != "nedzo"
    assert (row.finding.doubted == 0) == can_be_found


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_answer_that_lies_creates_nothing_twice_and_loses_nothing(
    served: Served, tmp_path: Path, vendor: str
) -> None:
    faults = lost.lies(vendor)
    row = lost.ours(run_try, of(served), sqlite_book(tmp_path), vendor, "hold", records=300, faults=faults)
    assert row.lost > 10
    assert row.complaint == ""
    assert row.finding is not None
    assert row.finding.doubted_there > 0
    assert row.finding.succeeded > 100


# The judge, who must see what is wrong.


@pytest.mark.parametrize(
    ("there", "said", "expected"),
    [
        (["a"], Said("succeeded", "a"), {"succeeded": 1, "created": 1}),
        (["a"], Said("succeeded"), {"succeeded": 1, "created": 1}),
        (["a"], Said("succeeded", "b"), {"succeeded": 1, "created": 1, "mistaken": 1}),
        (["a", "b"], Said("succeeded", "b"), {"succeeded": 1, "created": 2, "twice": 1}),
        ([], Said("succeeded", "a"), {"succeeded": 1, "untrue": 1}),
        (["a"], Said("failed"), {"failed": 1, "created": 1, "unsaid": 1}),
        ([], Said("rejected"), {"failed": 1}),
        (["a"], None, {"created": 1, "without": 1}),
        (["a"], Said("sending"), {"created": 1, "doubted_there": 1}),
        ([], Said("unknown"), {"doubted_absent": 1}),
    ],
)
def test_the_judge_holds_what_is_said_against_what_is_there(
    there: list[str], said: Said | None, expected: dict[str, int]
) -> None:
    found = find({"k1x0": there} if there else {}, {"k1x0": said} if said else {}, 1, 1)
    assert found == Finding(records=1, **expected)
    assert found.lost == sum(expected.get(name, 0) for name in ("untrue", "unsaid", "mistaken", "without"))


def contact(number: int, request: int) -> dict[str, Any]:
    return {"received": {"email": f"k1x{number}@example.com"}, "request": request}


def test_a_kill_is_known_by_what_it_left_behind() -> None:
    state = {"contacts": [contact(0, 1), contact(1, 2), contact(3, 9)]}
    marked = {f"k1x{number}": Said("sending") for number in range(4)}
    death = kills.Death(marked, frozenset({"k1x0"}), arrived=2)
    # The first was there, the second came later, the third never, and the fourth by the next try's request.
    assert kills.moments(death, state) == {"created", "in_flight", "marked"}
    settled = {f"k1x{number}": Said("succeeded") for number in range(kills.RECORDS)}
    assert kills.moments(kills.Death({}, frozenset(), 0), state) == {"before"}
    assert kills.moments(kills.Death({"k1x0": Said("succeeded")}, frozenset(), 0), state) == {"between"}
    assert kills.moments(kills.Death(settled, frozenset(), 0), state) == {"after"}


def test_a_campaign_complains_of_what_breaks_the_promise() -> None:
    tally = kills.Tally(vendor="dex", book="SQLite", on_unknown="hold", finding=Finding(records=9, twice=1, untrue=2))
    tally.complaints.append("a summary that does not fit")
    assert kills.complaints([tally]) == [
        "a summary that does not fit",
        "dex, SQLite, hold: 1 records exist twice",
        "dex, SQLite, hold: 2 records are lost",
    ]
