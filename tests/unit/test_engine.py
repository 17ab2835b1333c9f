from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from airflow_provider_contacts.engine.departures import FRESH
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
from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.records.record_state import RESPECT, SETTLING
from airflow_provider_contacts.vendor_kit.push_settings import Assumptions
from airflow_provider_contacts.vendor_kit.vendor import Limits
from tests.support.fake_vendor import (
    APPLIED_AND_GARBAGE,
    APPLIED_AND_LOST,
    CONTRADICTORY,
    EPOCH,
    GARBAGE,
    HONEST,
    LIMITS,
    LOST,
    NOT_CONNECTED,
    SHORT,
    SHUFFLED,
    UNAUTHORIZED,
    VENDOR,
    Deed,
    FakeLedger,
    Killed,
    Pushed,
    World,
    answers,
    failing,
    first,
    last_words,
    names,
    outcomes_of,
)

ALONE = Limits(batch_size=1, max_in_flight=1)
ONE_BY_ONE = Limits(batch_size=4, max_in_flight=1)
NOTHING: dict[str, int] = {}


def by_name(pushed: Pushed) -> dict[str, Outcome]:
    return {outcome.record_identifier: outcome for outcome in pushed.outcomes}


# What becomes of records.


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 12, 13, 250])
def test_everything_is_created_once(count: int) -> None:
    world = World()
    pushed = world.push(names(count))
    assert pushed.error is None
    assert pushed.statuses() == dict.fromkeys(range(count), "succeeded")
    assert world.server.created() == {f"n{index}": 1 for index in range(count)}
    assert set(world.table.statuses().values()) <= {"succeeded"}
    assert len(world.table.rows) == count
    assert pushed.push.num_requests == len(world.server.requests) == math.ceil(count / 4)


def test_an_outcome_tells_what_was_learned() -> None:
    world = World()
    (outcome,) = world.push([{"name": "ada"}]).outcomes
    assert outcome == Outcome(
        record_identifier="ada",
        row_index=0,
        status=Status.SUCCEEDED,
        destination_record_id="id-ada",
        http_status=200,
        attempts=1,
        payload_hash=outcome.payload_hash,
        payload={"name": "ada"},
        batch_id="t1.1",
    )
    row = world.table.rows["ada"]
    assert (row.status, row.batch_id, row.destination_record_id) == (Status.SUCCEEDED, "t1.1", "id-ada")
    assert (row.payload_hash, row.sync_run_id, row.attempts) == (outcome.payload_hash, "run-1", 1)


def test_a_marked_row_is_durable_before_its_request_leaves() -> None:
    seen: list[dict[str, str]] = []

    def script(_index: int, _sent: Any) -> Deed:
        seen.append(world.table.statuses())
        return HONEST

    world = World(script)
    world.push(names(6), limits=ONE_BY_ONE)
    assert seen[0] == {f"n{index}": "sending" for index in range(4)}
    # The write that marks the second request tells of the first one's answer.
    assert seen[1] == {f"n{index}": "succeeded" for index in range(4)} | {"n4": "sending", "n5": "sending"}


def test_an_outcome_is_durable_before_it_is_yielded() -> None:
    world = World()
    for outcome in outcomes_of(world.execution(names(9)).push):
        assert world.table.rows[outcome.record_identifier].status is outcome.status


def test_a_record_that_the_vendor_refuses_is_rejected_and_its_neighbours_are_not() -> None:
    world = World(verdicts=lambda payload: "rejected" if payload["name"] == "n1" else "created")
    pushed = world.push(names(4))
    assert pushed.statuses() == {0: "succeeded", 1: "rejected", 2: "succeeded", 3: "succeeded"}
    assert by_name(pushed)["n1"].error_code == "rejected"
    assert by_name(pushed)["n1"].error_field == "name"
    assert world.table.rows["n1"].status is Status.REJECTED


def test_a_record_that_our_check_refuses_is_invalid_and_never_sent() -> None:
    world = World()
    pushed = world.push([{"name": "a"}, {"name": 7}, {"name": "b", "age": -1}, None, {"name": "c"}])
    assert pushed.statuses() == {0: "succeeded", 1: "invalid", 2: "invalid", 3: "invalid", 4: "succeeded"}
    assert pushed.codes() == {0: None, 1: "wrong_type", 2: "out_of_range", 3: "not_a_mapping", 4: None}
    assert set(world.server.created()) == {"a", "c"}
    assert world.table.rows["b"].status is Status.INVALID


def test_a_record_without_its_key_is_invalid_and_has_a_row() -> None:
    world = World()
    pushed = world.push([{"name": "a", "note": None}, {"name": "b", "note": "x"}], sync_key=("note",))
    assert pushed.codes() == {0: "missing_key", 1: None}
    assert pushed.outcomes[0].record_identifier.startswith("sha256:")
    assert pushed.outcomes[0].record_identifier in world.table.rows


