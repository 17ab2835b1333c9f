"""What a finding makes of a record, whole; and when a doubt's own moments are."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as changed

from airflow_provider_contacts.outcome import Outcome, RecordError, Status
from airflow_provider_contacts.reconcile.findings import MOST_ROUNDS, Looked, look
from airflow_provider_contacts.reconcile.in_doubt import Absent, Case, Finding, Found, Open
from airflow_provider_contacts.reconcile.reconciler import MOST_DOUBTS
from airflow_provider_contacts.records.batch import History
from airflow_provider_contacts.records.mapper import InvalidRecord, Prepared
from airflow_provider_contacts.records.record_state import RecordState, state_after
from airflow_provider_contacts.vendor_kit.reads import Question
from airflow_provider_contacts.vendor_kit.results import NoAnswer
from airflow_provider_contacts.vendor_kit.vendor import Limits, Payload, Request
from tests.support.fake_vendor import (
    APPLIED_AND_LOST,
    HONEST,
    LOST,
    READABLE,
    UNAUTHORIZED,
    World,
    answers,
    first,
    names,
)

RUN = "run-1"
RECORD = Prepared(record_identifier="n0", row_index=7, payload={"name": "n0"}, body=b"{}", payload_hash="v1:new")
UNFIT = InvalidRecord(
    record_identifier="n0", row_index=7, errors=(("bad", "name", "no"),), payload={"name": ""}, payload_hash="v1:un"
)
STANDING = RecordState(
    record_identifier="n0",
    status=Status.UNKNOWN,
    batch_id="t0.4",
    sync_run_id="run-0",
    payload_hash="v1:new",
    destination_record_id="id-seen",
    error_code="timeout",
    error_field="name",
    status_message="a text",
    http_status=500,
    attempts=2,
)
BORN = Outcome(
    record_identifier="n0",
    row_index=7,
    status=Status.UNKNOWN,
    destination_record_id="id-seen",
    error_code="lost",
    error_field="name",
    status_message="a text",
    errors=(RecordError("lost", "name", "a text"),),
    http_status=502,
    attempts=3,
    payload_hash="v1:new",
    payload={"name": "n0"},
    batch_id="t1.5",
)


def case(**values: Any) -> Case:
    given: dict[str, Any] = {"record": RECORD, "standing": STANDING, "marked_at": 0.0, "absent_from": 0.0}
    return Case(**{**given, **values})


def certain(status: Status, **values: Any) -> Outcome:
    """Return what is left of the row when the doubt is over: nothing of what was said of it."""
    given: dict[str, Any] = {
        "record_identifier": "n0",
        "row_index": 7,
        "status": status,
        "http_status": 500,
        "attempts": 2,
        "payload_hash": "v1:new",
        "payload": {"name": "n0"},
        "batch_id": "t0.4",
    }
    return Outcome(**{**given, **values})


ABSENT = {"error_code": "absent", "errors": (RecordError("absent"),)}
OF_THIS_TRY: dict[str, Any] = {"http_status": 502, "attempts": 3, "batch_id": "t1.5"}


def test_what_is_found_is_delivered_as_that_contact() -> None:
    inherited = certain(Status.SUCCEEDED, destination_record_id="id-9")
    assert look([Found(case(), "id-9")], RUN) == Looked(settled=[inherited], outcomes=[inherited])
    born = certain(Status.SUCCEEDED, destination_record_id="id-9", **OF_THIS_TRY)
    assert look([Found(case(doubt=BORN), "id-9")], RUN) == Looked(settled=[born], outcomes=[born])


@pytest.mark.parametrize(("doubt", "said"), [(None, {}), (BORN, OF_THIS_TRY)])
def test_what_is_absent_is_certain_and_goes_again(doubt: Outcome | None, said: dict[str, Any]) -> None:
    written = certain(Status.FAILED, **ABSENT, **said)
    looked = look([Absent(case(doubt=doubt, rounds=1))], RUN)
    standing = state_after(written, RUN, was_in_doubt=True)
    history = History(state=standing, reconciled=True, rounds=2)
    assert looked == Looked(settled=[written], again=[(RECORD, history)])
    assert (standing.sync_run_id, standing.error_code, standing.attempts) == (RUN, "absent", written.attempts)


def test_a_record_is_not_looked_for_without_end() -> None:
    written = certain(Status.FAILED, **ABSENT)
    assert look([Absent(case(rounds=MOST_ROUNDS - 2))], RUN).again != []
    for rounds in (MOST_ROUNDS - 1, MOST_ROUNDS):
        assert look([Absent(case(rounds=rounds))], RUN) == Looked(settled=[written], outcomes=[written])


def test_what_is_absent_and_unfit_today_is_invalid() -> None:
    standing = changed(STANDING, payload_hash="v1:un")
    written = certain(Status.FAILED, payload_hash="v1:un", payload={"name": ""}, **ABSENT)
    standing_row = changed(written, payload_hash="v1:un")
    refused = Outcome(
        record_identifier="n0",
        row_index=7,
        status=Status.INVALID,
        error_code="bad",
        error_field="name",
        status_message="no",
        errors=(RecordError("bad", "name", "no"),),
        payload_hash="v1:un",
        payload={"name": ""},
        batch_id="t0.4",
    )
    refused = changed(refused, errors=(*refused.errors, RecordError("absent")))
    found = look([Absent(case(record=UNFIT, standing=standing))], RUN)
    assert found == Looked(settled=[standing_row], noted=[refused], outcomes=[refused])


def test_the_vendors_word_that_it_exists_stands_over_a_reading_without_it() -> None:
    assert look([Absent(case(doubt=BORN, exists=True))], RUN) == Looked(outcomes=[BORN])
    held = certain(
        Status.UNKNOWN,
        destination_record_id="id-seen",
        error_code="timeout",
        error_field="name",
        status_message="a text",
        from_this_run=False,
    )
    assert look([Absent(case(exists=True))], RUN) == Looked(outcomes=[held])


@pytest.mark.parametrize("run", ["run-0", RUN])
@pytest.mark.parametrize("status", [Status.UNKNOWN, Status.SENDING])
def test_what_stays_in_doubt_is_said_as_it_stands(status: Status, run: str) -> None:
    held = certain(
        Status.UNKNOWN,
        destination_record_id="id-seen",
        error_code="interrupted" if status is Status.SENDING else "timeout",
        error_field="name",
        status_message="a text",
        from_this_run=run == "run-0",
    )
    looked = look([Open(case(standing=changed(STANDING, status=status)), "read_failed")], run)
    # A row that stands as unknown needs no word more.
    assert looked == Looked(settled=[held] if status is Status.SENDING else [], outcomes=[held])


def test_each_finding_has_its_own_outcome() -> None:
    records = [changed(RECORD, record_identifier=f"n{n}", row_index=n) for n in range(3)]
    cases = [case(record=record) for record in records]
    findings: list[Finding] = [Open(cases[0], "ambiguous"), Found(cases[1], "id-1"), Absent(cases[2])]
    looked = look(findings, RUN)
    assert [(one.row_index, one.status) for one in looked.outcomes] == [(0, Status.UNKNOWN), (1, Status.SUCCEEDED)]
    assert [record.row_index for record, _ in looked.again] == [2]


# In a whole push.

DELAY = 5.0


def reconciled(world: World, rows: list[Any], **options: Any) -> list[Outcome]:
    given: dict[str, Any] = {"reconcile_delay": DELAY, **options}
    return world.push(rows, vendor=READABLE, on_unknown="reconcile", **given).outcomes


def test_a_doubt_that_cannot_be_settled_is_told_as_without_reading_back() -> None:
    def world() -> World:
        made = World(first(APPLIED_AND_LOST, answers(500)))
        made.server.reads = lambda _index, _sent: answers(404)
        return made

    held = world().push(names(6), vendor=READABLE).outcomes
    assert {one.error_code for one in held} == {"connection_lost", "http_500"}
    assert sorted(reconciled(world(), names(6)), key=lambda one: one.row_index) == held


def test_a_request_that_ended_long_ago_is_not_waited_for() -> None:
    world = World()
    now = world.time.seconds
    world.table.put("n0", Status.UNKNOWN, payload={"name": "n0"}, error_code="timeout", age=900.0, ended_at=now - 800.0)
    reconciled(world, names(1))
    assert now + DELAY <= world.server.sent_at[0] < now + DELAY + 1.0


@pytest.mark.parametrize(
    ("status", "row"),
    [
        (Status.SENDING, {"sync_run_id": RUN}),
        # The outcome of an interrupted request was written when nobody knew its end.
        (Status.UNKNOWN, {"error_code": "interrupted", "ended_at": 990.0}),
        (Status.UNKNOWN, {"error_code": "timeout"}),
        (Status.SENDING, {"sync_run_id": RUN, "error_code": "timeout", "ended_at": 985.0}),
    ],
)
def test_a_request_whose_end_nobody_saw_is_waited_for_from_its_mark(status: Status, row: dict[str, Any]) -> None:
    world = World()
    now = world.time.seconds
    world.table.put("n0", status, payload={"name": "n0"}, age=20.0, **row)
    reconciled(world, names(1), request_timeout=30.0)
    # Thirty seconds for the request and five to settle, less the twenty that have passed; then the vendor's own delay.
    believed = now - 20.0 + 35.0 + DELAY
    assert believed + DELAY <= world.server.sent_at[0] < believed + DELAY + 1.5


@pytest.mark.parametrize("delay", [0.3, DELAY])
def test_a_new_doubt_is_believed_absent_after_the_delay_and_a_second_read(delay: float) -> None:
    world = World(first(LOST))
    begun = world.time.seconds
    reconciled(world, names(1), reconcile_delay=delay)
    assert world.server.read_at[0] - begun == pytest.approx(delay, abs=0.1)
    assert world.server.sent_at[-1] - begun == pytest.approx(2 * delay, abs=0.2)


def test_no_more_reads_are_under_way_than_requests_may_be() -> None:
    def questions(sought: Sequence[Payload], _destination: Any) -> list[Question]:
        queries = [(("page", "1"), ("about", str(index))) for index in range(len(sought))]
        requests = [Request("GET", "/contacts", query=query) for query in queries]
        return [Question(request=request, about=(index,)) for index, request in enumerate(requests)]

    words = READABLE.read_back
    assert words is not None
    slow_and_fast = {0: 1.0}
    world = World(first(APPLIED_AND_LOST, APPLIED_AND_LOST))
    world.server.reads = lambda index, _sent: replace(HONEST, delay=slow_and_fast.get(index, 0.01))
    vendor = replace(READABLE, read_back=replace(words, questions=questions))
    limits = Limits(batch_size=4, max_in_flight=2)
    world.push(names(5), vendor=vendor, on_unknown="reconcile", limits=limits)
    begun = world.server.read_at
    assert len(begun) == 5
    # The first read takes a second: until then one other at a time.
    assert all(later - sooner > 0.009 for sooner, later in itertools.pairwise(begun[1:]))


@pytest.mark.parametrize("rate", [None, 0.1])
def test_new_doubts_are_gathered_until_everything_else_is_sent(rate: float | None) -> None:
    world = World(first(APPLIED_AND_LOST, APPLIED_AND_LOST))
    limits = Limits(batch_size=4, max_in_flight=1, requests_per_second=rate)
    reconciled(world, names(20), limits=limits)
    assert len(world.server.requests) == 5
    assert world.server.read_at[0] >= world.server.sent_at[-1]


def test_the_vendor_is_asked_about_the_destination() -> None:
    words = READABLE.read_back
    assert words is not None
    asked: list[Any] = []

    def questions(sought: Sequence[Payload], destination: Any) -> Sequence[Question]:
        asked.append(destination)
        return words.questions(sought, destination)

    vendor = replace(READABLE, read_back=replace(words, questions=questions))
    World(first(APPLIED_AND_LOST)).push(names(1), vendor=vendor, on_unknown="reconcile")
    assert asked == [{}]


def test_a_reading_is_told_in_the_log_by_numbers_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        reconciled(World(), names(3))
        assert caplog.messages == []
        reconciled(World(first(APPLIED_AND_LOST)), names(3))
    assert caplog.messages == ["Fake is read back about 3 records in doubt", "Of the records in doubt: found 3"]


def test_the_credential_of_the_refused_read_is_renewed() -> None:
    world = World(first(APPLIED_AND_LOST))
    world.server.reads = first(UNAUTHORIZED)
    pushed = world.push(names(1), vendor=READABLE, on_unknown="reconcile", renewable=True)
    # The number of the read: one was drawn for the request's batch, one for the request, one for the read.
    assert pushed.sender.renewed == [3]


def test_an_answer_that_nobody_waits_for_is_none_of_a_reading() -> None:
    execution = World().execution(names(1), vendor=READABLE, on_unknown="reconcile")
    assert execution.push._reconciler.land(99, NoAnswer("timeout")) is False


def test_exactly_as_many_doubts_as_are_gathered_do_not_stop_a_push() -> None:
    world = World(first(*[LOST] * 10))
    limits = Limits(batch_size=MOST_DOUBTS // 10, max_in_flight=1)
    pushed = world.push(names(MOST_DOUBTS + 250), vendor=READABLE, on_unknown="reconcile", limits=limits)
    assert pushed.counts() == {"succeeded": MOST_DOUBTS + 250}
    assert set(world.server.created().values()) == {1}


def test_a_vendor_without_reads_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    pushed = World(first(LOST)).push(names(4), on_unknown="reconcile")
    assert pushed.counts() == {"unknown": 4}
    assert caplog.messages == ["Fake documents no way to read contacts back: what is in doubt stays unknown"]
