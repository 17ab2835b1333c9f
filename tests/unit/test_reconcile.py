"""Records in doubt are looked for at the vendor: found, absent twice, or in doubt still."""

from __future__ import annotations

import logging
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest

from airflow_provider_contacts.engine.memory_ledger import MemoryLedger
from airflow_provider_contacts.errors import InterruptedPushError, LedgerError
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.vendor_kit.vendor import Limits, Payload, Vendor
from tests.support.fake_vendor import (
    APPLIED_AND_GARBAGE,
    APPLIED_AND_LOST,
    EPOCH,
    GARBAGE,
    HONEST,
    LOST,
    NOT_CONNECTED,
    READABLE,
    Deed,
    Pushed,
    World,
    answers,
    failing,
    first,
    names,
)

DELAY = 5.0


def reconciled(world: World, rows: list[Any], vendor: Vendor = READABLE, **options: Any) -> Pushed:
    return world.push(rows, **{"vendor": vendor, "on_unknown": "reconcile", "reconcile_delay": DELAY, **options})


def doubtful(world: World, rows: list[dict[str, Any]], script: Deed = APPLIED_AND_LOST) -> None:
    """Leave these rows in doubt, as an earlier run would."""
    world.server.script = first(script, script, script, script)
    pushed = world.push(rows, run="run-0", vendor=READABLE)
    assert set(pushed.counts()) == {"unknown"}
    world.server.script = first()
    world.server.requests.clear()


def with_date(world: World, behind: float = 0.0) -> None:
    """Let every read tell the vendor's clock."""

    def read(_index: int, _sent: Any) -> Deed:
        now = EPOCH.timestamp() + world.time.seconds - behind
        return replace(HONEST, headers={"date": formatdate(now, usegmt=True)})

    world.server.reads = read


# New doubts.


def test_what_was_created_is_found_and_not_sent_again() -> None:
    world = World(first(APPLIED_AND_LOST))
    pushed = reconciled(world, names(6))
    assert pushed.counts() == {"succeeded": 6}
    assert {outcome.destination_record_id for outcome in pushed.outcomes} == {f"id-n{n}" for n in range(6)}
    assert set(world.server.created().values()) == {1}
    assert set(world.table.statuses().values()) == {"succeeded"}


@pytest.mark.parametrize("deed", [LOST, GARBAGE, answers(500)])
def test_what_was_not_created_is_sent_again_after_two_reads_without_it(deed: Deed) -> None:
    world = World(first(deed))
    pushed = reconciled(world, names(6))
    assert pushed.counts() == {"succeeded": 6}
    assert set(world.server.created().values()) == {1}
    assert len(world.server.requests) == 3
    early, late = world.server.read_at[0], world.server.read_at[-1]
    assert early >= world.server.sent_at[0] + DELAY
    assert late >= early + DELAY
    assert world.server.sent_at[-1] >= late


def test_a_record_that_shows_late_is_not_sent_again() -> None:
    world = World(first(APPLIED_AND_LOST), read_lag=DELAY - 0.5)
    assert reconciled(world, names(3)).counts() == {"succeeded": 3}
    assert set(world.server.created().values()) == {1}


def test_a_vendor_that_never_answers_creates_is_given_up() -> None:
    world = World(lambda _index, _sent: LOST)
    pushed = reconciled(world, names(1))
    assert pushed.codes() == {0: "absent"}
    assert pushed.counts() == {"failed": 1}
    assert len(world.server.requests) == 3
    assert world.table.statuses() == {"n0": "failed"}


def test_nothing_is_sent_or_read_from_the_source_while_a_reading_goes_on() -> None:
    doubts = World()
    doubtful(doubts, names(2))
    reconciled(doubts, names(9))
    assert min(doubts.server.sent_at[1:]) >= max(doubts.server.read_at)


def test_no_reading_begins_while_a_request_is_under_way() -> None:
    world = World(first(LOST, Deed(delay=3.0)))
    assert reconciled(world, names(8), reconcile_delay=0.1).counts() == {"succeeded": 8}
    assert world.server.read_at[0] >= world.server.sent_at[1] + 3.0