@pytest.mark.parametrize("ledger", ["table", "memory"])
@pytest.mark.parametrize("gap", [1, 50, 500])
def test_the_first_record_of_a_key_counts(ledger: str, gap: int) -> None:
    world = World()
    rows = [
        {"name": "twin", "age": 1},
        *names(gap),
        {"name": "twin", "age": 2},
        *names(gap),
        {"name": "twin", "age": 1},
    ]
    memory = MemoryLedger("t1") if ledger == "memory" else None
    pushed = world.push(rows, ledger=memory)
    assert pushed.counts() == {"succeeded": gap + 1, "duplicate": gap + 1, "invalid": 1}
    assert [payload["age"] for payload in world.server.applied if payload["name"] == "twin"] == [1]


@pytest.mark.parametrize("gap", [0, 500])
def test_a_later_copy_of_an_invalid_record_is_a_duplicate(gap: int) -> None:
    world = World()
    rows = [{"name": "bad", "age": -1}, *names(gap), {"name": "bad", "age": -1}, {"name": "bad", "age": 2}]
    assert world.push(rows).counts() == {"invalid": 2, "duplicate": 1} | ({"succeeded": gap} if gap else {})


def test_a_later_copy_of_a_failed_record_is_a_duplicate_too() -> None:
    world = World(first(then=answers(429)))
    pushed = world.push([{"name": "a"}, *[{"name": "b"}] * 500, {"name": "a"}], request_attempts=1)
    assert pushed.counts() == {"failed": 2, "duplicate": 500}


def test_what_was_delivered_before_is_skipped_with_its_id() -> None:
    world = World()
    world.push(names(3), run="run-0")
    pushed = world.push([{"name": "n0"}, {"name": "n1", "age": 3}, {"name": "n9"}, {"name": "n2", "age": -1}])
    assert pushed.statuses() == {0: "skipped", 1: "skipped", 2: "succeeded", 3: "skipped"}
    assert {index: o.changed for index, o in enumerate(pushed.outcomes[:2])} == {0: False, 1: True}
    assert by_name(pushed)["n0"].destination_record_id == "id-n0"
    assert not by_name(pushed)["n0"].from_this_run
    assert world.server.created() == {"n0": 1, "n1": 1, "n2": 1, "n9": 1}


def test_a_second_copy_of_what_was_delivered_before_is_skipped_as_well() -> None:
    world = World()
    world.push(names(1), run="run-0")
    assert world.push([{"name": "n0"}] * 3).counts() == {"skipped": 3}


@pytest.mark.parametrize("status", [Status.REJECTED, Status.INVALID])
def test_a_refused_record_is_settled_in_the_same_run_until_it_changes(status: Status) -> None:
    world = World(verdicts=lambda payload: "rejected" if payload.get("age") == 1 else "created")
    row = {"name": "a", "age": 1 if status is Status.REJECTED else -1}
    assert world.push([row]).counts() == {status.value: 1}
    requests = len(world.server.requests)
    again = world.push([row])
    assert again.counts() == {status.value: 1}
    assert again.outcomes[0].error_code is not None
    assert again.outcomes[0].from_this_run
    assert len(world.server.requests) == requests
    assert world.push([{"name": "a", "age": 2}]).counts() == {"succeeded": 1}


def test_a_rejected_record_is_sent_again_in_the_next_run() -> None:
    world = World(verdicts=lambda _: "rejected")
    world.push(names(1), run="run-0")
    assert world.push(names(1)).counts() == {"rejected": 1}
    assert len(world.server.requests) == 2
    assert world.table.rows["n0"].attempts == 2


