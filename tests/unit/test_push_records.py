"""What becomes of the records of a push, whatever the vendor answers."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from airflow_provider_contacts.errors import RefusedError
from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.records.record_state import RESPECT, SETTLING
from airflow_provider_contacts.vendor_kit.push_settings import Assumptions
from airflow_provider_contacts.vendor_kit.vendor import Limits
from tests.support.fake_vendor import (
    ALONE,
    APPLIED_AND_GARBAGE,
    APPLIED_AND_LOST,
    CONTRADICTORY,
    GARBAGE,
    HONEST,
    LIMITS,
    LOST,
    NOT_CONNECTED,
    ONE_BY_ONE,
    SHORT,
    SHUFFLED,
    UNAUTHORIZED,
    VENDOR,
    Deed,
    Pushed,
    World,
    answers,
    failing,
    first,
    names,
    outcomes_of,
)


def by_name(pushed: Pushed) -> dict[str, Outcome]:
    return {outcome.record_identifier: outcome for outcome in pushed.outcomes}


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 12, 13, 250])
def test_everything_is_created_once(count: int) -> None:
    world = World()
    pushed = world.push(names(count))
    assert pushed.error is None
    assert pushed.statuses() == dict.fromkeys(range(count), "succeeded")
    assert world.server.created() == {f"n{index}": 1 for index in range(count)}
    assert set(world.table.statuses().values()) <= {"succeeded"}
    assert len(world.table.rows) == count
    assert pushed.push.counts.num_requests == len(world.server.requests) == math.ceil(count / 4)


def test_a_claim_is_durable_before_its_request_leaves_and_an_outcome_before_it_is_told() -> None:
    seen: list[dict[str, str]] = []

    def script(_index: int, _sent: Any) -> Deed:
        seen.append(world.table.statuses())
        return HONEST

    world = World(script)
    for outcome in outcomes_of(world.execution(names(6), limits=ONE_BY_ONE).push):
        assert world.table.rows[outcome.record_identifier].status is outcome.status
    assert seen[0] == {f"n{index}": "sending" for index in range(4)}
    # The write that claims the second request tells of the first one's answer.
    assert seen[1] == {f"n{index}": "succeeded" for index in range(4)} | {"n4": "sending", "n5": "sending"}


ROWS: dict[str, tuple[list[Any], dict[str, Any], dict[int, str], dict[int, str | None]]] = {
    "refused by the vendor": (names(3), {"verdicts": {"n1": "rejected"}}, {1: "rejected"}, {1: "rejected"}),
    "refused by our own check": ([{"name": "a"}, {"name": 7}, {"name": "b", "age": -1}, None, {"name": "c"}], {},
        {1: "invalid", 2: "invalid", 3: "invalid"}, {1: "wrong_type", 2: "out_of_range", 3: "not_a_mapping"}),
    "shuffled": (names(4), {"script": first(SHUFFLED)}, {}, {}),
    "left out of an answer": (names(4), {"script": first(SHORT)}, {3: "unknown"}, {3: "not_returned"}),
    "in doubt in a good answer": (names(2), {"verdicts": {"n1": "doubt"}}, {1: "unknown"}, {1: "doubt"}),
    "refused for good in a good answer": (names(2), {"verdicts": {"n1": "stop"}}, {1: "failed"}, {1: "stop"}),
    "named by a refusal": (names(4), {"refuses": {"n1", "n2"}, "names": True}, {1: "rejected", 2: "rejected"},
        {1: "bad_name", 2: "bad_name"}),
}  # fmt: skip


@pytest.mark.parametrize("case", ROWS)
def test_a_record_has_its_own_fate_and_its_neighbours_are_created(case: str) -> None:
    rows, told, statuses, codes = ROWS[case]
    verdicts, refuses = told.get("verdicts", {}), told.get("refuses", ())
    world = World(
        told.get("script", first()),
        verdicts=lambda payload: verdicts.get(payload["name"], "created"),
        refuses=lambda payload: payload["name"] in refuses,
        names=told.get("names", False),
    )
    pushed = world.push(rows)
    assert pushed.statuses() == {index: statuses.get(index, "succeeded") for index in range(len(rows))}
    assert pushed.codes() == {index: codes.get(index) for index in range(len(rows))}
    others = {row["name"] for index, row in enumerate(rows) if index not in statuses}
    assert {name for name in world.server.created() if world.table.rows[name].status is Status.SUCCEEDED} == others
    for outcome in pushed.outcomes:
        row = world.table.rows[outcome.record_identifier]
        assert (row.status, row.destination_record_id) == (outcome.status, outcome.destination_record_id)
        if outcome.status is Status.SUCCEEDED:
            assert outcome.destination_record_id == f"id-{outcome.record_identifier}"


def test_what_was_delivered_before_is_skipped_with_its_id() -> None:
    world = World()
    world.push(names(3), run="run-0")
    pushed = world.push([{"name": "n0"}, {"name": "n1", "age": 3}, {"name": "n9"}, {"name": "n2", "age": -1}])
    assert pushed.statuses() == {0: "skipped", 1: "skipped", 2: "succeeded", 3: "skipped"}
    assert {index: o.changed for index, o in enumerate(pushed.outcomes[:2])} == {0: False, 1: True}
    assert by_name(pushed)["n0"].destination_record_id == "id-n0"
    assert not by_name(pushed)["n0"].from_this_run
    assert world.server.created() == {"n0": 1, "n1": 1, "n2": 1, "n9": 1}


@pytest.mark.parametrize("status", [Status.REJECTED, Status.INVALID])
def test_a_refused_record_is_settled_in_the_same_run_until_it_changes(status: Status) -> None:
    world = World(verdicts=lambda payload: "rejected" if payload.get("age") == 1 else "created")
    row = {"name": "a", "age": 1 if status is Status.REJECTED else -1}
    assert world.push([row]).counts() == {status.value: 1}
    requests = len(world.server.requests)
    again = world.push([row])
    assert again.counts() == {status.value: 1}
    assert again.outcomes[0].error_code is not None
    assert again.outcomes[0].errors == ()
    assert again.outcomes[0].from_this_run
    assert len(world.server.requests) == requests
    assert world.push([{"name": "a", "age": 2}]).counts() == {"succeeded": 1}


@pytest.mark.parametrize(
    "deed",
    [LOST, APPLIED_AND_LOST, GARBAGE, APPLIED_AND_GARBAGE, answers(503), answers(500, applies=True), CONTRADICTORY],
)
def test_doubt_is_unknown_and_is_not_sent_again(deed: Deed) -> None:
    world = World(first(deed))
    pushed = world.push(names(4))
    assert pushed.error is None
    assert pushed.counts() == {"unknown": 4}
    assert len(world.server.requests) == 1
    assert set(world.table.statuses().values()) == {"unknown"}
    for run in ("run-1", "run-2"):
        held = world.push(names(4), run=run)
        assert held.counts() == {"unknown": 4}
        assert [outcome.from_this_run for outcome in held.outcomes] == [run == "run-1"] * 4
        assert held.codes() == pushed.codes()
        assert held.calls["settle"] == 0
    assert len(world.server.requests) == 1


# Doubts of earlier executions.


def test_a_claim_that_was_left_behind_is_unknown() -> None:
    world = World()
    world.table.put("n0", Status.SENDING, sync_run_id="run-1", payload_hash="v1:old")
    pushed = world.push(names(2))
    assert pushed.statuses() == {0: "unknown", 1: "succeeded"}
    assert pushed.codes()[0] == "interrupted"
    assert world.table.rows["n0"].status is Status.UNKNOWN
    assert by_name(pushed)["n0"].payload_hash == "v1:old"
    assert by_name(pushed)["n0"].payload is None
    assert "n0" not in world.server.created()


def test_a_claim_of_another_run_is_left_alone_for_an_hour() -> None:
    world = World()
    world.table.put("n0", Status.SENDING, age=RESPECT - 1)
    world.table.put("n1", Status.SENDING, age=RESPECT)
    before = world.table.rows["n0"]
    pushed = world.push(names(3))
    assert pushed.statuses() == {0: "failed", 1: "unknown", 2: "succeeded"}
    assert pushed.codes() == {0: "claimed_elsewhere", 1: "interrupted", 2: None}
    assert world.table.rows["n0"] == before
    assert not by_name(pushed)["n1"].from_this_run


@pytest.mark.parametrize("status", [Status.SENDING, Status.UNKNOWN])
@pytest.mark.parametrize("age", [0.0, 20.0, 64.0, 70.0])
def test_a_doubt_is_resent_only_when_the_earlier_request_must_have_ended(status: Status, age: float) -> None:
    world = World()
    world.table.put("n0", status, sync_run_id="run-1", age=age)
    marked_at = world.time.seconds - age
    pushed = world.push(names(1), on_unknown="resend")
    assert pushed.counts() == {"succeeded": 1}
    assert world.server.sent_at[0] >= marked_at + 60.0 + SETTLING


def test_a_doubt_born_in_this_try_stays_one() -> None:
    world = World(first(then=LOST))
    pushed = world.push([*names(1), *[{"name": "x"}] * 300, *names(1)], on_unknown="resend")
    assert pushed.counts() == {"unknown": 2, "duplicate": 300}
    assert len(world.server.requests) == 1


@pytest.mark.parametrize("deed", [LOST, answers(403), answers(422), GARBAGE, NOT_CONNECTED, answers(429)])
def test_a_doubt_that_is_resent_and_not_created_is_unknown_again(deed: Deed) -> None:
    world = World(first(then=deed))
    world.table.put("n0", Status.UNKNOWN, age=100.0)
    pushed = world.push(names(1), on_unknown="resend", limits=ALONE)
    assert pushed.counts() == {"unknown": 1}
    assert world.table.rows["n0"].status is Status.UNKNOWN
    assert pushed.outcomes[0].from_this_run


def test_a_doubt_that_is_rejected_by_name_stays_unknown_beside_a_rejected_record() -> None:
    world = World(refuses=lambda payload: payload["name"] in {"n0", "n1"}, names=True)
    world.table.put("n0", Status.UNKNOWN, age=100.0)
    pushed = world.push(names(4), on_unknown="resend")
    assert pushed.statuses() == {0: "unknown", 1: "rejected", 2: "succeeded", 3: "succeeded"}
    assert pushed.codes()[0] == "bad_name"


def test_a_doubt_that_is_not_reached_stays_as_it_stands() -> None:
    world = World(first(then=answers(403)))
    world.table.put("n8", Status.SENDING, sync_run_id="run-1", age=3.0, payload_hash="v1:old", batch_id="t0.5")
    world.table.put("n9", Status.UNKNOWN, age=3.0, payload_hash="v1:old", error_code="timeout")
    pushed = world.push(names(10), on_unknown="resend")
    assert isinstance(pushed.error, RefusedError)
    assert pushed.counts() == {"failed": 8, "unknown": 2}
    found = by_name(pushed)
    assert (found["n8"].error_code, found["n9"].error_code) == ("interrupted", "timeout")
    assert (found["n8"].from_this_run, found["n9"].from_this_run) == (True, False)
    assert (found["n8"].payload, found["n8"].payload_hash, found["n8"].changed) == (None, "v1:old", False)
    assert world.table.rows["n8"].status is Status.UNKNOWN
    assert world.table.rows["n8"].batch_id == "t0.5"


def test_a_resent_doubt_may_be_refused_for_now_and_then_created() -> None:
    world = World(first(answers(429), UNAUTHORIZED))
    world.table.put("n0", Status.SENDING, sync_run_id="run-1", age=100.0)
    assert world.push(names(1), on_unknown="resend", renewable=True).counts() == {"succeeded": 1}


# Refusals of a whole request.

AGAIN: dict[str, tuple[list[Deed], dict[str, Any], dict[str, int], int]] = {
    "never connected": ([NOT_CONNECTED, NOT_CONNECTED], {}, {"succeeded": 2}, 3),
    "a status of the vendor's own": ([answers(404)], {"vendor": replace(VENDOR, again_statuses=frozenset({404}))},
        {"succeeded": 2}, 2),
    "503 with Retry-After": ([answers(503, retry_after="1")], {}, {"succeeded": 2}, 2),
    "503 with Retry-After, which proves nothing": ([answers(503, retry_after="1", applies=True)],
        {"assumptions": Assumptions(retry_after_is_refusal=False)}, {"unknown": 2}, 1),
    "a wait just within bounds": ([answers(429, retry_after="60")], {"max_wait": 60.0}, {"succeeded": 2}, 2),
    "a credential that is renewed": ([UNAUTHORIZED], {"renewable": True, "request_attempts": 1}, {"succeeded": 2}, 2),
    "one attempt": ([NOT_CONNECTED] * 9, {"request_attempts": 1}, {"failed": 2}, 1),
    "seven attempts": ([NOT_CONNECTED] * 9, {"request_attempts": 7}, {"failed": 2}, 7),
}  # fmt: skip


@pytest.mark.parametrize("case", AGAIN)
def test_what_certainly_created_nothing_is_sent_again(case: str) -> None:
    deeds, options, counts, requests = AGAIN[case]
    world = World(first(*deeds))
    pushed = world.push(names(2), **options)
    assert (pushed.error, pushed.counts()) == (None, counts)
    assert len(world.server.requests) == requests
    assert {outcome.attempts for outcome in pushed.outcomes} == {requests}
    assert max(world.server.created().values(), default=0) <= 1


def test_a_refusal_for_now_is_sent_again_after_the_time_it_names_and_nothing_else_before() -> None:
    world = World(first(answers(429, retry_after="20")))
    pushed = world.push(names(100))
    assert pushed.counts() == {"succeeded": 100}
    begun = world.server.sent_at[0]
    assert len([at for at in world.server.sent_at if at < begun + 20.0]) <= LIMITS.max_in_flight
    (again,) = [at for at, sent in zip(world.server.sent_at, world.server.requests, strict=True) if "n0" in sent][1:]
    assert again - begun >= 20.0
    assert by_name(pushed)["n0"].attempts == 2


def test_backoff_grows_between_attempts_and_ends_in_failed() -> None:
    world = World(first(then=answers(425)))
    pushed = world.push(names(3), limits=replace(LIMITS, requests_per_second=1000.0))
    assert pushed.error is None
    assert pushed.counts() == {"failed": 3}
    assert set(pushed.codes().values()) == {"http_425"}
    assert len(world.server.requests) == 5
    gaps = [b - a for a, b in zip(world.server.sent_at, world.server.sent_at[1:], strict=False)]
    assert gaps == sorted(gaps)
    assert gaps[0] >= 0.25
    assert set(world.table.statuses().values()) == {"failed"}
    assert [row.attempts for row in world.table.rows.values()] == [5] * 3


def test_a_row_is_certain_again_while_it_waits_to_be_sent_again() -> None:
    world = World(first(answers(429)))
    fuse_after = world.push(names(1), trouble=failing("claim:before", 2))
    assert fuse_after.counts() == {"failed": 1}
    assert world.table.rows["n0"].status is Status.FAILED


def test_records_that_are_refused_one_by_one_cost_the_others_no_attempt() -> None:
    seen: dict[str, int] = {}

    def verdicts(payload: dict[str, Any]) -> str:
        index = int(payload["name"][1:])
        seen[payload["name"]] = seen.get(payload["name"], 0) + 1
        return "created" if seen[payload["name"]] > index else "again"

    world = World(verdicts=verdicts)
    assert world.push(names(8), limits=Limits(batch_size=8, max_in_flight=1), request_attempts=2).counts() == {
        "succeeded": 8
    }


@pytest.mark.parametrize(
    ("batch", "culprits", "most"), [(20, 1, 11), (50, 1, 13), (100, 1, 15), (100, 2, 27), (100, 5, 55)]
)
def test_halving_costs_no_more_than_is_stated(batch: int, culprits: int, most: int) -> None:
    # A refused request costs two more, and of one depth no more are refused than there are culprits, nor than exist.
    for seed in range(10):
        bad = {f"n{index}" for index in Random(seed).sample(range(batch), culprits)}
        world = World(refuses=lambda payload, bad=bad: payload["name"] in bad)
        pushed = world.push(names(batch), limits=Limits(batch_size=batch, max_in_flight=4))
        assert pushed.counts() == {"succeeded": batch - culprits, "rejected": culprits}
        assert {one.record_identifier for one in pushed.outcomes if one.status is Status.REJECTED} == bad
        assert len(world.server.requests) <= most
        assert max(world.server.created().values()) == 1


@pytest.mark.parametrize("size", [2, 3, 5, 7, 100])
def test_all_culprits_cost_two_requests_a_record_less_one(size: int) -> None:
    world = World(refuses=lambda _: True)
    pushed = world.push(names(size), limits=Limits(batch_size=size, max_in_flight=3))
    assert pushed.counts() == {"rejected": size}
    assert len(world.server.requests) == 2 * size - 1


@pytest.mark.parametrize("named", [True, False])
def test_where_a_refusal_is_not_atomic_whoever_is_not_named_is_in_doubt(named: bool) -> None:
    world = World(refuses=lambda payload: payload["name"] == "n1", names=named, atomic=False)
    pushed = world.push(names(4), assumptions=Assumptions(refusals_atomic=False))
    assert pushed.statuses() == {0: "unknown", 1: "rejected" if named else "unknown", 2: "unknown", 3: "unknown"}
    assert len(world.server.requests) == 1
    assert max(world.server.created().values()) == 1
