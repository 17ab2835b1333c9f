"""What ends a push, and what becomes of its records then."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_contacts.engine.memory_ledger import MemoryLedger
from airflow_provider_contacts.engine.push import LAST_WORD
from airflow_provider_contacts.engine.recorder import ATTEMPTS
from airflow_provider_contacts.engine.responses import BREAKER
from airflow_provider_contacts.engine.steps import LOST_CLAIMS
from airflow_provider_contacts.errors import (
    ConfigError,
    InterruptedPushError,
    LedgerError,
    RefusedError,
    RetryLaterError,
    SupersededError,
)
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.record_state import SETTLING
from airflow_provider_contacts.vendor_kit.vendor import Limits
from tests.support.alarms import OutOfTime
from tests.support.fake_vendor import (
    ALONE,
    EPOCH,
    HONEST,
    LOST,
    NOT_CONNECTED,
    ONE_BY_ONE,
    READABLE,
    UNAUTHORIZED,
    Deed,
    FakeLedger,
    Script,
    Trouble,
    World,
    answers,
    failing,
    first,
    last_words,
    names,
    noted,
)

CHUNK = 100
"""Rows that a push with small limits reads at once."""

PACED = Limits(batch_size=4, max_in_flight=3, requests_per_second=0.1, burst=3)
"""When the first answers come, nothing else may leave: they are written alone, and not with the next claims."""


def in_words(values: Iterable[Any]) -> str:
    """Return values in runs of equal ones: ``12 sending, 88 failed``."""
    return ", ".join(f"{len(list(same))} {value}" for value, same in itertools.groupby(values))


# The vendor or its credential refuses.

FORBIDDEN, TWO = answers(403), Limits(batch_size=1, max_in_flight=2)
# What the vendor says, how many records are pushed, and how: their codes in the order of their rows, and the requests.
REFUSED: dict[str, tuple[Script, int, dict[str, Any], str, int]] = {
    "a credential, again": (first(then=UNAUTHORIZED), 200, {"renewable": True}, "12 http_401, 188 not_attempted", 6),
    "a credential, again, after a wait": (
        first(UNAUTHORIZED, answers(429), then=UNAUTHORIZED), 4, {"renewable": True}, "4 http_401", 3),
    "a credential that cannot be renewed": (first(then=UNAUTHORIZED), 4, {}, "4 http_401", 1),
    "a credential, once something else is refused": (
        first(FORBIDDEN, Deed(status=401, delay=1.0, body=b"{}")), 4, {"limits": TWO, "renewable": True},
        "1 http_403, 1 http_401, 2 not_attempted", 2),
    "a request beside others, which are heard": (
        first(FORBIDDEN, then=Deed(delay=2.0)), 12, {}, "4 http_403, 8 None", 3),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_for_good_ends_the_push(case: str) -> None:
    script, count, options, codes, requests = REFUSED[case]
    world = World(script)
    pushed = world.push(names(count), **options)
    assert isinstance(pushed.error, RefusedError)
    assert in_words(pushed.codes().values()) == codes
    assert len(world.server.requests) == requests
    assert pushed.statuses() == {row: "failed" if code else "succeeded" for row, code in pushed.codes().items()}
    assert options or pushed.sender.renewed == []


def test_the_credential_of_the_refused_request_is_renewed() -> None:
    world = World(first(Deed(delay=3.0), answers(401)))
    pushed = world.push(names(3), limits=TWO, renewable=True)
    assert pushed.counts() == {"succeeded": 3}
    assert pushed.sender.renewed == [pushed.sender.told[1][0]]


@pytest.mark.parametrize("status", [301, 307, 403, 404, 405, 410])
def test_a_refusal_of_the_address_ends_the_push_and_drains_the_source(status: int) -> None:
    world = World(first(HONEST, then=answers(status)))
    execution = world.push([*names(1000), {"name": "bad", "age": -1}, {"name": "n0"}], limits=ONE_BY_ONE)
    assert isinstance(execution.error, RefusedError)
    assert f"http_{status}" in str(execution.error)
    assert execution.counts() == {"succeeded": 4, "failed": 996, "invalid": 1, "duplicate": 1}
    codes = set(execution.codes().values())
    assert codes == {None, f"http_{status}", "not_attempted", "out_of_range"}
    assert len(world.server.requests) == 2
    assert [s for s in world.table.statuses().values() if s not in {"succeeded", "failed", "invalid"}] == []
    assert len(world.table.rows) == 1001


def test_a_long_retry_after_frees_the_worker() -> None:
    world = World(first(HONEST, then=answers(429, retry_after="600")))
    read: list[int] = []

    pushed = world.push(noted(names(1000), read), limits=ONE_BY_ONE)
    assert isinstance(pushed.error, RetryLaterError)
    assert str(pushed.error) == "Fake asked to wait 600 s (Retry-After), longer than max_wait=60"
    asked_at = EPOCH + timedelta(seconds=world.server.sent_at[1])
    assert pushed.error.until - asked_at == pytest.approx(timedelta(seconds=600), abs=timedelta(seconds=1))
    assert len(read) < 1000
    assert len(pushed.outcomes) == len(read)
    assert pushed.counts() == {"succeeded": 4, "failed": len(read) - 4}
    assert set(pushed.codes().values()) == {None, "rate_limited"}
    world.later(600)
    world.server.script = first()
    assert world.push(names(1000)).counts() == {"skipped": 4, "succeeded": 996}
    # Where nothing is remembered, the rest is read, and has outcomes.
    forgetful = World(first(HONEST, then=answers(429, retry_after="600")))
    drained = forgetful.push(names(1000), limits=ONE_BY_ONE, ledger=MemoryLedger("t1"))
    assert isinstance(drained.error, RetryLaterError)
    assert drained.counts() == {"succeeded": 4, "failed": 996}


@pytest.mark.parametrize(("deed", "status"), [(LOST, "unknown"), (NOT_CONNECTED, "failed"), (answers(500), "unknown")])
def test_a_vendor_that_is_away_is_left_alone(deed: Deed, status: str) -> None:
    world = World(first(then=deed))
    pushed = world.push(names(1000), limits=ALONE, request_attempts=1)
    assert pushed.error is None
    assert len(world.server.requests) == BREAKER
    assert pushed.counts().get(status, 0) >= BREAKER
    assert len(pushed.outcomes) == 1000
    left = [outcome for outcome in pushed.outcomes if outcome.error_code == "vendor_unreachable"]
    assert len(left) == 1000 - BREAKER
    assert {outcome.status for outcome in left} == {Status.FAILED}


def test_a_vendor_that_answers_in_between_is_not_away() -> None:
    world = World(lambda index, _sent: HONEST if index % BREAKER == BREAKER - 1 else LOST)
    pushed = world.push(names(100), limits=ALONE)
    assert pushed.counts() == {"unknown": 95, "succeeded": 5}


# The source fails.


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (OSError("the source is away"), None, "succeeded"),
        # Nothing of what was read with it is sent.
        (ConfigError("rows without names"), "not_attempted", "failed"),
    ],
)
def test_what_was_read_before_the_source_failed_has_an_outcome(error: Exception, code: str | None, status: str) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield from names(6)
        raise error

    world = World()
    pushed = world.push(rows())
    assert pushed.error is error
    assert pushed.codes() == dict.fromkeys(range(6), code)
    assert world.table.statuses() == {f"n{index}": status for index in range(6)}
    assert len(world.server.requests) == (2 if status == "succeeded" else 0)


# The ledger fails.


def test_a_claim_whose_commit_is_ambiguous_and_cannot_be_taken_back_is_held() -> None:
    world = World()
    pushed = world.push(names(2), trouble=all_of(failing("claim:after"), failing("settle:before")))
    assert isinstance(pushed.error, LedgerError)
    assert world.server.requests == []
    assert set(world.table.statuses().values()) == {"sending"}
    assert world.push(names(2)).counts() == {"unknown": 2}


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


def test_a_stop_ends_the_patience_with_a_ledger() -> None:
    world = World()
    begun = world.time.seconds
    pushed = world.push(names(3), trouble=failing("settle:before"), stopping=lambda: world.time.seconds >= begun + 1.0)
    assert pushed.error is not None
    # Half a minute of attempts is cut short by the signal.
    assert pushed.calls["settle"] < ATTEMPTS
    assert world.time.seconds < begun + 3.0


def test_patience_with_a_ledger_is_counted_in_time_not_in_answers() -> None:
    world = World(lambda index, _sent: Deed(delay=0.1 * (index + 1)))
    away_until = world.time.seconds + 10.0

    def trouble(point: str, _call: int) -> None:
        if point == "settle:before" and world.time.seconds < away_until:
            raise LedgerError("restarting")

    all_at_once = Limits(batch_size=1, max_in_flight=12, requests_per_second=1000.0, burst=12)
    pushed = world.push(names(12), limits=all_at_once, trouble=trouble)
    assert isinstance(pushed.error, LedgerError)
    assert pushed.counts() == {"succeeded": 12}
    assert set(world.table.statuses().values()) == {"succeeded"}


def test_a_ledger_that_stays_away_is_waited_for_once_and_the_next_try_holds_the_outcomes() -> None:
    # Two requests come back long after the first one, when the ledger has been given up.
    world = World(first(HONEST, Deed(delay=50.0), Deed(delay=55.0)))
    before = world.time.seconds
    pushed = world.push(names(12), trouble=AWAY)
    assert isinstance(pushed.error, LedgerError)
    assert pushed.counts() == {"succeeded": 12}
    assert pushed.calls["settle"] == ATTEMPTS + 2
    assert world.time.seconds - before < 56.0
    assert set(world.table.statuses().values()) == {"sending"}
    assert world.push(names(12)).counts() == {"unknown": 12}
    assert set(world.server.created().values()) == {1}


def all_of(*troubles: Trouble) -> Trouble:
    def trouble(point: str, call: int) -> None:
        for one in troubles:
            one(point, call)

    return trouble


def rival(world: World, status: Status, calls: range = range(1, 2)) -> Trouble:
    """Write another execution's row of one record before the claims of these numbers."""

    def trouble(point: str, call: int) -> None:
        if point == "claim:before" and call in calls:
            world.table.put("n1", status, batch_id=f"other.{call}")

    return trouble