@pytest.mark.parametrize(
    "deed",
    [
        LOST,
        APPLIED_AND_LOST,
        GARBAGE,
        APPLIED_AND_GARBAGE,
        answers(500),
        answers(500, applies=True),
        answers(502, applies=True),
        answers(503),
        answers(504),
        answers(408, applies=True),
        CONTRADICTORY,
    ],
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
    assert len(world.server.requests) == 1


def test_a_short_answer_is_doubt_for_who_is_missing() -> None:
    pushed = World(first(SHORT)).push(names(4))
    assert pushed.statuses() == {0: "succeeded", 1: "succeeded", 2: "succeeded", 3: "unknown"}
    assert by_name(pushed)["n3"].error_code == "not_returned"


def test_a_shuffled_answer_gives_everyone_their_own_id() -> None:
    pushed = World(first(SHUFFLED)).push(names(4))
    assert {o.record_identifier: o.destination_record_id for o in pushed.outcomes} == {
        f"n{i}": f"id-n{i}" for i in range(4)
    }


def test_a_doubtful_record_in_a_good_answer_keeps_its_evidence() -> None:
    world = World(verdicts=lambda payload: "doubt" if payload["name"] == "n1" else "created")
    pushed = world.push(names(2))
    assert pushed.statuses() == {0: "succeeded", 1: "unknown"}
    assert world.table.rows["n1"].destination_record_id == "evidence"
    assert world.push(names(2)).outcomes[1].destination_record_id == "evidence"


def test_answers_may_come_back_in_any_order() -> None:
    delays = [5.0, 0.1, 3.0, 1.0]
    world = World(lambda index, _sent: Deed(delay=delays[index % 4]))
    pushed = world.push(names(40))
    assert pushed.counts() == {"succeeded": 40}
    assert pushed.sender.most_in_flight == LIMITS.max_in_flight
    assert list(pushed.statuses()) != [outcome.row_index for outcome in pushed.outcomes]


def test_no_more_requests_than_allowed_are_in_flight_and_none_leaves_too_early() -> None:
    world = World(first(then=Deed(delay=2.0)))
    limits = Limits(batch_size=1, max_in_flight=7, requests_per_second=2.0, burst=3)
    pushed = world.push(names(40), limits=limits)
    assert pushed.counts() == {"succeeded": 40}
    assert pushed.sender.most_in_flight <= 7
    for index, at in enumerate(world.server.sent_at):
        assert index + 1 <= 3 + (at - world.server.sent_at[0]) * 2.0 + 1e-3


def test_a_body_is_cut_to_the_vendors_bytes() -> None:
    world = World()
    limits = Limits(batch_size=100, max_in_flight=1, body_bytes=len(b'{"contacts":[{"name":"n0"},{"name":"n1"}]}'))
    rows = [*names(5), {"name": "x" * 80}, {"name": "z"}]
    assert world.push(rows, limits=limits).counts() == {"succeeded": 7}
    assert world.server.requests == [["n0", "n1"], ["n2", "n3"], ["n4"], ["x" * 80], ["z"]]


# Doubts of earlier executions.


def test_a_mark_that_was_left_behind_is_unknown() -> None:
    world = World()
    world.table.put("n0", Status.SENDING, sync_run_id="run-1", payload_hash="v1:old")
    pushed = world.push(names(2))
    assert pushed.statuses() == {0: "unknown", 1: "succeeded"}
    assert pushed.codes()[0] == "interrupted"
    assert world.table.rows["n0"].status is Status.UNKNOWN
    assert by_name(pushed)["n0"].payload_hash == "v1:old"
    assert by_name(pushed)["n0"].payload is None
    assert "n0" not in world.server.created()


def test_a_mark_of_another_run_is_left_alone_for_an_hour() -> None:
    world = World()
    world.table.put("n0", Status.SENDING, age=RESPECT - 1)
    world.table.put("n1", Status.SENDING, age=RESPECT)
    before = world.table.rows["n0"]
    pushed = world.push(names(3))
    assert pushed.statuses() == {0: "failed", 1: "unknown", 2: "succeeded"}
    assert pushed.codes() == {0: "claimed_elsewhere", 1: "interrupted", 2: None}
    assert world.table.rows["n0"] == before
    assert not by_name(pushed)["n1"].from_this_run


def test_a_doubt_is_resent_where_asked_for() -> None:
    world = World(first(LOST))
    world.push(names(2))
    world.later()
    pushed = world.push(names(2), on_unknown="resend")
    assert pushed.counts() == {"succeeded": 2}
    assert world.server.created() == {"n0": 1, "n1": 1}


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


def test_a_resent_doubt_may_be_refused_for_now_and_then_created() -> None:
    world = World(first(answers(429), UNAUTHORIZED))
    world.table.put("n0", Status.SENDING, sync_run_id="run-1", age=100.0)
    assert world.push(names(1), on_unknown="resend", renewable=True).counts() == {"succeeded": 1}


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
    assert (found["n8"].payload, found["n8"].payload_hash) == (None, "v1:old")
    assert world.table.rows["n8"].status is Status.UNKNOWN
    assert world.table.rows["n8"].batch_id == "t0.5"


# Refusals of a whole request.


def test_a_refusal_for_now_is_sent_again_after_the_time_it_names() -> None:
    world = World(first(answers(429, retry_after="20")))
    pushed = world.push(names(2))
    assert pushed.counts() == {"succeeded": 2}
    assert world.server.sent_at[1] - world.server.sent_at[0] >= 20.0
    assert [outcome.attempts for outcome in pushed.outcomes] == [2, 2]


def test_a_wish_to_be_left_alone_holds_for_every_request() -> None:
    world = World(first(answers(429, retry_after="20")))
    world.push(names(100))
    early = [at for at in world.server.sent_at if at < world.server.sent_at[0] + 20.0]
    assert len(early) <= LIMITS.max_in_flight


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


@pytest.mark.parametrize("attempts", [1, 2, 7])
def test_attempts_are_counted_as_set(attempts: int) -> None:
    world = World(first(then=NOT_CONNECTED))
    assert world.push(names(3), request_attempts=attempts).counts() == {"failed": 3}
    assert len(world.server.requests) == attempts


def test_never_connected_is_sent_again() -> None:
    world = World(first(NOT_CONNECTED, NOT_CONNECTED))
    assert world.push(names(3)).counts() == {"succeeded": 3}
    assert world.server.created() == {"n0": 1, "n1": 1, "n2": 1}


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


def halving_bound(batch: int, culprits: int) -> int:
    """Return how many requests it can take at most to find ``culprits`` in one batch by halves.

    A refused request costs two more, and of one depth no more are refused than there are culprits, nor than exist.
    """
    depth = math.ceil(math.log2(batch))
    return 1 + 2 * sum(min(1 << level, culprits) for level in range(depth))


@pytest.mark.parametrize("culprit", range(8))
def test_a_refusal_that_names_nobody_is_halved_to_the_culprit(culprit: int) -> None:
    world = World(refuses=lambda payload: payload["name"] == f"n{culprit}")
    pushed = world.push(names(8), limits=Limits(batch_size=8, max_in_flight=2))
    assert pushed.statuses() == {index: "rejected" if index == culprit else "succeeded" for index in range(8)}
    assert by_name(pushed)[f"n{culprit}"].error_code == "refused"
    assert len(world.server.requests) == halving_bound(8, 1) == 7
    assert max(world.server.created().values()) == 1
    assert len(world.server.applied) == 7


@pytest.mark.parametrize(
    ("batch", "culprits", "most"), [(20, 1, 11), (50, 1, 13), (100, 1, 15), (100, 2, 27), (100, 5, 55)]
)
def test_halving_costs_no_more_than_is_stated(batch: int, culprits: int, most: int) -> None:
    assert halving_bound(batch, culprits) == most
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


def test_named_culprits_are_rejected_and_the_others_sent_once_more() -> None:
    world = World(refuses=lambda payload: payload["name"] in {"n1", "n2"}, names=True)
    pushed = world.push(names(4))
    assert pushed.statuses() == {0: "succeeded", 1: "rejected", 2: "rejected", 3: "succeeded"}
    assert world.server.requests == [["n0", "n1", "n2", "n3"], ["n0", "n3"]]


@pytest.mark.parametrize("named", [True, False])
def test_where_a_refusal_is_not_atomic_whoever_is_not_named_is_in_doubt(named: bool) -> None:
    world = World(refuses=lambda payload: payload["name"] == "n1", names=named, atomic=False)
    pushed = world.push(names(4), assumptions=Assumptions(refusals_atomic=False))
    assert pushed.statuses() == {0: "unknown", 1: "rejected" if named else "unknown", 2: "unknown", 3: "unknown"}
    assert len(world.server.requests) == 1
    assert max(world.server.created().values()) == 1


def test_503_with_a_wish_is_sent_again_unless_that_is_not_assumed() -> None:
    deed = answers(503, retry_after="1", applies=True)
    held = World(first(deed)).push(names(2), assumptions=Assumptions(retry_after_is_refusal=False))
    assert held.counts() == {"unknown": 2}
    assert World(first(answers(503, retry_after="1"))).push(names(2)).counts() == {"succeeded": 2}


# When nothing more can be sent.


def test_a_refused_credential_is_renewed_once() -> None:
    world = World(first(UNAUTHORIZED))
    pushed = world.push(names(2), renewable=True, request_attempts=1)
    assert pushed.counts() == {"succeeded": 2}
    assert len(pushed.sender.renewed) == 1


def test_a_credential_that_is_refused_again_ends_the_push() -> None:
    world = World(first(then=UNAUTHORIZED))
    pushed = world.push(names(200), renewable=True)
    assert isinstance(pushed.error, RefusedError)
    assert pushed.counts() == {"failed": 200}
    assert len(world.server.requests) <= 2 * LIMITS.max_in_flight


def test_a_credential_that_cannot_be_renewed_is_not() -> None:
    world = World(first(then=UNAUTHORIZED))
    pushed = world.push(names(4))
    assert isinstance(pushed.error, RefusedError)
    assert (len(world.server.requests), pushed.sender.renewed) == (1, [])


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


def test_a_refusal_for_good_inside_a_2xx_ends_the_push() -> None:
    world = World(verdicts=lambda payload: "stop" if payload["name"] == "n1" else "created")
    pushed = world.push(names(20), limits=ONE_BY_ONE)
    assert isinstance(pushed.error, RefusedError)
    assert pushed.counts() == {"succeeded": 3, "failed": 17}


def test_what_is_in_flight_when_the_push_stops_is_still_heard() -> None:
    def script(index: int, _sent: Any) -> Deed:
        return answers(403) if index == 0 else Deed(delay=2.0)

    world = World(script)
    pushed = world.push(names(12))
    assert pushed.counts() == {"failed": 4, "succeeded": 8}


def test_after_a_refusal_the_next_try_sends_what_failed() -> None:
    world = World(first(HONEST, answers(403)))
    world.push(names(20), limits=ONE_BY_ONE)
    pushed = world.push(names(20))
    assert pushed.counts() == {"skipped": 4, "succeeded": 16}
    assert set(world.server.created().values()) == {1}


def test_a_long_wish_frees_the_worker() -> None:
    world = World(first(HONEST, then=answers(429, retry_after="600")))
    read: list[int] = []

    def rows() -> Iterator[dict[str, Any]]:
        for index, row in enumerate(names(1000)):
            read.append(index)
            yield row

    pushed = world.push(rows(), limits=ONE_BY_ONE)
    assert isinstance(pushed.error, RetryLaterError)
    asked_at = EPOCH + timedelta(seconds=world.server.sent_at[1])
    assert pushed.error.until - asked_at == pytest.approx(timedelta(seconds=600), abs=timedelta(seconds=1))
    assert len(read) < 1000
    assert len(pushed.outcomes) == len(read)
    assert pushed.counts() == {"succeeded": 4, "failed": len(read) - 4}
    assert set(pushed.codes().values()) == {None, "rate_limited"}
    world.later(600)
    world.server.script = first()
    assert world.push(names(1000)).counts() == {"skipped": 4, "succeeded": 996}


def test_a_long_wish_drains_the_source_where_nothing_is_remembered() -> None:
    world = World(first(HONEST, then=answers(429, retry_after="600")))
    pushed = world.push(names(1000), limits=ONE_BY_ONE, ledger=MemoryLedger("t1"))
    assert isinstance(pushed.error, RetryLaterError)
    assert pushed.counts() == {"succeeded": 4, "failed": 996}


def test_a_wish_just_within_bounds_is_waited_for() -> None:
    world = World(first(answers(429, retry_after="60")))
    assert world.push(names(1), max_wait=60.0).counts() == {"succeeded": 1}


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


def test_a_source_that_fails_takes_nothing_with_it() -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield from names(130)
        raise ConnectionResetError

    world = World()
    pushed = world.push(rows())
    assert isinstance(pushed.error, ConnectionResetError)
    assert len(pushed.outcomes) == 130
    assert set(pushed.statuses().values()) <= {"succeeded", "failed"}
    assert len(world.table.rows) == 130
    assert world.push(names(130)).error is None
    assert world.server.created() == {f"n{index}": 1 for index in range(130)}


def test_a_source_that_fails_at_once() -> None:
    def rows() -> Iterator[dict[str, Any]]:
        raise ConfigError("no such table")
        yield {}

    pushed = World().push(rows())
    assert isinstance(pushed.error, ConfigError)
    assert pushed.outcomes == []


# The ledger.


def test_what_cannot_be_looked_up_is_not_sent() -> None:
    world = World()
    pushed = world.push(names(150), trouble=failing("states:before", 2))
    assert isinstance(pushed.error, LedgerError)
    assert len(pushed.outcomes) == 150
    assert pushed.statuses()[149] == "failed"
    assert set(pushed.statuses().values()) <= {"succeeded", "failed"}


@pytest.mark.parametrize("point", ["claim:before", "claim:after"])
def test_what_cannot_be_marked_is_not_sent(point: str) -> None:
    world = World()
    pushed = world.push(names(30), trouble=failing(point, 2), limits=ONE_BY_ONE)
    assert isinstance(pushed.error, LedgerError)
    assert len(world.server.requests) == 1
    assert pushed.counts() == {"succeeded": 4, "failed": 26}
    assert set(world.table.statuses().values()) == {"succeeded", "failed"}
    assert world.push(names(30)).counts() == {"skipped": 4, "succeeded": 26}
    assert set(world.server.created().values()) == {1}


def test_a_mark_whose_commit_is_ambiguous_and_cannot_be_taken_back_is_held() -> None:
    world = World()
    trouble = failing("claim:after")
    away = failing("settle:before")

    def both(point: str, call: int) -> None:
        trouble(point, call)
        away(point, call)

    pushed = world.push(names(2), trouble=both)
    assert isinstance(pushed.error, LedgerError)
    assert world.server.requests == []
    assert set(world.table.statuses().values()) == {"sending"}
    assert world.push(names(2)).counts() == {"unknown": 2}


def test_outcomes_are_offered_to_a_ledger_that_restarts() -> None:
    world = World(first(then=Deed(delay=0.5)))
    pushed = world.push(names(12), trouble=failing("settle:before", *range(1, ATTEMPTS)))
    assert isinstance(pushed.error, LedgerError)
    assert pushed.counts() == {"succeeded": 12}
    assert set(world.table.statuses().values()) == {"succeeded"}


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


def test_outcomes_that_cannot_be_written_are_told_and_held_next_time() -> None:
    world = World()
    pushed = world.push(names(12), trouble=failing("settle:before"))
    assert isinstance(pushed.error, LedgerError)
    assert pushed.counts() == {"succeeded": 12}
    assert set(world.table.statuses().values()) == {"sending"}
    assert world.push(names(12)).counts() == {"unknown": 12}
    assert set(world.server.created().values()) == {1}


def test_an_ambiguous_commit_of_outcomes_is_repeated() -> None:
    world = World()
    pushed = world.push(names(4), trouble=failing("settle:after", 1))
    assert pushed.counts() == {"succeeded": 4}
    assert set(world.table.statuses().values()) == {"succeeded"}


def test_what_cannot_be_noted_is_told() -> None:
    world = World()
    pushed = world.push([{"name": "a", "age": -1}, *names(200)], trouble=failing("note:before"))
    assert isinstance(pushed.error, LedgerError)
    assert pushed.statuses()[0] == "invalid"
    assert len(pushed.outcomes) >= 100
    assert world.server.created() == {}


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


def test_a_ledger_that_takes_no_outcomes_from_an_old_execution_is_not_waited_for() -> None:
    world = World()
    pushed = world.push(names(4), trouble=failing("settle:before", error=SupersededError))
    assert isinstance(pushed.error, SupersededError)
    assert pushed.counts() == {"succeeded": 4}
    assert set(world.table.statuses().values()) == {"sending"}
    assert world.time.seconds < 1002.0


def test_an_answer_is_written_only_where_the_row_still_waits_for_it() -> None:
    def script(_index: int, _sent: Any) -> Deed:
        world.table.put("n0", Status.SUCCEEDED, batch_id="other.7", destination_record_id="theirs")
        return Deed(delay=1.0)

    world = World(script)
    world.push(names(2))
    assert world.table.rows["n0"].destination_record_id == "theirs"
    assert world.table.rows["n1"].status is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("status", "wanted", "code"),
    [
        (Status.SUCCEEDED, "skipped", None),
        (Status.SENDING, "failed", "claimed_elsewhere"),
        (Status.UNKNOWN, "unknown", None),
    ],
)
def test_a_claim_that_is_lost_is_decided_anew(status: Status, wanted: str, code: str | None) -> None:
    world = World()

    def rival(point: str, call: int) -> None:
        if (point, call) == ("claim:before", 1):
            world.table.put("n1", status)

    pushed = world.push(names(4), trouble=rival)
    assert pushed.error is None
    assert pushed.statuses() == {0: "succeeded", 1: wanted, 2: "succeeded", 3: "succeeded"}
    assert pushed.codes()[1] == code
    assert "n1" not in world.server.created()