# Inherited doubts.


@pytest.mark.parametrize("run", ["run-0", "run-1"])
def test_an_inherited_doubt_is_settled_before_anything_is_sent(run: str) -> None:
    world = World()
    doubtful(world, names(3))
    world.later()
    pushed = reconciled(world, names(5), run=run)
    assert pushed.counts() == {"succeeded": 5}
    assert world.server.requests == [["n3", "n4"]]
    assert set(world.server.created().values()) == {1}


def test_an_inherited_doubt_that_is_absent_is_sent() -> None:
    world = World()
    doubtful(world, names(3), LOST)
    pushed = reconciled(world, names(3), run="run-0")
    assert pushed.counts() == {"succeeded": 3}
    assert world.server.created() == {"n0": 1, "n1": 1, "n2": 1}
    assert [outcome.attempts for outcome in pushed.outcomes] == [2, 2, 2]


def test_a_dead_workers_claim_is_found_at_any_age() -> None:
    world = World()
    world.table.put("n0", Status.SENDING, sync_run_id="run-1", payload={"name": "n0"})
    world.server.put({"name": "n0"})
    before = world.time.seconds
    assert reconciled(world, names(1)).counts() == {"succeeded": 1}
    assert world.time.seconds - before < 1.0
    assert world.server.requests == []


def test_a_request_still_on_its_way_is_waited_for() -> None:
    world = World()
    world.table.put("n0", Status.SENDING, sync_run_id="run-1", payload={"name": "n0"})
    world.server.arrivals.append((world.time.seconds + 24.0, [{"name": "n0"}]))
    assert reconciled(world, names(1), request_timeout=20.0).counts() == {"succeeded": 1}
    assert world.server.created() == {"n0": 1}


@pytest.mark.parametrize(
    ("stored", "there", "status"),
    [
        ({"name": "old", "email": "a@b.example"}, {"name": "old", "email": "a@b.example"}, "succeeded"),
        # It is not known any more, or lost a character when it was stored.
        (None, {"name": "old"}, "unknown"),
        ({"name": "a\ufffdb"}, {"name": "a\x00b"}, "unknown"),
    ],
)
def test_what_was_sent_is_sought_not_what_is_there_today(stored: Payload | None, there: Payload, status: str) -> None:
    world = World()
    world.table.put("k", Status.UNKNOWN, payload=stored, payload_hash="v1:x", age=4000.0, ended_at=0.0)
    world.server.put(there)
    pushed = reconciled(world, [{"key": "k", "name": "new", "email": "a@b.example"}], sync_key=("key",))
    assert pushed.counts() == {status: 1}
    assert world.server.requests == []


def test_a_record_that_our_check_refuses_today_is_still_looked_for() -> None:
    world = World()
    payload = {"name": "n0", "note": "x"}
    world.server.put(payload)
    world.table.put("k", Status.UNKNOWN, payload=payload, payload_hash="v1:x", age=4000.0, ended_at=0.0)
    world.table.put("l", Status.UNKNOWN, payload={"name": "no"}, payload_hash="v1:x", age=4000.0, ended_at=0.0)
    rows = [{"key": "k", "name": "n0", "age": -1}, {"key": "l", "name": "no", "age": -1}]
    pushed = reconciled(world, rows, sync_key=("key",))
    assert pushed.statuses() == {0: "succeeded", 1: "invalid"}
    assert world.table.statuses() == {"k": "succeeded", "l": "invalid"}


# What a match is.