def left_sending() -> World:
    """Return a world in which a dead worker has left a claim, and its contact exists."""
    world = World()
    world.table.put("n0", Status.SENDING, sync_run_id="run-1", payload={"name": "n0"})
    world.server.put({"name": "n0"})
    return world


def left_changed() -> World:
    """Return a world in which a record is in doubt whose payload was another one."""
    world = World()
    world.table.put("n0", Status.UNKNOWN, sync_run_id="run-1", payload_hash="v1:old", payload={"name": "old"})
    return world


AWAY, TAKEN_OVER = failing("settle:before"), failing("settle:before", error=SupersededError)
RECONCILED: dict[str, Any] = {"vendor": READABLE, "on_unknown": "reconcile"}
# What fails, and of the rows that were read: their codes, and what the table says of them.
FAILING: dict[str, tuple[Trouble, dict[str, Any], str, str]] = {
    # A request that waits when the next chunk cannot be looked up ends as the chunk does, of which nothing is written.
    "a look-up": (failing("states:before", 2), {}, "96 None, 104 not_attempted", "96 succeeded, 4 failed, 100 None"),
    "a claim": (failing("claim:before"), {}, "100 not_attempted", "12 None, 88 failed"),
    "a claim, after its commit": (failing("claim:after"), {}, "100 not_attempted", "100 failed"),
    "a claim that another destination forbids": (
        failing("claim:before", 1, error=ConfigError), {}, "100 not_attempted", "12 None, 88 failed"),
    "a claim of one who is superseded": (
        failing("claim:before", error=SupersededError), {}, "12 not_attempted, 88 superseded", "100 None"),
    "a claim that is superseded after its commit": (
        failing("claim:after", error=SupersededError), {}, "12 not_attempted, 88 superseded", "12 sending, 88 None"),
    # The ledger is asked once more for those that were not sent: it may be back.
    "answers, alone": (AWAY, {"limits": PACED}, "12 None, 88 not_attempted", "12 sending, 88 failed"),
    "answers, with claims": (AWAY, {}, "12 None, 88 not_attempted", "12 sending, 12 None, 76 failed"),
    # Whoever took over writes these rows.
    "superseded at answers, alone": (TAKEN_OVER, {"limits": PACED}, "12 None, 88 superseded", "12 sending, 88 None"),
    "superseded at answers, with claims": (
        TAKEN_OVER, {}, "12 None, 12 not_attempted, 76 superseded", "12 sending, 88 None"),
    "the payload of a doubt": (failing("sent:before"), RECONCILED, "1 None, 99 not_attempted", "1 unknown, 99 failed"),
    # The claim is none any more, and what was not sent has its row: the ledger can be written.
    "who holds a contact": (
        failing("holders:before"), RECONCILED, "1 interrupted, 99 not_attempted", "1 unknown, 99 failed"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILING)
def test_a_ledger_that_fails_ends_the_push_without_reading_on(case: str) -> None:
    trouble, options, codes, rows = FAILING[case]
    world = {"the payload of a doubt": left_changed, "who holds a contact": left_sending}.get(case, World)()
    pushed = world.push(names(1000), trouble=trouble, **options)
    found = [world.table.statuses().get(f"n{index}") for index in pushed.codes()]
    assert (in_words(pushed.codes().values()), in_words(found)) == (codes, rows)
    expected = ConfigError if "forbids" in case else SupersededError if "superseded" in case else LedgerError
    assert type(pushed.error) is expected
    assert bool(world.server.requests) is codes.startswith(("12 None", "96 None"))
    assert all(one.from_this_run for one in pushed.outcomes if one.status is Status.UNKNOWN)
    # Nobody waits for a ledger that another one writes.
    assert expected is not SupersededError or pushed.calls["settle"] <= 2


def test_records_that_cannot_be_recorded_end_the_push_and_are_not_offered_again() -> None:
    world = World()
    pushed = world.push([{"name": "bad", "age": -1}, *names(999)], trouble=failing("note:before"))
    assert type(pushed.error) is LedgerError
    assert pushed.codes() == {0: "out_of_range"} | dict.fromkeys(range(1, CHUNK), "not_attempted")
    assert pushed.calls["note"] == 1
    assert world.table.rows == {}


def test_a_doubt_that_this_run_sent_again_is_of_this_run() -> None:
    # It waits for its second time when the other record ends the push.
    world = World(first(answers(429), Deed(status=403, applies=False, body=b"{}", delay=0.1)))
    world.table.put("n0", Status.UNKNOWN, age=4000.0)
    pushed = world.push(names(2), limits=TWO, on_unknown="resend")
    assert isinstance(pushed.error, RefusedError)
    assert pushed.statuses() == {0: "unknown", 1: "failed"}
    (doubt,) = [one for one in pushed.outcomes if one.row_index == 0]
    assert doubt.from_this_run
    assert doubt.attempts == 2


def test_an_execution_that_is_not_the_newest_marks_and_sends_nothing_more() -> None:
    def script(index: int, _sent: Any) -> Deed:
        if index == 1:
            FakeLedger(world.table, "run-1")
        return Deed(delay=1.0)

    world = World(script)
    pushed = world.push(names(100), limits=ONE_BY_ONE)
    assert isinstance(pushed.error, SupersededError)
    assert len(world.server.requests) == 2
    assert pushed.counts() == {"succeeded": 8, "failed": len(pushed.outcomes) - 8}
    assert set(world.table.statuses().values()) == {"succeeded"}
    assert world.time.seconds < 1010.0


# A claim is lost to another execution.


@pytest.mark.parametrize(
    ("status", "calls", "wanted", "code"),
    [
        (Status.SUCCEEDED, range(1, 2), "skipped", None),
        (Status.SENDING, range(1, 2), "failed", "claimed_elsewhere"),
        (Status.UNKNOWN, range(1, 2), "unknown", None),
        # Whoever gave up leaves it to this push, unless others keep claiming it.
        (Status.FAILED, range(1, LOST_CLAIMS), "succeeded", None),
        (Status.FAILED, range(1, 99), "failed", "claimed_elsewhere"),
    ],
)
def test_a_claim_that_is_lost_is_decided_anew(status: Status, calls: range, wanted: str, code: str | None) -> None:
    world = World()
    pushed = world.push(names(4), trouble=rival(world, status, calls))
    assert pushed.error is None
    assert pushed.statuses() == {0: "succeeded", 1: wanted, 2: "succeeded", 3: "succeeded"}
    assert pushed.codes()[1] == code
    assert world.server.created()["n1"] == (wanted == "succeeded")
    assert pushed.calls["claim"] <= LOST_CLAIMS


def test_a_lost_claim_that_is_resent_waits_for_the_others_request_to_end() -> None:
    world = World()
    pushed = world.push(names(2), trouble=rival(world, Status.UNKNOWN), on_unknown="resend")
    assert pushed.counts() == {"succeeded": 2}
    sent_at = next(at for at, sent in zip(world.server.sent_at, world.server.requests, strict=True) if "n1" in sent)
    assert sent_at >= 1000.0 + 60.0 + SETTLING


def test_a_lost_claim_that_cannot_be_decided_ends_the_push_without_reading_on() -> None:
    world = World()
    pushed = world.push(names(1000), trouble=all_of(failing("states:before", 2), rival(world, Status.UNKNOWN)))
    assert isinstance(pushed.error, LedgerError)
    assert in_words(pushed.codes().values()) == "1 None, 1 claimed_elsewhere, 10 None, 88 not_attempted"
    # What was not sent has its row: the ledger can be written.
    assert len(world.table.rows) == 100


# Somebody says stop, or the worker dies.


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


def test_a_signal_before_anything_sends_nothing() -> None:
    world = World()
    pushed = world.push(names(50), stopping=lambda: True)
    assert isinstance(pushed.error, InterruptedPushError)
    assert str(pushed.error) == "the push was told to stop; what had not been answered is unknown"
    assert (pushed.outcomes, world.server.requests) == ([], [])


@pytest.mark.parametrize("point", ["claim:before", "claim:after", "settle:before", "settle:after"])
@pytest.mark.parametrize("call", [1, 2])
def test_an_exception_from_inside_costs_no_outcome(point: str, call: int) -> None:
    world = World()

    def trouble(found: str, count: int) -> None:
        if (found, count) == (point, call):
            raise OutOfTime

    pushed = world.push(names(40), limits=ONE_BY_ONE, trouble=trouble)
    assert isinstance(pushed.error, OutOfTime)
    pushed.outcomes += last_words(pushed.push)
    assert sorted(pushed.statuses()) == list(range(40))
    assert pushed.counts()["failed"] >= 40 - 8
    created = world.server.created()
    for outcome in pushed.outcomes:
        assert outcome.status is not Status.FAILED or not created[outcome.record_identifier]
        assert outcome.status is not Status.SUCCEEDED or created[outcome.record_identifier]
    # What the table says of a record that never left is no doubt.
    assert {row.status for row in world.table.rows.values()} <= {Status.FAILED, Status.SUCCEEDED, Status.UNKNOWN}
    world.later()
    assert world.push(names(40)).error is None
    assert max(world.server.created().values()) == 1