def test_a_claim_that_is_lost_to_one_who_gave_up_is_made_again() -> None:
    world = World()

    def rival(point: str, call: int) -> None:
        if point == "claim:before" and call <= LOST_CLAIMS - 1:
            world.table.put("n1", Status.FAILED, batch_id=f"other.{call}")

    assert world.push(names(4), trouble=rival).counts() == {"succeeded": 4}


def test_a_record_that_others_keep_claiming_is_left_to_them() -> None:
    world = World()

    def rival(point: str, call: int) -> None:
        if point == "claim:before":
            world.table.put("n1", Status.FAILED, batch_id=f"other.{call}")

    pushed = world.push(names(4), trouble=rival)
    assert pushed.counts() == {"succeeded": 3, "failed": 1}
    assert pushed.codes()[1] == "claimed_elsewhere"
    assert world.table.rows["n1"].batch_id == f"other.{LOST_CLAIMS}"


def test_a_lost_claim_that_is_resent_waits_for_the_others_request_to_end() -> None:
    world = World()

    def rival(point: str, call: int) -> None:
        if (point, call) == ("claim:before", 1):
            world.table.put("n1", Status.UNKNOWN)

    pushed = world.push(names(2), trouble=rival, on_unknown="resend")
    assert pushed.counts() == {"succeeded": 2}
    sent_at = next(at for at, sent in zip(world.server.sent_at, world.server.requests, strict=True) if "n1" in sent)
    assert sent_at >= 1000.0 + 60.0 + SETTLING


