"""What the loop tells a person, hands to the sender, and how long it sleeps."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta
from math import inf
from typing import Any

import pytest

from airflow_provider_contacts.engine.departures import FRESH
from airflow_provider_contacts.engine.push import LAST_WORD
from airflow_provider_contacts.engine.recorder import ATTEMPTS
from airflow_provider_contacts.engine.responses import BREAKER
from airflow_provider_contacts.errors import (
    InterruptedPushError,
    LedgerError,
    RefusedError,
    RetryLaterError,
    SupersededError,
)
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.vendor_kit.refusal_messages import refusal_text
from airflow_provider_contacts.vendor_kit.vendor import Limits, Request
from tests.support.fake_vendor import (
    APPLIED_AND_LOST,
    EPOCH,
    LOST,
    READABLE,
    Deed,
    FakeLedger,
    World,
    answers,
    failing,
    first,
    names,
    outcomes_of,
)

NO_RIGHT = "the credential lacks a right, or the plan does not include this request"


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("http_401", "check the connection's login, password and token_url"),
        (
            "http_403",
            f"{NO_RIGHT}: check the connection's login, password and token_url",
        ),
        ("http_404", "check the destination and the connection's host"),
        ("plan", "check the connection's host, credential and destination"),
    ],
)
def test_a_refusal_says_what_to_look_at(code: str, hint: str) -> None:
    assert refusal_text("Fake", code) == f"Fake refuses the push ({code}): {hint}"


def test_the_refusal_is_what_the_push_raises() -> None:
    pushed = World(first(answers(403))).push(names(3))
    assert isinstance(pushed.error, RefusedError)
    assert str(pushed.error) == refusal_text("Fake", "http_403")


def test_a_long_wish_is_told_with_its_moment() -> None:
    world = World(first(answers(429, retry_after="600")))
    pushed = world.push(names(3))
    assert isinstance(pushed.error, RetryLaterError)
    assert str(pushed.error) == "Fake asked to wait 600 s (Retry-After), longer than max_wait=60"
    heard = EPOCH + timedelta(seconds=world.time.seconds + 600)
    assert abs(pushed.error.until - heard) < timedelta(seconds=1)
    assert set(pushed.codes().values()) == {"rate_limited"}


def test_a_stop_is_told() -> None:
    pushed = World().push(names(3), stopping=lambda: True)
    assert isinstance(pushed.error, InterruptedPushError)
    assert str(pushed.error) == "the push was told to stop; what had not been answered is unknown"


# What the sender is told.


def test_a_request_is_the_envelope_around_the_records_and_must_leave_soon() -> None:
    world = World()
    execution = world.execution(names(2), request_timeout=7.5)
    begun = world.time.seconds
    list(outcomes_of(execution.push))
    ((_, request, not_after, timeout),) = execution.sender.told
    assert request == Request("POST", "/contacts", b'{"contacts":[{"name":"n0"},{"name":"n1"}]}')
    assert not_after == pytest.approx(begun + FRESH, abs=0.01)
    assert timeout == 7.5
    assert execution.push.num_requests == 1


def test_a_read_may_leave_whenever_it_can() -> None:
    world = World(first(APPLIED_AND_LOST))
    execution = world.execution(names(2), vendor=READABLE, on_unknown="reconcile", request_timeout=7.5)
    list(outcomes_of(execution.push))
    read = [one for one in execution.sender.told if one[1].method == "GET"]
    assert [(not_after, timeout) for _, _, not_after, timeout in read] == [(inf, 7.5)]
    assert len({tag for tag, *_ in execution.sender.told}) == len(execution.sender.told)
    assert execution.push.num_requests == 1


def test_no_two_requests_share_a_mark_or_a_number() -> None:
    world = World(first(answers(429), answers(429)))
    execution = world.execution(names(20))
    outcomes = list(outcomes_of(execution.push))
    assert len({tag for tag, *_ in execution.sender.told}) == len(execution.sender.told)
    assert len({outcome.batch_id for outcome in outcomes}) == 5
    assert all(str(outcome.batch_id).startswith(f"{execution.ledger.token}.") for outcome in outcomes)


# What the log says: numbers and words, never a record.


def messages(caplog: pytest.LogCaptureFixture, world: World, rows: Sequence[Any], **options: Any) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.INFO):
        world.push(rows, **options)
    return caplog.messages


def test_an_undisturbed_push_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert messages(caplog, World(), names(9)) == []


def test_why_nothing_more_is_sent_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    told = messages(caplog, World(first(then=answers(403))), names(40))
    assert told == [f"Nothing more is sent: {refusal_text('Fake', 'http_403')}"]


def test_a_vendor_that_is_away_is_said_to_be(caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(batch_size=1, max_in_flight=1)
    assert messages(caplog, World(first(then=LOST)), names(30), limits=limits) == [
        f"{BREAKER} requests in a row without a usable answer; the rest is not sent. The last: no answer",
        "Nothing more is sent: vendor_unreachable",
    ]


def test_outcomes_that_could_not_be_written_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    assert messages(caplog, World(), names(3), trouble=failing("settle:before")) == [
        "Nothing more is sent: the database is away",
        "3 outcomes could not be written; their rows stay as marked, and the next try holds them",
    ]


def test_records_that_could_not_be_noted_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"name": "a", "age": -1}, {"name": "b", "age": -1}]
    assert messages(caplog, World(), rows, trouble=failing("note:before")) == [
        "Nothing more is sent: the database is away",
        "2 records that were not sent have no row: the ledger is away",
    ]


# How long it sleeps.


def sleeps(world: World, rows: Sequence[Any], **options: Any) -> list[float]:
    """Return the seconds for which each wait for results was asked."""
    execution = world.execution(rows, **options)
    list(outcomes_of(execution.push))
    return execution.sender.asked


def test_a_signal_is_heard_within_a_second_however_long_the_wait() -> None:
    for options in ({"request_timeout": 60.0}, {"max_wait": 60.0}):
        asked = sleeps(World(first(answers(429, retry_after="50"))), names(3), **options)
        assert max(asked) == pytest.approx(1.0)
        assert min(asked) >= 0.0
        assert len(asked) < 60


def test_a_pause_costs_no_busy_waiting() -> None:
    limits = Limits(batch_size=1, max_in_flight=9, requests_per_second=0.5, burst=1)
    world = World()
    begun = world.time.seconds
    asked = sleeps(world, names(4), limits=limits)
    # Two seconds between requests; each wait ends with a second, an answer, or the next departure.
    assert world.time.seconds - begun == pytest.approx(6.0, abs=0.1)
    assert len(asked) <= 20


def test_a_record_sent_again_leaves_at_its_moment() -> None:
    world = World(first(answers(429, retry_after="2.5")))
    sleeps(world, names(1))
    assert world.server.sent_at[1] - world.server.sent_at[0] == pytest.approx(2.5, abs=0.05)


# What a record that was not sent is told under.


def test_what_was_not_sent_is_noted_under_a_number_of_its_own() -> None:
    pushed = World(first(answers(403))).push(names(30), limits=Limits(batch_size=4, max_in_flight=1))
    token = pushed.ledger.token
    unsent = [one for one in pushed.outcomes if one.attempts == 0]
    assert len(unsent) == 26
    assert {(one.batch_id, one.error_code, one.status) for one in unsent} == {
        (f"{token}.n", "not_attempted", Status.FAILED)
    }


def test_a_mark_that_was_not_sent_is_taken_back_under_its_own_number() -> None:
    world = World()
    pushed = world.push(names(3), trouble=failing("claim:after", 1))
    assert isinstance(pushed.error, LedgerError)
    assert {one.batch_id for one in pushed.outcomes} == {f"{pushed.ledger.token}.1"}
    assert world.table.statuses() == {"n0": "failed", "n1": "failed", "n2": "failed"}


# The end: who is still heard, what the others are told, and whether the source is read on.


@pytest.mark.parametrize(("delays", "heard"), [((2.0, 2.0), 8), ((3.3, 3.8), 8), ((3.3, 9.0), 4), ((9.0, 9.0), 0)])
def test_an_answer_within_three_seconds_of_a_signal_is_heard(delays: tuple[float, float], heard: int) -> None:
    world = World(lambda index, _sent: Deed(delay=delays[index]))
    begun = world.time.seconds
    pushed = world.push(
        names(8), limits=Limits(batch_size=4, max_in_flight=2), stopping=lambda: world.time.seconds >= begun + 0.5
    )
    assert isinstance(pushed.error, InterruptedPushError)
    # The signal is seen after a second of waiting.
    assert world.time.seconds <= begun + 1.0 + LAST_WORD + 0.01
    expected = {"succeeded": heard, "unknown": 8 - heard}
    assert pushed.counts() == {status: count for status, count in expected.items() if count}
    assert (heard < 8) == ("interrupted" in pushed.codes().values())


def test_after_a_signal_what_waits_is_not_attempted_and_nothing_more_is_read() -> None:
    world = World(first(then=Deed(delay=2.0)))
    read: list[int] = []

    def rows() -> Iterator[dict[str, Any]]:
        for index in range(1000):
            read.append(index)
            yield {"name": f"n{index}"}

    begun = world.time.seconds
    pushed = world.push(rows(), stopping=lambda: world.time.seconds >= begun + 0.5)
    assert len(pushed.outcomes) == len(read) == 100
    assert set(pushed.codes().values()) == {None, "not_attempted"}


@pytest.mark.parametrize(("error", "others"), [(LedgerError, "not_attempted"), (SupersededError, "superseded")])
@pytest.mark.parametrize("point", ["claim:before", "claim:after"])
def test_a_claim_that_fails_ends_the_push_without_reading_on(point: str, error: type[LedgerError], others: str) -> None:
    world = World()
    pushed = world.push(names(1000), trouble=failing(point, error=error))
    assert type(pushed.error) is error
    assert len(pushed.outcomes) == 100
    codes = pushed.codes()
    # What was to be claimed, three requests of four; and what waited behind it.
    assert {codes[index] for index in range(12)} == {"not_attempted"}
    assert {codes[index] for index in range(12, 100)} == {others}
    assert world.server.requests == []
    noted = set(world.table.rows) - {f"n{index}" for index in range(12)}
    assert len(noted) == (88 if error is LedgerError else 0)


def test_a_lost_claim_that_cannot_be_decided_ends_the_push_without_reading_on() -> None:
    world = World()
    away = failing("states:before", 2)

    def rival(point: str, call: int) -> None:
        away(point, call)
        if (point, call) == ("claim:before", 1):
            world.table.put("n1", Status.UNKNOWN)

    pushed = world.push(names(1000), trouble=rival)
    assert isinstance(pushed.error, LedgerError)
    assert len(pushed.outcomes) == 100
    codes = pushed.codes()
    assert codes[1] == "claimed_elsewhere"
    assert {codes[index] for index in range(12, 100)} == {"not_attempted"}
    # The ledger that could not be read is not written to either, but for what was on its way.
    assert set(world.table.rows) == {f"n{index}" for index in range(12)}


def test_a_stop_ends_the_patience_with_a_ledger() -> None:
    world = World()
    begun = world.time.seconds
    pushed = world.push(names(3), trouble=failing("settle:before"), stopping=lambda: world.time.seconds >= begun + 1.0)
    assert pushed.error is not None
    assert isinstance(pushed.ledger, FakeLedger)
    # Half a minute of attempts is cut short by the signal.
    assert pushed.ledger.calls["settle"] < ATTEMPTS
    assert world.time.seconds < begun + 3.0


def test_a_ledger_that_restarts_is_offered_the_outcomes_at_growing_distances() -> None:
    world = World()
    offered: list[float] = []

    def trouble(point: str, _call: int) -> None:
        if point == "settle:before":
            offered.append(world.time.seconds)
            raise LedgerError("away")

    world.push(names(1), trouble=trouble)
    gaps = [later - sooner for sooner, later in itertools.pairwise(offered)]
    # Half a second, doubled each time, less a quarter by the clock's chance.
    assert gaps == pytest.approx([0.375 * 2**attempt for attempt in range(ATTEMPTS - 1)], abs=0.01)
