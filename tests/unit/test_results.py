"""What an answer makes of the records of a batch, whole: every field of an outcome, a state and a batch."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace as changed

from airflow_provider_contacts.engine.policy import Disposition
from airflow_provider_contacts.engine.results import Judged, judged, not_sent, result_of
from airflow_provider_contacts.outcome import Outcome, RecordError, Status
from airflow_provider_contacts.records.batch import Batch, History
from airflow_provider_contacts.records.record_state import RecordState
from airflow_provider_contacts.vendor_kit.vendor import Again, Created, Doubt, Rejected, Replies, Reply, Stop
from tests.support.batches import batch_of

RUN = "run-1"
STATE = RecordState(
    record_identifier="n0", status=Status.FAILED, batch_id="t0.4", sync_run_id="run-0", payload_hash="v1:old",
    destination_record_id="id-old", error_code="old", error_field="name", status_message="an old one", http_status=503,
    attempts=2, age=40.0, ended=30.0,
)  # fmt: skip
HISTORY = History(state=STATE, claims=1, rounds=1)


def batch(count: int = 1, batch_id: str = "t1.5", **history: Any) -> Batch:
    names = [f"n{number}" for number in range(count)]
    histories = {place: changed(HISTORY, **history) for place in range(count)}
    return batch_of(*names, histories=histories, batch_id=batch_id, marked_at=1000.0)


def outcome(status: Status, number: int = 0, **values: Any) -> Outcome:
    name = f"n{number}"
    given = {"attempts": 3, "batch_id": "t1.5", "payload_hash": f"v1:{name}", "payload": {"name": name}, **values}
    return Outcome(record_identifier=name, row_index=number + 7, status=status, **given)


def said(*replies: Reply, **values: Any) -> Disposition:
    return Disposition(replies=Replies.of(replies), **values)


def outcome_of(reply: Reply, http_status: int | None = 422, **history: Any) -> Outcome:
    (found,) = result_of(batch(**history), said(reply), http_status).outcomes()
    return found


def land(records: Batch, disposition: Disposition, due: float | None = 5.0, **options: Any) -> Judged:
    result = result_of(records, disposition, 200)
    return judged(result, disposition, again_due=due, sync_run_id=RUN, **options)


TEXT = RecordError("a", "name", "a text")
WHY = {"error_code": "x", "status_message": "why", "errors": (RecordError("x", None, "why"),)}


@pytest.mark.parametrize(
    ("reply", "status", "fields"),
    [
        (Created("id-1"), Status.SUCCEEDED, {"destination_record_id": "id-1"}),
        (Created(), Status.SUCCEEDED, {}),
        (
            Rejected((TEXT, RecordError("b"))),
            Status.REJECTED,
            {"error_code": "a", "error_field": "name", "status_message": "a text", "errors": (TEXT, RecordError("b"))},
        ),
        (Rejected(()), Status.REJECTED, {}),
        (Again("x", "why"), Status.FAILED, WHY),
        (Stop("x", "why"), Status.FAILED, WHY),
        (Doubt("x", "why"), Status.UNKNOWN, WHY),
        (Doubt("x", "why", "id-2"), Status.UNKNOWN, {"destination_record_id": "id-2", **WHY}),
    ],
)
def test_a_reply_becomes_an_outcome(reply: Reply, status: Status, fields: dict[str, Any]) -> None:
    assert outcome_of(reply, 207) == outcome(status, http_status=207, **fields)
    in_doubt = status if status is Status.SUCCEEDED else Status.UNKNOWN
    assert outcome_of(reply, None, doubted=True) == outcome(in_doubt, **fields)


# What did not leave.


def test_a_record_that_did_not_leave_failed_as_it_stands() -> None:
    assert not_sent(batch(), "not_attempted", "t1.n", RUN) == [
        outcome(Status.FAILED, error_code="not_attempted", attempts=2, batch_id="t1.n")
    ]


# What is sent again.


def test_a_record_goes_again_against_the_row_that_was_just_written() -> None:
    judgement = land(batch(doubted=True, reconciled=True), said(Again("busy", "later")))
    (again,) = judgement.again
    written = judgement.result.exceptions[0]
    assert again.history(0) == History(
        doubted=True,
        reconciled=True,
        claims=1,
        rounds=1,
        state=RecordState(
            record_identifier="n0",
            status=Status.UNKNOWN,
            batch_id="t1.5",
            sync_run_id=RUN,
            payload_hash="v1:n0",
            error_code="busy",
            status_message="later",
            http_status=200,
            attempts=3,
            was_in_doubt=True,
        ),
    )
    assert written.attempts == again.attempts(0) == 3


@pytest.mark.parametrize(
    ("values", "tries", "renewed"), [({}, 3, False), ({"progress": True}, 2, False), ({"renew": True}, 2, True)]
)
def test_a_try_is_counted_only_where_nothing_came_of_it(values: Any, tries: int, renewed: bool) -> None:
    records = batch_of("n0", "n1", batch_id="t1.5", tries=2, due=1.0)
    (again,) = land(records, said(Again("x"), Again("x"), **values), 7.5).again
    assert (again.identifiers, again.tries, again.renewed, again.due) == (("n0", "n1"), tries, renewed, 7.5)


def test_what_goes_again_is_not_finished() -> None:
    replies: list[Reply] = [Created("id-0"), Again("busy"), Doubt("lost"), Again("busy")]
    judgement = land(batch(4), said(*replies))
    assert [(one.row_index, one.status) for one in judgement.finished] == [(7, Status.SUCCEEDED), (9, Status.UNKNOWN)]
    assert list(judgement.identifiers) == ["n0", "n2"]
    (again,) = judgement.again
    assert (list(again.identifiers), again.tries, again.due) == (["n1", "n3"], 1, 5.0)
    assert {one.status for one in judgement.result.outcomes()} == {Status.SUCCEEDED, Status.FAILED, Status.UNKNOWN}


# Doubts.


@pytest.mark.parametrize("reply", [Rejected((RecordError("bad"), RecordError("worse"))), Again("exists"), Stop("x")])
def test_what_is_certain_once_more_remembers_that_it_was_in_doubt(reply: Reply) -> None:
    found, plain = outcome_of(reply, reconciled=True), outcome_of(reply)
    assert (found.status, found.error_code) == (plain.status, plain.error_code)
    assert found.errors == (plain.errors[0], RecordError("absent"), *plain.errors[1:])
    (left,) = not_sent(batch(reconciled=True), "not_attempted", "t1.6", RUN)
    assert left.errors == (RecordError("not_attempted"), RecordError("absent"))
