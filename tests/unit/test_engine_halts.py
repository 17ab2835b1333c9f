"""What a push leaves behind when something stops it: the words of the rest, its rows, and the source."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from airflow_provider_contacts.errors import (
    ConfigError,
    LedgerError,
    RefusedError,
    RetryLaterError,
    SupersededError,
)
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.vendor_kit.vendor import Limits
from tests.support.fake_vendor import (
    EPOCH,
    LIMITS,
    READABLE,
    VENDOR,
    Deed,
    FakeLedger,
    Pushed,
    World,
    answers,
    failing,
    first,
    names,
    outcomes_of,
)

CHUNK = 100
"""Rows that a push with small limits reads at once."""

PACED = Limits(batch_size=4, max_in_flight=3, requests_per_second=0.1, burst=3)
"""When the first answers come, nothing else may leave: they are written alone, and not with the next marks."""


def ended(pushed: Pushed, error: type[LedgerError] = LedgerError) -> FakeLedger:
    """Return the ledger of a push that a failure ended, when it did not read the source on."""
    assert type(pushed.error) is error
    assert len(pushed.outcomes) == CHUNK
    assert isinstance(pushed.ledger, FakeLedger)
    return pushed.ledger


# The source fails.


def test_what_was_read_before_the_source_failed_is_sent() -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield from names(6)
        raise OSError("the source is away")

    world = World()
    pushed = world.push(rows())
    assert isinstance(pushed.error, OSError)
    assert pushed.statuses() == dict.fromkeys(range(6), "succeeded")
    assert world.table.statuses() == {f"n{index}": "succeeded" for index in range(6)}


def test_a_configuration_error_of_the_source_sends_nothing_of_what_was_read_with_it() -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield from names(6)
        raise ConfigError("rows without names")

    world = World()
    pushed = world.push(rows())
    assert isinstance(pushed.error, ConfigError)
    assert pushed.codes() == dict.fromkeys(range(6), "not_attempted")
    assert world.table.statuses() == {f"n{index}": "failed" for index in range(6)}
    assert world.server.requests == []


# The ledger fails, at each of its words.


def test_rows_that_cannot_be_looked_up_end_the_push_and_nothing_is_written_for_the_rest() -> None:
    pushed = World().push(names(1000), trouble=failing("states:before", 2))
    assert type(pushed.error) is LedgerError
    assert len(pushed.outcomes) == 2 * CHUNK
    assert isinstance(pushed.ledger, FakeLedger)
    assert pushed.ledger.calls["note"] == 0
    assert set(pushed.codes().values()) == {None, "not_attempted"}
    # Two requests may wait while the next chunk is read: they end as what was read with it does.
    waited = [one for one in pushed.outcomes if one.row_index < CHUNK and one.status is Status.FAILED]
    assert {(one.error_code, one.attempts) for one in waited} == {("not_attempted", 0)}


@pytest.mark.parametrize(("limits", "left"), [(PACED, 12), (LIMITS, 24)])
def test_outcomes_that_cannot_be_written_end_the_push(limits: Limits, left: int) -> None:
    world = World()
    pushed = world.push(names(1000), trouble=failing("settle:before"), limits=limits)
    ended(pushed)
    codes, statuses = pushed.codes(), world.table.statuses()
    assert {codes[index] for index in range(left, CHUNK)} == {"not_attempted"}
    assert {statuses[f"n{index}"] for index in range(12)} == {"sending"}
    # The ledger is asked once more for those that were not sent: it may be back.
    assert {statuses[f"n{index}"] for index in range(left, CHUNK)} == {"failed"}


@pytest.mark.parametrize(("limits", "left"), [(PACED, 12), (LIMITS, 24)])
def test_a_newer_execution_is_seen_when_outcomes_are_written(
    limits: Limits, left: int, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    pushed = world.push(names(1000), trouble=failing("settle:before", error=SupersededError), limits=limits)
    ledger, codes = ended(pushed, SupersededError), pushed.codes()
    assert {codes[index] for index in range(left, CHUNK)} == {"superseded"}
    # Alone, and with the next marks where there are any: nobody waits for a ledger that another one writes.
    assert ledger.calls["settle"] == left // 12
    # Whoever took over writes these rows.
    assert ledger.calls["note"] == 0
    assert set(world.table.rows) == {f"n{index}" for index in range(12)}
    warned = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert warned == ["12 outcomes could not be written; their rows stay as marked, and the next try holds them"]


def test_records_that_cannot_be_noted_end_the_push_and_are_not_offered_again() -> None:
    world = World()
    pushed = world.push([{"name": "bad", "age": -1}, *names(999)], trouble=failing("note:before"))
    ledger = ended(pushed)
    assert pushed.codes() == {0: "out_of_range"} | dict.fromkeys(range(1, CHUNK), "not_attempted")
    assert ledger.calls["note"] == 1
    assert world.table.rows == {}


def test_a_payload_that_cannot_be_read_again_ends_the_push_and_leaves_the_doubt() -> None:
    world = World()
    world.table.put("n0", Status.UNKNOWN, sync_run_id="run-1", payload_hash="v1:old", payload={"name": "old"})
    pushed = world.push(names(1000), vendor=READABLE, on_unknown="reconcile", trouble=failing("sent:before"))
    ledger = ended(pushed)
    assert pushed.counts() == {"unknown": 1, "failed": CHUNK - 1}
    assert {code for index, code in pushed.codes().items() if index} == {"not_attempted"}
    assert ledger.calls["note"] == 0
    (doubt,) = [one for one in pushed.outcomes if one.status is Status.UNKNOWN]
    assert doubt.from_this_run


def marked(run: str = "run-1") -> World:
    """Return a world in which a dead worker has left a mark, and its contact exists."""
    world = World()
    world.table.put("n0", Status.SENDING, sync_run_id=run, payload={"name": "n0"})
    world.server.put({"name": "n0"})
    return world


def test_holders_that_cannot_be_read_end_the_push_and_leave_the_doubt() -> None:
    world = marked()
    pushed = world.push(names(1000), vendor=READABLE, on_unknown="reconcile", trouble=failing("holders:before"))
    ended(pushed)
    assert pushed.counts() == {"unknown": 1, "failed": CHUNK - 1}
    assert {code for index, code in pushed.codes().items() if index} == {"not_attempted"}
    # The mark is no mark any more, and what was not sent has its row: the ledger can be written.
    assert list(world.table.statuses().values()) == ["unknown"] + ["failed"] * (CHUNK - 1)
    assert world.server.requests == []


# What is in doubt, and was not looked for to the end.


@pytest.mark.parametrize("run", ["run-0", "run-1"])
def test_a_doubt_that_a_reading_leaves_tells_whose_it_is(run: str) -> None:
    world = marked(run)
    world.server.reads = first(then=answers(500))
    world.later()
    (outcome,) = world.push(names(1), vendor=READABLE, on_unknown="reconcile").outcomes
    assert (outcome.status, outcome.from_this_run) == (Status.UNKNOWN, run == "run-1")


@pytest.mark.parametrize("run", ["run-0", "run-1"])
def test_a_doubt_that_a_signal_leaves_tells_whose_it_is(run: str) -> None:
    world = marked(run)
    world.server.reads = first(then=Deed(delay=20.0))
    world.later()
    begun = world.time.seconds
    pushed = world.push(
        names(1), vendor=READABLE, on_unknown="reconcile", stopping=lambda: world.time.seconds > begun + 0.5
    )
    (outcome,) = pushed.outcomes
    assert (outcome.status, outcome.from_this_run) == (Status.UNKNOWN, run == "run-1")
    assert world.table.statuses() == {"n0": "unknown"}


def test_a_doubt_that_this_run_sent_again_is_of_this_run() -> None:
    # It waits for its second time when the other record ends the push.
    world = World(first(answers(429), Deed(status=403, applies=False, body=b"{}", delay=0.1)))
    world.table.put("n0", Status.UNKNOWN, age=4000.0)
    pushed = world.push(names(2), limits=Limits(batch_size=1, max_in_flight=2), on_unknown="resend")
    assert isinstance(pushed.error, RefusedError)
    assert pushed.statuses() == {0: "unknown", 1: "failed"}
    (doubt,) = [one for one in pushed.outcomes if one.row_index == 0]
    assert doubt.from_this_run
    assert doubt.attempts == 2


# The vendor stops the push.


def test_a_long_wish_gives_the_rest_its_code() -> None:
    world = World(first(then=answers(429, retry_after="600")))
    pushed = world.push(names(30))
    assert isinstance(pushed.error, RetryLaterError)
    assert set(pushed.codes().values()) == {"rate_limited"}
    assert {row.error_code for row in world.table.rows.values()} == {"rate_limited"}


def test_after_a_refusal_a_credential_is_not_tried_again() -> None:
    world = World(first(Deed(status=403, applies=False, body=b"{}"), Deed(status=401, delay=1.0, body=b"{}")))
    pushed = world.push(names(4), limits=Limits(batch_size=1, max_in_flight=2), renewable=True)
    assert pushed.codes() == {0: "http_403", 1: "http_401", 2: "not_attempted", 3: "not_attempted"}
    assert len(world.server.requests) == 2


def test_the_credential_of_the_refused_request_is_renewed() -> None:
    world = World(first(Deed(delay=3.0), answers(401)))
    execution = world.execution(names(3), limits=Limits(batch_size=1, max_in_flight=2), renewable=True)
    tags: list[int] = []
    submit = execution.sender.submit

    def told(tag: int, *given: Any, **options: Any) -> None:
        tags.append(tag)
        submit(tag, *given, **options)

    execution.sender.submit = told  # type: ignore[method-assign]  # listens, and does the same
    assert {outcome.status for outcome in outcomes_of(execution.push)} == {Status.SUCCEEDED}
    assert execution.sender.renewed == [tags[1]]


def test_a_wish_that_is_a_moment_is_kept() -> None:
    world = World()
    until = EPOCH + timedelta(seconds=world.time.seconds + 30)
    world.server.script = first(answers(429, retry_after=format_datetime(until, usegmt=True)))
    assert world.push(names(1)).counts() == {"succeeded": 1}
    assert world.server.sent_at[1] - world.server.sent_at[0] == pytest.approx(30.0, abs=0.1)


# How a push begins, reads, and what it keeps.


def test_a_request_goes_where_the_destination_says() -> None:
    def path(destination: Mapping[str, Any]) -> str:
        return "/contacts" if destination == {} else "/elsewhere"

    # The sender takes no other path.
    assert World().push(names(1), vendor=replace(VENDOR, request_path=path)).counts() == {"succeeded": 1}


def test_after_a_pause_a_burst_may_leave_at_once() -> None:
    world = World()
    world.push(names(7), limits=Limits(batch_size=1, max_in_flight=7, requests_per_second=1.0, burst=5))
    gaps = [at - world.server.sent_at[0] for at in world.server.sent_at]
    assert gaps == pytest.approx([0.0] * 5 + [1.0, 2.0], abs=0.05)


def test_an_unfilled_request_waits_for_the_next_rows() -> None:
    pushed = World().push(names(250), limits=Limits(batch_size=7, max_in_flight=3))
    assert pushed.counts() == {"succeeded": 250}
    assert pushed.push.num_requests == 36


def test_no_more_than_two_thousand_rows_are_read_at_once() -> None:
    read: list[int] = []

    def rows() -> Iterator[dict[str, Any]]:
        for index in range(3000):
            read.append(index)
            yield {"name": f"n{index}"}

    limits = Limits(batch_size=100, max_in_flight=100)
    pushed = World().push(rows(), limits=limits, stopping=lambda: bool(read))
    assert len(read) == len(pushed.outcomes) == 2000


def test_a_push_keeps_nothing_of_what_it_is_done_with() -> None:
    world = World(first(answers(429), Deed(status=None, applies=False)))
    world.table.put("n3", Status.UNKNOWN)
    pushed = world.push([{"name": "bad", "age": -1}, *names(20), *names(2)])
    assert pushed.error is None
    assert pushed.push.last_words == []
    assert pushed.push._steps.admission.keys.active == {}


def test_what_waits_keeps_the_source_waiting() -> None:
    read: list[int] = []
    read_before: list[int] = []

    def script(_index: int, _sent: Any) -> Deed:
        read_before.append(len(read))
        return Deed()

    def rows() -> Iterator[dict[str, Any]]:
        for index in range(400):
            read.append(index)
            yield {"name": f"n{index}"}

    world = World(script)
    for index in range(400):
        world.table.put(f"n{index}", Status.UNKNOWN)
    assert world.push(rows(), on_unknown="resend").counts() == {"succeeded": 400}
    # Each doubt waits alone until its earlier request must have ended: one chunk of them is enough to keep.
    assert read_before[0] == CHUNK
