"""What is decided before anything is sent: every field of an outcome, and of what goes to the vendor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace as changed

from airflow_provider_contacts.engine.admission import Admission, AdmittedChunk
from airflow_provider_contacts.errors import LedgerError
from airflow_provider_contacts.outcome import Outcome, RecordError, Status
from airflow_provider_contacts.records.item import Item
from airflow_provider_contacts.records.mapper import InvalidRecord, Mapper, Prepared
from airflow_provider_contacts.records.record_state import RecordState
from airflow_provider_contacts.records.unsent_outcomes import elsewhere, not_attempted, own_outcome, standing_outcome
from airflow_provider_contacts.vendor_kit.push_settings import OnUnknown
from tests.support.fake_vendor import VENDOR, FakeClock, FakeLedger, Table, Trouble, failing, names

RUN = "run-1"
RECORD = Prepared(record_identifier="n0", row_index=7, payload={"name": "n0"}, body=b"{}", payload_hash="v1:new")
REASONS = (("bad", "name", "no"), ("worse", None, None))
UNFIT = InvalidRecord(record_identifier="n0", row_index=7, errors=REASONS, payload={"name": ""}, payload_hash="v1:un")
STANDING = RecordState(
    record_identifier="n0",
    status=Status.SUCCEEDED,
    batch_id="t0.4",
    sync_run_id="run-0",
    payload_hash="v1:new",
    destination_record_id="id-1",
    error_code="code",
    error_field="name",
    status_message="a text",
    http_status=201,
    attempts=2,
)


def outcome(status: Status, **values: Any) -> Outcome:
    given: dict[str, Any] = {"payload_hash": "v1:new", "payload": {"name": "n0"}, **values}
    return Outcome(record_identifier="n0", row_index=7, status=status, **given)


def test_our_own_word_carries_every_reason() -> None:
    assert own_outcome(UNFIT, Status.INVALID, "t1.i1") == outcome(
        Status.INVALID,
        error_code="bad",
        error_field="name",
        status_message="no",
        errors=(RecordError("bad", "name", "no"), RecordError("worse")),
        payload_hash="v1:un",
        payload={"name": ""},
        batch_id="t1.i1",
    )


def test_a_duplicate_has_no_reason() -> None:
    assert own_outcome(RECORD, Status.DUPLICATE, None) == outcome(Status.DUPLICATE)
    assert own_outcome(UNFIT, Status.DUPLICATE, "b") == outcome(
        Status.DUPLICATE, payload_hash="v1:un", payload={"name": ""}, batch_id="b"
    )


def test_what_is_not_sent_for_others_sake() -> None:
    assert not_attempted(RECORD) == outcome(Status.FAILED, error_code="not_attempted")
    assert elsewhere(RECORD) == outcome(
        Status.FAILED,
        error_code="claimed_elsewhere",
        status_message="another run of the same sync_id is sending this record",
    )


STOOD = {
    "destination_record_id": "id-1",
    "error_code": "code",
    "error_field": "name",
    "status_message": "a text",
    "http_status": 201,
    "attempts": 2,
    "batch_id": "t0.4",
}


@pytest.mark.parametrize("run", ["run-0", RUN])
def test_what_stands_is_said_as_it_stands(run: str) -> None:
    said = standing_outcome(RECORD, STANDING, Status.SKIPPED, run)
    assert said == outcome(Status.SKIPPED, **STOOD, from_this_run=run == "run-0")


@pytest.mark.parametrize("status", [Status.SKIPPED, Status.UNKNOWN])
def test_what_was_sent_is_not_what_is_there_today(status: Status) -> None:
    said = standing_outcome(RECORD, changed(STANDING, payload_hash="v1:old"), status, "run-0")
    assert said == outcome(status, **STOOD, payload_hash="v1:old", payload=None, changed=status is Status.SKIPPED)


def test_a_request_that_nobody_saw_the_end_of_was_interrupted() -> None:
    said = standing_outcome(RECORD, changed(STANDING, status=Status.SENDING), Status.UNKNOWN, "run-0")
    assert said == outcome(Status.UNKNOWN, **{**STOOD, "error_code": "interrupted"})


# One chunk.


class Desk:
    """An intake, and the table that it reads."""

    def __init__(self, rows: Any, *, on_unknown: OnUnknown = "hold", chunk: int = 100, **ledger: Any) -> None:
        self.time = FakeClock()
        self.table = Table(clock=self.time)
        self.ledger = FakeLedger(self.table, RUN, **ledger)
        self.active: dict[str, str] = {}
        self.mapper = Mapper(vendor=VENDOR, destination={}, sync_id="sync", sync_key=("name",))
        self.intake = Admission(
            iter(rows),
            mapper=self.mapper,
            ledger=self.ledger,
            on_unknown=on_unknown,
            active=self.active,
            chunk_size=chunk,
            settling=65.0,
            monotonic=lambda: self.time.seconds,
        )

    def take(self) -> AdmittedChunk:
        taken = self.intake.take()
        assert taken is not None
        return taken

    def prepared(self, name: str = "n0", index: int = 0) -> Prepared:
        record = self.mapper.prepare(index, {"name": name})
        assert isinstance(record, Prepared)
        return record


def test_a_new_record_is_sent_for_the_first_time() -> None:
    desk = Desk(names(1))
    assert desk.take() == AdmittedChunk(items=[Item(prepared=desk.prepared())], looked_at=desk.time.seconds)
    assert desk.active.keys() == {"n0"}
    assert desk.intake.take() is None


def test_chunks_are_whole_and_end_with_the_source() -> None:
    desk = Desk(names(5), chunk=2)
    assert [len(desk.take().items) for _ in range(3)] == [2, 2, 1]
    assert desk.intake.take() is None
    assert desk.ledger.calls["standing"] == 3


@pytest.mark.parametrize(
    ("status", "code", "reconciled"),
    [(Status.FAILED, "absent", True), (Status.FAILED, "busy", False), (Status.REJECTED, "busy", False)],
)
def test_what_stands_goes_along(status: Status, code: str, reconciled: bool) -> None:
    desk = Desk(names(1))
    desk.table.put("n0", status, error_code=code, attempts=4, age=10.0)
    (item,) = desk.take().items
    standing = desk.ledger.standing(["n0"])["n0"]
    assert item == Item(prepared=desk.prepared(), standing=standing, attempts=4, reconciled=reconciled)


@pytest.mark.parametrize(("age", "rest"), [(10.0, 55.0), (65.0, 0.0), (4000.0, 0.0)])
def test_a_doubt_that_is_resent_waits_until_its_request_has_ended(age: float, rest: float) -> None:
    desk = Desk(names(1), on_unknown="resend")
    desk.table.put("n0", Status.UNKNOWN, sync_run_id=RUN, age=age)
    (item,) = desk.take().items
    assert item.doubted
    assert item.not_before == pytest.approx(rest)


def test_a_doubt_to_be_looked_for_is_under_way() -> None:
    desk = Desk(names(1) * 2, on_unknown="reconcile")
    desk.table.put("n0", Status.UNKNOWN, age=10.0)
    taken = desk.take()
    assert taken.doubts == [(desk.prepared(), desk.ledger.standing(["n0"])["n0"])]
    assert [one.status for one in taken.outcomes] == [Status.DUPLICATE]
    assert desk.active.keys() == {"n0"}


@pytest.mark.parametrize(
    ("status", "settles"), [(Status.SENDING, True), (Status.UNKNOWN, False), (Status.SUCCEEDED, False)]
)
def test_only_a_mark_that_was_left_is_settled(status: Status, settles: bool) -> None:
    desk = Desk(names(1))
    desk.table.put("n0", status, sync_run_id=RUN, age=10.0)
    taken = desk.take()
    assert taken.to_settle == (taken.outcomes if settles else [])
    assert (taken.items, taken.doubts, taken.to_note, desk.active) == ([], [], [], {})
    assert taken.outcomes[0].status is (Status.SKIPPED if status is Status.SUCCEEDED else Status.UNKNOWN)


def test_another_runs_mark_gets_no_row_of_ours() -> None:
    desk = Desk(names(1))
    desk.table.put("n0", Status.SENDING, age=10.0)
    assert desk.take() == AdmittedChunk(outcomes=[elsewhere(desk.prepared())], looked_at=desk.time.seconds)


@pytest.mark.parametrize("status", [Status.REJECTED, Status.INVALID])
def test_a_settled_record_keeps_its_word(status: Status) -> None:
    desk = Desk(names(1) * 2)
    digest = desk.prepared().payload_hash
    desk.table.put("n0", status, sync_run_id=RUN, payload_hash=digest, error_code="bad")
    taken = desk.take()
    assert [(one.status, one.error_code, one.row_index) for one in taken.outcomes] == [
        (status, "bad", 0),
        (Status.DUPLICATE, None, 1),
    ]
    assert (taken.items, taken.to_note) == ([], [])


def test_unfit_records_are_noted_under_the_number_of_their_chunk() -> None:
    desk = Desk([*[{"name": "a", "age": -1}] * 2, {"name": "b", "age": -1}, *names(1)], chunk=2)
    first, second = desk.take(), desk.take()
    assert [(one.status, one.batch_id) for one in first.outcomes] == [
        (Status.INVALID, f"{desk.ledger.token}.i1"),
        (Status.DUPLICATE, f"{desk.ledger.token}.i1"),
    ]
    assert first.to_note == first.outcomes[:1]
    assert [(one.status, one.batch_id) for one in second.outcomes] == [(Status.INVALID, f"{desk.ledger.token}.i2")]
    assert [item.prepared.row_index for item in second.items] == [3]


def test_a_source_that_fails_gives_what_it_had_given() -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield from names(2)
        raise RuntimeError

    desk = Desk(rows())
    taken = desk.take()
    assert (len(taken.items), type(taken.error)) == (2, RuntimeError)
    assert desk.intake.take() is None


def test_a_source_that_fails_at_once_says_so() -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield from ()
        raise RuntimeError

    desk = Desk(rows())
    taken = desk.take()
    assert (taken.items, taken.outcomes, type(taken.error)) == ([], [], RuntimeError)
    assert desk.ledger.calls["standing"] == 0


def test_a_ledger_that_is_away_costs_no_outcome() -> None:
    desk = Desk(names(2), trouble=failing("standing:before"))
    taken = desk.take()
    assert taken.outcomes == [not_attempted(desk.prepared(name, n)) for n, name in enumerate(("n0", "n1"))]
    assert isinstance(taken.error, LedgerError)
    assert (taken.items, desk.active) == ([], {})


def test_what_is_under_way_is_not_asked_about() -> None:
    asked: list[str] = []

    def trouble(point: str, _call: int) -> None:
        asked.append(point)

    watching: Trouble = trouble
    desk = Desk(names(1), trouble=watching)
    desk.active["n0"] = desk.prepared().payload_hash
    assert [one.status for one in desk.take().outcomes] == [Status.DUPLICATE]
    assert asked == []


# A claim that was lost.


def test_a_lost_claim_is_counted_and_decided_by_the_new_row() -> None:
    desk = Desk(names(3))
    items = desk.take().items
    desk.table.put("n0", Status.FAILED, attempts=1)
    desk.table.put("n1", Status.SUCCEEDED)
    taken = desk.intake.decide_again([changed(item, claims=1) for item in items])
    assert [(item.prepared.record_identifier, item.claims, item.attempts) for item in taken.items] == [
        ("n0", 2, 1),
        ("n2", 2, 0),
    ]
    assert [(one.record_identifier, one.status) for one in taken.outcomes] == [("n1", Status.SKIPPED)]
    assert desk.active.keys() == {"n0", "n2"}


def test_a_lost_claim_that_leaves_a_doubt_stays_under_way() -> None:
    desk = Desk(names(1), on_unknown="reconcile")
    items = desk.take().items
    desk.table.put("n0", Status.UNKNOWN)
    taken = desk.intake.decide_again(items)
    assert (len(taken.doubts), taken.items, taken.outcomes, [*desk.active]) == (1, [], [], ["n0"])


def test_lost_claims_are_told_apart_one_by_one() -> None:
    desk = Desk(names(3), on_unknown="reconcile")
    items = desk.take().items
    desk.table.put("n0", Status.UNKNOWN)
    desk.table.put("n1", Status.SUCCEEDED)
    before = desk.time.seconds
    taken = desk.intake.decide_again(items)
    assert [one.record_identifier for one in taken.outcomes] == ["n1"]
    assert desk.active.keys() == {"n0", "n2"}
    # The ages of the rows are counted back from before they were read.
    assert taken.looked_at == before