@pytest.mark.parametrize("word", ["states", "sent"])
def test_a_slow_ledger_does_not_make_a_record_older_than_its_claim(word: str) -> None:
    world = World(dated=True)
    with_date(world)
    world.table.put("k", Status.UNKNOWN, payload={"name": "old"}, payload_hash="v1:x", age=600.0, ended_at=0.0)
    world.server.put({"name": "old"}, world.time.seconds - 599.9)

    def slow(point: str, _call: int) -> None:
        if point == f"{word}:after":
            world.time.advance(120.0)

    begun = world.time.seconds
    pushed = reconciled(world, [{"key": "k", "name": "new"}], sync_key=("key",), trouble=slow)
    assert world.time.seconds - begun >= 120.0
    assert pushed.counts() == {"succeeded": 1}
    assert world.server.requests == []


def test_what_is_unchanged_is_sought_as_it_was_sent_not_as_it_is_stored() -> None:
    world = World()
    rows = [{"key": "k", "name": "a\x00b"}]
    world.server.script = first(APPLIED_AND_LOST)
    world.push(rows, run="run-0", vendor=READABLE, sync_key=("key",))
    world.table.rows["k"] = replace(world.table.rows["k"], payload={"name": "a\ufffdb"})
    assert reconciled(world, rows, sync_key=("key",)).counts() == {"succeeded": 1}
    assert len(world.server.requests) == 1


# Reads that fail.


@pytest.mark.parametrize(
    "deed", [answers(404), answers(403), answers(500), GARBAGE, LOST, NOT_CONNECTED, Deed(body=b'{"items": [{}]}')]
)
def test_a_read_that_fails_proves_nothing(deed: Deed) -> None:
    world = World()
    doubtful(world, names(3), LOST)
    world.server.reads = lambda _index, _sent: deed
    pushed = reconciled(world, names(4))
    assert pushed.counts() == {"unknown": 3, "succeeded": 1}
    assert world.server.requests == [["n3"]]


def fail(*_: Any) -> Any:
    raise ZeroDivisionError


@pytest.mark.parametrize("broken", ["questions", "read"])
def test_a_vendor_file_that_fails_proves_nothing(broken: str, caplog: pytest.LogCaptureFixture) -> None:
    words = READABLE.read_back
    assert words is not None
    bad = replace(words, questions=fail) if broken == "questions" else replace(words, read=fail)
    vendor = replace(READABLE, read_back=bad)
    world = World(first(APPLIED_AND_LOST))
    assert reconciled(world, names(2), vendor).counts() == {"unknown": 2}
    assert "A reader of fake failed: ZeroDivisionError" in caplog.text


def test_a_page_that_is_not_whole_proves_presence_alone() -> None:
    words = READABLE.read_back
    assert words is not None
    vendor = replace(READABLE, read_back=replace(words, read=lambda a, q: replace(words.read(a, q), whole=False)))
    world = World(first(APPLIED_AND_LOST, LOST))
    pushed = reconciled(world, names(8), vendor)
    assert pushed.counts() == {"succeeded": 4, "unknown": 4}
    assert len(world.server.requests) == 2


# The end of a push in the middle of a reading.


def test_a_stop_in_the_middle_of_a_reading_leaves_the_doubt() -> None:
    world = World()
    doubtful(world, names(3))
    asked = 0

    def stopping() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    pushed = reconciled(world, names(9), stopping=stopping)
    assert isinstance(pushed.error, InterruptedPushError)
    assert set(pushed.statuses().values()) <= {"unknown", "failed"}
    assert len(pushed.outcomes) == 9
    assert world.server.requests == []
    assert {world.table.rows[f"n{n}"].status for n in range(3)} == {Status.UNKNOWN}


@pytest.mark.parametrize(("there", "status"), [(True, "succeeded"), (False, "unknown")])
def test_a_stop_just_when_a_read_has_come_back_costs_no_outcome(there: bool, status: str) -> None:
    world = World()
    doubtful(world, names(1), APPLIED_AND_LOST if there else LOST)
    pushed = reconciled(world, names(1), stopping=lambda: bool(world.server.read_at))
    assert isinstance(pushed.error, InterruptedPushError)
    assert pushed.counts() == {status: 1}
    assert world.table.statuses() == {"n0": status}