def test_a_ledger_that_fails_after_a_lost_claim_costs_no_outcome() -> None:
    world = World()
    away = failing("states:before", 2)

    def rival(point: str, call: int) -> None:
        away(point, call)
        if (point, call) == ("claim:before", 1):
            world.table.put("n1", Status.UNKNOWN)

    pushed = world.push(names(4), trouble=rival)
    assert isinstance(pushed.error, LedgerError)
    assert pushed.counts() == {"succeeded": 3, "failed": 1}


def test_a_ledger_that_stays_away_is_waited_for_once() -> None:
    # Two requests come back long after the first one, when the ledger has been given up.
    world = World(first(HONEST, Deed(delay=50.0), Deed(delay=55.0)))
    before = world.time.seconds
    pushed = world.push(names(12), trouble=failing("settle:before"))
    assert isinstance(pushed.error, LedgerError)
    assert pushed.counts() == {"succeeded": 12}
    assert isinstance(pushed.ledger, FakeLedger)
    assert pushed.ledger.calls["settle"] == ATTEMPTS + 2
    assert world.time.seconds - before < 56.0
    assert set(world.table.statuses().values()) == {"sending"}


def test_a_claim_that_another_destination_forbids_costs_no_outcome() -> None:
    world = World()

    def bound(point: str, call: int) -> None:
        if (point, call) == ("claim:before", 1):
            raise ConfigError("this sync_id belongs to another list")

    pushed = world.push(names(4), trouble=bound)
    assert isinstance(pushed.error, ConfigError)
    assert pushed.counts() == {"failed": 4}
    assert world.server.applied == []


