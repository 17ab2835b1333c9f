"""When requests leave, what they are, what a push says in the log, and what it keeps in memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from typing import Any

import pytest

from airflow_provider_contacts.engine.departures import FRESH
from airflow_provider_contacts.engine.responses import BREAKER
from airflow_provider_contacts.errors import RefusedError
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.vendor_kit.push_settings import refusal_text
from airflow_provider_contacts.vendor_kit.vendor import Limits, Request
from tests.support.fake_vendor import (
    ALONE,
    APPLIED_AND_LOST,
    LOST,
    READABLE,
    Deed,
    World,
    answers,
    failing,
    first,
    names,
    noted,
    outcomes_of,
)


def test_a_request_is_the_envelope_around_the_records_and_must_leave_soon() -> None:
    world = World()
    begun = world.time.seconds
    pushed = world.push(names(2), request_timeout=7.5)
    ((_, request, not_after, timeout),) = pushed.sender.told
    assert request == Request("POST", "/contacts", b'{"contacts":[{"name":"n0"},{"name":"n1"}]}')
    assert not_after == pytest.approx(begun + FRESH, abs=0.01)
    assert (timeout, pushed.push.counts.num_requests) == (7.5, 1)


def test_a_read_may_leave_whenever_it_can() -> None:
    world = World(first(APPLIED_AND_LOST))
    pushed = world.push(names(2), vendor=READABLE, on_unknown="reconcile", request_timeout=7.5)
    told = pushed.sender.told
    assert [one[2:] for one in told if one[1].method == "GET"] == [(inf, 7.5)]
    assert len({tag for tag, *_ in told}) == len(told)
    assert pushed.push.counts.num_requests == 1


def test_no_two_requests_share_a_batch_id_or_a_number() -> None:
    pushed = World(first(answers(429), answers(429))).push(names(20))
    assert len({tag for tag, *_ in pushed.sender.told}) == len(pushed.sender.told)
    assert len({outcome.batch_id for outcome in pushed.outcomes}) == 5
    assert all(str(outcome.batch_id).startswith(f"{pushed.ledger.token}.") for outcome in pushed.outcomes)


def test_a_body_is_cut_to_the_vendors_bytes() -> None:
    world = World()
    limits = Limits(batch_size=100, max_in_flight=1, body_bytes=len(b'{"contacts":[{"name":"n0"},{"name":"n1"}]}'))
    rows = [*names(5), {"name": "x" * 80}, {"name": "z"}]
    assert world.push(rows, limits=limits).counts() == {"succeeded": 7}
    assert world.server.requests == [["n0", "n1"], ["n2", "n3"], ["n4"], ["x" * 80], ["z"]]


def test_no_more_requests_than_allowed_are_in_flight_and_none_leaves_too_early() -> None:
    world = World(first(then=Deed(delay=2.0)))
    limits = Limits(batch_size=1, max_in_flight=7, requests_per_second=2.0, burst=3)
    pushed = world.push(names(40), limits=limits)
    assert pushed.counts() == {"succeeded": 40}
    assert pushed.sender.most_in_flight <= 7
    for index, at in enumerate(world.server.sent_at):
        assert index + 1 <= 3 + (at - world.server.sent_at[0]) * 2.0 + 1e-3


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        ({"slow": {"claim": FRESH - 0.5}}, {None}),
        ({"slow": {"claim": FRESH + 0.5}}, {"mark_expired"}),
        # It waits for its token.
        ({"slow_start": FRESH + 1.0, "request_attempts": 2}, {"mark_expired"}),
    ],
)
def test_a_claim_that_has_grown_old_is_not_sent(options: dict[str, Any], codes: set[str | None]) -> None:
    world = World()
    pushed = world.push(names(2), **options)
    assert pushed.counts() == {"succeeded" if codes == {None} else "failed": 2}
    assert set(pushed.codes().values()) == codes
    assert len(world.server.requests) == (1 if codes == {None} else 0)


# How long a push sleeps.


def test_a_signal_is_heard_within_a_second_however_long_the_wait() -> None:
    for options in ({"request_timeout": 60.0}, {"max_wait": 60.0}):
        asked = World(first(answers(429, retry_after="50"))).push(names(3), **options).sender.asked
        assert max(asked) == pytest.approx(1.0)
        assert min(asked) >= 0.0
        assert len(asked) < 60


def test_a_pause_costs_no_busy_waiting() -> None:
    limits = Limits(batch_size=1, max_in_flight=9, requests_per_second=0.5, burst=1)
    world = World()
    begun = world.time.seconds
    asked = world.push(names(4), limits=limits).sender.asked
    # Two seconds between requests; each wait ends with a second, an answer, or the next departure.
    assert world.time.seconds - begun == pytest.approx(6.0, abs=0.1)
    assert len(asked) <= 20


# What the log and the errors say: numbers and words, never a record.


HALTED = "Nothing more is sent: "
TOLD: dict[str, tuple[World, list[Any], dict[str, Any], list[str]]] = {
    "undisturbed": (World(), names(9), {}, []),
    "refused": (World(first(then=answers(403))), names(40), {}, [HALTED + refusal_text("Fake", "http_403")]),
    "vendor away": (World(first(then=LOST)), names(30), {"limits": ALONE},
        [f"{BREAKER} requests in a row without a usable answer; the rest is not sent. The last: no answer",
        HALTED + "vendor_unreachable"]),
    "outcomes not written": (World(), names(3), {"trouble": failing("settle:before")}, [HALTED + "the database is away",
        "3 outcomes could not be written; their rows stay as marked, and the next try holds them"]),
    "records not recorded": (World(), [{"name": "a", "age": -1}, {"name": "b", "age": -1}],
        {"trouble": failing("note:before")},
        [HALTED + "the database is away", "2 records that were not sent have no row: it could not be written"]),
}  # fmt: skip


@pytest.mark.parametrize("case", TOLD)
def test_why_nothing_more_is_sent_is_said_once(case: str, caplog: pytest.LogCaptureFixture) -> None:
    world, rows, options, said = TOLD[case]
    with caplog.at_level(logging.INFO):
        world.push(rows, **options)
    assert caplog.messages == said


def test_what_was_not_sent_is_recorded_under_a_number_of_its_own() -> None:
    pushed = World(first(answers(403))).push(names(30), limits=Limits(batch_size=4, max_in_flight=1))
    token = pushed.ledger.token
    unsent = [one for one in pushed.outcomes if one.attempts == 0]
    assert len(unsent) == 26
    assert {(one.batch_id, one.error_code, one.status) for one in unsent} == {
        (f"{token}.n", "not_attempted", Status.FAILED)
    }


# How much is read and kept.


@pytest.mark.parametrize(
    ("server", "count", "batch_size", "most"),
    [
        ({}, 20_000, 100, 5000),
        ({"refuses": lambda payload: int(payload["name"][1:]) % 3 == 0}, 3000, 50, 1500),
        ({"script": first(then=answers(403))}, 20_000, 4, 1000),
    ],
    ids=["delivered", "refused one by one", "drained"],
)
def test_queues_stay_short_however_long_the_source_is(server: Any, count: int, batch_size: int, most: int) -> None:
    world = World(**server)
    read = done = worst = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal read
        for read in range(1, count + 1):
            yield {"name": f"n{read}"}

    push = world.execution(rows(), limits=Limits(batch_size=batch_size, max_in_flight=10)).push
    with suppress(RefusedError):
        for _ in outcomes_of(push):
            done += 1
            worst = max(worst, len(push._steps.admission.keys.active), read - done)
            if done % 500 == 0:
                queued = sum(map(len, (push._steps.queue._loose, *push._steps.queue.ready, *push._steps.queue.waiting)))
                worst = max(worst, queued)
    assert done == count
    assert worst <= most
    assert push._steps.admission.keys.active == {}


def test_the_ledger_is_asked_once_for_many_records() -> None:
    world = World()
    pushed = world.push(names(2000), limits=Limits(batch_size=100, max_in_flight=10))
    assert pushed.calls["states"] <= 3
    assert pushed.calls["claim"] <= 20
    assert pushed.calls["settle"] <= 20


def test_what_waits_keeps_the_source_waiting() -> None:
    read: list[int] = []
    read_before: list[int] = []

    def script(_index: int, _sent: Any) -> Deed:
        read_before.append(len(read))
        return Deed()

    world = World(script)
    for index in range(400):
        world.table.put(f"n{index}", Status.UNKNOWN)
    assert world.push(noted(names(400), read), on_unknown="resend").counts() == {"succeeded": 400}
    # Each doubt waits alone until its earlier request must have ended: one chunk of them is enough to keep.
    assert read_before[0] == 100