@pytest.mark.parametrize("word", ["sent:before", "holders:before"])
def test_a_ledger_that_fails_in_a_reading_costs_no_outcome(word: str) -> None:
    world = World()
    doubtful(world, names(3))
    # What has changed since is sought as it is stored.
    pushed = reconciled(world, [{**row, "note": "new"} for row in names(5)], trouble=failing(word))
    assert isinstance(pushed.error, LedgerError)
    assert pushed.counts() == {"unknown": 3, "failed": 2}
    assert world.server.requests == []


def test_a_push_that_nobody_remembers_reads_back_too() -> None:
    world = World(first(APPLIED_AND_LOST, LOST))
    pushed = reconciled(world, names(8), ledger=MemoryLedger("t"))
    assert pushed.counts() == {"succeeded": 8}
    assert set(world.server.created().values()) == {1}


def test_many_doubts_are_looked_into_before_there_are_more() -> None:
    words = READABLE.read_back
    assert words is not None
    vendor = replace(READABLE, read_back=replace(words, most_requests=5000))
    world = World(lambda index, _sent: APPLIED_AND_GARBAGE if index % 2 else HONEST)
    # Each with an address: a contact is compared with its own record alone.
    rows = [{**row, "email": f"{row['name']}@example.com"} for row in names(2200)]
    pushed = reconciled(world, rows, vendor)
    assert pushed.counts() == {"succeeded": 2200}
    assert set(world.server.created().values()) == {1}
    assert world.server.sent_at[-1] > world.server.read_at[0]


# When and how the vendor is read back.


def test_a_request_that_ended_long_ago_is_not_waited_for() -> None:
    world = World()
    now = world.time.seconds
    world.table.put("n0", Status.UNKNOWN, payload={"name": "n0"}, error_code="timeout", age=900.0, ended_at=now - 800.0)
    reconciled(world, names(1))
    assert now + DELAY <= world.server.sent_at[0] < now + DELAY + 1.0


@pytest.mark.parametrize(
    ("status", "row"),
    [
        (Status.SENDING, {"sync_run_id": "run-1"}),
        # The outcome of an interrupted request was written when nobody knew its end.
        (Status.UNKNOWN, {"error_code": "interrupted", "ended_at": 990.0}),
        (Status.UNKNOWN, {"error_code": "timeout"}),
        (Status.SENDING, {"sync_run_id": "run-1", "error_code": "timeout", "ended_at": 985.0}),
    ],
)
def test_a_request_whose_end_nobody_saw_is_waited_for_from_its_claim(status: Status, row: dict[str, Any]) -> None:
    world = World()
    now = world.time.seconds
    world.table.put("n0", status, payload={"name": "n0"}, age=20.0, **row)
    reconciled(world, names(1), request_timeout=30.0)
    # Thirty seconds for the request and five to settle, less the twenty that have passed; then the vendor's own delay.
    believed = now - 20.0 + 35.0 + DELAY
    assert believed + DELAY <= world.server.sent_at[0] < believed + DELAY + 1.5


@pytest.mark.parametrize("rate", [None, 0.1])
def test_new_doubts_are_gathered_until_everything_else_is_sent(rate: float | None) -> None:
    world = World(first(APPLIED_AND_LOST, APPLIED_AND_LOST))
    limits = Limits(batch_size=4, max_in_flight=1, requests_per_second=rate)
    reconciled(world, names(20), limits=limits)
    assert len(world.server.requests) == 5
    assert world.server.read_at[0] >= world.server.sent_at[-1]


def test_a_reading_is_told_in_the_log_by_numbers_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        reconciled(World(), names(3))
        assert caplog.messages == []
        reconciled(World(first(APPLIED_AND_LOST)), names(3))
    assert caplog.messages == ["Fake is read back about 3 records in doubt", "Of the records in doubt: found 3"]


def test_a_vendor_without_reads_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    pushed = World(first(LOST)).push(names(4), on_unknown="reconcile")
    assert pushed.counts() == {"unknown": 4}
    assert caplog.messages == ["Fake documents no way to read contacts back: what is in doubt stays unknown"]