@pytest.mark.parametrize("seconds", [FRESH - 0.5, FRESH + 0.5])
def test_a_mark_that_has_grown_old_is_not_sent(seconds: float) -> None:
    world = World()
    pushed = world.push(names(2), slow={"claim": seconds})
    if seconds < FRESH:
        assert pushed.counts() == {"succeeded": 2}
    else:
        assert pushed.counts() == {"failed": 2}
        assert set(pushed.codes().values()) == {"mark_expired"}
        assert world.server.requests == []


def test_a_request_that_waits_too_long_for_its_token_is_not_sent() -> None:
    world = World()
    pushed = world.push(names(2), slow_start=FRESH + 1.0, request_attempts=2)
    assert pushed.counts() == {"failed": 2}
    assert world.server.requests == []


# When somebody says stop.


def stop_at(world: World, seconds: float) -> Any:
    return lambda: world.time.seconds >= seconds


def test_a_signal_gives_what_is_in_flight_three_seconds() -> None:
    world = World(lambda index, _sent: Deed(delay=1.0 + 3.0 * index))
    pushed = world.push(names(100), stopping=stop_at(world, 1000.5))
    assert isinstance(pushed.error, InterruptedPushError)
    assert world.time.seconds <= 1000.5 + 1.0 + LAST_WORD + 0.1
    counts = pushed.counts()
    assert counts["succeeded"] >= 4
    assert counts["succeeded"] + counts["unknown"] == 12
    assert counts["failed"] == len(pushed.outcomes) - 12
    assert len(world.server.requests) == 3
    unknown = {o.record_identifier for o in pushed.outcomes if o.status is Status.UNKNOWN}
    assert {world.table.rows[one].status for one in unknown} == {Status.UNKNOWN}
    assert {by_name(pushed)[one].error_code for one in unknown} == {"interrupted"}


def test_after_a_signal_the_next_try_holds_the_doubts_and_sends_the_rest() -> None:
    world = World(first(then=Deed(delay=100.0)))
    world.push(names(50), stopping=stop_at(world, 1000.5), request_timeout=600.0)
    world.server.script = first()
    world.later()
    pushed = world.push(names(50))
    assert pushed.counts() == {"unknown": 12, "succeeded": 38}
    assert set(world.server.created().values()) == {1}


def test_a_signal_before_anything_sends_nothing() -> None:
    world = World()
    pushed = world.push(names(50), stopping=lambda: True)
    assert isinstance(pushed.error, InterruptedPushError)
    assert (pushed.outcomes, world.server.requests) == ([], [])


def test_closing_early_writes_what_is_known() -> None:
    world = World(lambda index, _sent: Deed(delay=0.1 if index < 2 else 50.0))
    execution = world.execution(names(50))
    outcomes = outcomes_of(execution.push)
    next(outcomes)
    outcomes.close()
    statuses = world.table.statuses()
    assert [statuses[f"n{index}"] for index in range(8)] == ["succeeded"] * 8
    assert set(statuses.values()) <= {"succeeded", "unknown", "failed"}
    world.server.script = first()
    world.later()
    assert world.push(names(50)).error is None
    assert set(world.server.created().values()) == {1}


def test_closing_before_the_first_outcome_does_nothing() -> None:
    world = World()
    execution = world.execution(names(5))
    execution.push.run().close()
    assert world.table.rows == {}


class TimeUpError(BaseException):
    """Stands for a time-out that Airflow raises from a signal handler."""


@pytest.mark.parametrize("point", ["claim:before", "claim:after", "settle:before", "settle:after"])
@pytest.mark.parametrize("call", [1, 2])
def test_an_exception_from_inside_costs_no_outcome(point: str, call: int) -> None:
    world = World()

    def trouble(found: str, count: int) -> None:
        if (found, count) == (point, call):
            raise TimeUpError

    pushed = world.push(names(40), limits=ONE_BY_ONE, trouble=trouble)
    assert isinstance(pushed.error, TimeUpError)
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


@pytest.mark.parametrize("point", ["states:before", "claim:before", "claim:after", "settle:before", "settle:after"])
def test_an_exception_from_inside_writes_what_is_known(point: str) -> None:
    world = World(first(then=Deed(delay=0.5)))

    def trouble(found: str, call: int) -> None:
        if found == point and call == 2:
            raise TimeUpError

    pushed = world.push(names(200), trouble=trouble)
    assert isinstance(pushed.error, TimeUpError)
    created = world.server.created()
    for name, row in world.table.rows.items():
        assert row.status is not Status.SUCCEEDED or created[name] == 1
        assert created[name] == 0 or row.status in {Status.SUCCEEDED, Status.UNKNOWN, Status.SENDING}
    world.later()
    assert world.push(names(200)).error is None
    assert set(world.server.created().values()) == {1}


def test_a_worker_that_dies_leaves_marks_and_the_next_try_holds_them() -> None:
    world = World()

    def script(index: int, _sent: Any) -> Deed:
        if index == 2:
            raise Killed
        return Deed(delay=5.0, lag=4.0)

    world.server.script = script
    with pytest.raises(Killed):
        list(world.execution(names(40)).push._drive())
    assert set(world.table.statuses().values()) == {"sending"}
    world.server.script = first()
    world.later()
    pushed = world.push(names(40))
    assert pushed.counts() == {"unknown": 12, "succeeded": 28}
    assert set(world.server.created().values()) == {1}


# How much is held in memory.


def test_queues_stay_short_however_long_the_source_is() -> None:
    world = World()
    total = 100_000
    limits = Limits(batch_size=100, max_in_flight=10)
    worst = {"queued": 0, "active": 0, "read": 0}
    done = 0

    def rows() -> Iterator[dict[str, Any]]:
        for index in range(total):
            worst["read"] = max(worst["read"], index - done)
            yield {"name": f"n{index}"}

    execution = world.execution(rows(), limits=limits, ledger=MemoryLedger("t1"))
    push = execution.push
    for outcome in outcomes_of(push):
        assert outcome.status is Status.SUCCEEDED
        done += 1
        if done % 500 == 0:
            queued = sum(map(len, (push._steps.queue._loose, *push._steps.queue.ready, *push._steps.queue.waiting)))
            worst["queued"] = max(worst["queued"], queued)
            worst["active"] = max(worst["active"], len(push._steps.admission.keys.active))
    assert done == total
    assert worst["queued"] <= 3000
    assert worst["active"] <= 5000
    assert worst["read"] <= 5000
    assert push._steps.admission.keys.active == {}


def test_queues_stay_short_where_everything_is_refused() -> None:
    world = World(refuses=lambda payload: int(payload["name"][1:]) % 3 == 0)
    execution = world.execution(names(5000), limits=Limits(batch_size=50, max_in_flight=4))
    worst = 0
    for _ in outcomes_of(execution.push):
        worst = max(worst, len(execution.push._steps.admission.keys.active))
    assert worst <= 1500


def test_a_drained_source_is_not_kept_either() -> None:
    world = World(first(then=answers(403)))
    execution = world.execution(names(20_000))
    worst = 0
    outcomes = outcomes_of(execution.push)
    with suppress(RefusedError):
        for _ in outcomes:
            worst = max(worst, len(execution.push._steps.admission.keys.active))
    assert len(world.table.rows) == 20_000
    assert worst <= 1000


def test_the_ledger_is_asked_once_for_many_records() -> None:
    world = World()
    pushed = world.push(names(2000), limits=Limits(batch_size=100, max_in_flight=10))
    assert isinstance(pushed.ledger, FakeLedger)
    assert pushed.ledger.calls["states"] <= 3
    assert pushed.ledger.calls["claim"] <= 20
    assert pushed.ledger.calls["settle"] <= 20


def test_a_vendor_may_name_its_own_statuses_that_mean_later() -> None:
    world = World(first(answers(404)))
    vendor = replace(VENDOR, again_statuses=frozenset({404}))
    assert world.push(names(2), vendor=vendor).counts() == {"succeeded": 2}


def test_the_first_record_of_a_key_counts_in_every_try() -> None:
    world = World(verdicts=lambda payload: "rejected" if payload.get("age") == 1 else "created")
    rows = [{"name": "a", "age": 1}, {"name": "a", "age": 2}, {"name": "b", "age": -1}, {"name": "b", "age": 2}]
    for _ in range(3):
        pushed = world.push(rows)
        assert pushed.statuses() == {0: "rejected", 1: "invalid", 2: "invalid", 3: "invalid"}
        assert pushed.codes() == {0: "rejected", 1: "key_not_unique", 2: "out_of_range", 3: "key_not_unique"}
    assert world.server.created() == {}
