"""What is decided before anything is sent: every field of an outcome, and of what goes to the vendor."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace as changed

from airflow_provider_contacts.engine.admission import Admission, AdmittedChunk
from airflow_provider_contacts.engine.policy import Decision
from airflow_provider_contacts.errors import LedgerError
from airflow_provider_contacts.outcome import Outcome, RecordError, Status
from airflow_provider_contacts.records.batch import History
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.records.record import Record, outcome_of, outcome_of_state
from airflow_provider_contacts.records.record_state import RecordState
from airflow_provider_contacts.records.stored_payloads import StoredPayload
from airflow_provider_contacts.vendor_kit.push_settings import OnUnknown, PushSettings
from tests.support.fake_vendor import VENDOR, FakeClock, FakeLedger, Table, failing, names

RUN = "run-1"
RECORD = Record(record_identifier="n0", row_index=7, payload={"name": "n0"}, body=b"{}", payload_hash="v1:new")
REASONS = (("bad", "name", "no"), ("worse", None, None))
UNFIT = Record(record_identifier="n0", row_index=7, errors=REASONS, payload={"name": ""}, payload_hash="v1:un")
STANDING = RecordState(
    record_identifier="n0", status=Status.SUCCEEDED, batch_id="t0.4", sync_run_id="run-0", payload_hash="v1:new",
    destination_record_id="id-1", error_code="code", error_field="name", status_message="a text", http_status=201,
    attempts=2,
)  # fmt: skip


def outcome(status: Status, **values: Any) -> Outcome:
    given: dict[str, Any] = {"payload_hash": "v1:new", "payload": {"name": "n0"}, **values}
    return Outcome(record_identifier="n0", row_index=7, status=status, **given)


def test_our_own_word_carries_every_reason() -> None:
    assert outcome_of(UNFIT, Status.INVALID, batch_id="t1.i1") == outcome(
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
    assert outcome_of(RECORD, Status.DUPLICATE) == outcome(Status.DUPLICATE)
    assert outcome_of(UNFIT, Status.DUPLICATE, batch_id="b") == outcome(
        Status.DUPLICATE, payload_hash="v1:un", payload={"name": ""}, batch_id="b"
    )


STOOD = {
    "destination_record_id": "id-1", "error_code": "code", "error_field": "name", "status_message": "a text",
    "http_status": 201, "attempts": 2, "batch_id": "t0.4",
}  # fmt: skip


@pytest.mark.parametrize("run", ["run-0", RUN])
def test_what_stands_is_said_as_it_stands(run: str) -> None:
    said = outcome_of_state(RECORD, STANDING, Status.SKIPPED, run)
    assert said == outcome(Status.SKIPPED, **STOOD, from_this_run=run == "run-0")


@pytest.mark.parametrize("status", [Status.SKIPPED, Status.UNKNOWN])
def test_what_was_sent_is_not_what_is_there_today(status: Status) -> None:
    said = outcome_of_state(RECORD, changed(STANDING, payload_hash="v1:old"), status, "run-0")
    assert said == outcome(status, **STOOD, payload_hash="v1:old", payload=None, changed=status is Status.SKIPPED)


def test_what_was_refused_keeps_the_words_of_its_row() -> None:
    said = outcome_of_state(UNFIT, changed(STANDING, status=Status.INVALID), Status.INVALID, "run-0")
    assert (said.error_code, said.status_message, said.errors) == ("code", "a text", ())


def test_a_request_that_nobody_saw_the_end_of_was_interrupted() -> None:
    said = outcome_of_state(RECORD, changed(STANDING, status=Status.SENDING), Status.UNKNOWN, "run-0")
    assert said == outcome(Status.UNKNOWN, **{**STOOD, "error_code": "interrupted"})


# One chunk.


class Rows:
    """An admission, and the table that it reads."""

    def __init__(self, rows: Any, *, on_unknown: OnUnknown = "hold", chunk: int = 100, **ledger: Any) -> None:
        self.time = FakeClock()
        self.table = Table(clock=self.time)
        self.ledger = FakeLedger(self.table, RUN, **ledger)
        self.mapper = Mapper(vendor=VENDOR, destination={}, sync_id="sync", sync_key=("name",))
        self.admission = Admission(
            iter(rows),
            mapper=self.mapper,
            ledger=self.ledger,
            on_unknown=on_unknown,
            settings=PushSettings(limits=VENDOR.limits),
            monotonic=lambda: self.time.seconds,
        )
        self.admission._chunk_size = chunk

    @property
    def active(self) -> dict[str, str]:
        return self.admission.keys.active

    def take(self) -> AdmittedChunk:
        chunk = self.admission.take()
        assert chunk is not None
        return chunk

    def prepared(self, name: str = "n0", index: int = 0) -> Record:
        record = self.mapper.prepare(index, {"name": name})
        assert not record.errors
        return record

    def state(self, name: str = "n0") -> RecordState:
        return self.ledger.states([name])[name]


def test_a_new_record_is_sent_for_the_first_time() -> None:
    rows = Rows(names(1))
    chunk = rows.take()
    assert chunk.batch.record(0) == rows.prepared()
    assert (len(chunk.batch), chunk.batch.histories, chunk.looked_at) == (1, {}, rows.time.seconds)
    assert (chunk.later, chunk.outcomes, chunk.unsent, chunk.interrupted, chunk.in_doubt) == ([], [], [], [], [])
    assert rows.active.keys() == {"n0"}
    assert rows.admission.take() is None


def test_chunks_are_whole_and_end_with_the_source() -> None:
    rows = Rows(names(5), chunk=2)
    assert [len(rows.take().batch) for _ in range(3)] == [2, 2, 1]
    assert rows.admission.take() is None
    assert rows.ledger.calls["states"] == 3


@pytest.mark.parametrize(
    ("status", "code", "reconciled"),
    [(Status.FAILED, "absent", True), (Status.FAILED, "busy", False), (Status.REJECTED, "busy", False)],
)
def test_a_state_goes_along_in_the_order_of_the_rows(status: Status, code: str, reconciled: bool) -> None:
    rows = Rows(names(3))
    rows.table.put("n1", status, error_code=code, attempts=4, age=10.0)
    batch = rows.take().batch
    assert list(batch.identifiers) == ["n0", "n1", "n2"]
    assert batch.histories == {1: History(state=rows.state("n1"), reconciled=reconciled)}
    assert [batch.attempts(place) for place in range(3)] == [0, 4, 0]


def test_a_doubt_to_be_looked_for_is_under_way() -> None:
    rows = Rows(names(1) * 2, on_unknown="reconcile")
    rows.table.put("n0", Status.UNKNOWN, age=10.0)
    chunk = rows.take()
    assert chunk.in_doubt == [(rows.prepared(), rows.state())]
    assert [one.status for one in chunk.outcomes] == [Status.DUPLICATE]
    assert rows.active.keys() == {"n0"}


@pytest.mark.parametrize(
    ("status", "settles"), [(Status.SENDING, True), (Status.UNKNOWN, False), (Status.SUCCEEDED, False)]
)
def test_only_a_claim_that_was_left_is_settled(status: Status, settles: bool) -> None:
    rows = Rows(names(1))
    rows.table.put("n0", status, sync_run_id=RUN, age=10.0)
    chunk = rows.take()
    assert chunk.interrupted == (chunk.outcomes if settles else [])
    assert (len(chunk.batch), chunk.in_doubt, chunk.unsent, rows.active) == (0, [], [], {})
    assert chunk.outcomes[0].status is (Status.SKIPPED if status is Status.SUCCEEDED else Status.UNKNOWN)


def test_invalid_records_are_recorded_under_the_number_of_their_chunk() -> None:
    rows = Rows([*[{"name": "a", "age": -1}] * 2, {"name": "b", "age": -1}, *names(1)], chunk=2)
    first, second = rows.take(), rows.take()
    assert [(one.status, one.batch_id) for one in first.outcomes] == [
        (Status.INVALID, f"{rows.ledger.token}.i1"),
        (Status.DUPLICATE, f"{rows.ledger.token}.i1"),
    ]
    assert first.unsent == first.outcomes[:1]
    assert [(one.status, one.batch_id) for one in second.outcomes] == [(Status.INVALID, f"{rows.ledger.token}.i2")]
    assert list(second.batch.row_indexes) == [3]


def test_a_ledger_that_is_away_costs_no_outcome() -> None:
    rows = Rows([*names(2), {"name": "x", "age": -1}], trouble=failing("states:before"))
    chunk = rows.take()
    assert [(one.row_index, one.error_code) for one in chunk.outcomes] == [(n, "not_attempted") for n in range(3)]
    first = rows.prepared()
    assert chunk.outcomes[0] == Outcome(
        record_identifier="n0",
        row_index=0,
        status=Status.FAILED,
        error_code="not_attempted",
        payload_hash=first.payload_hash,
        payload=first.payload,
    )
    assert isinstance(chunk.error, LedgerError)
    assert (len(chunk.batch), rows.active) == (0, {})


def test_what_is_under_way_is_not_asked_about() -> None:
    asked: list[str] = []

    def trouble(point: str, _call: int) -> None:
        asked.append(point)

    rows = Rows(names(1), trouble=trouble)
    rows.active["n0"] = rows.prepared().payload_hash
    assert [one.status for one in rows.take().outcomes] == [Status.DUPLICATE]
    assert asked == []


# A claim that was lost.


def test_a_lost_claim_is_counted_and_decided_by_the_new_row() -> None:
    rows = Rows(names(3))
    batch = changed(rows.take().batch, histories={place: History(claims=1) for place in range(3)})
    rows.table.put("n0", Status.FAILED, attempts=1)
    rows.table.put("n1", Status.SUCCEEDED)
    chunk = rows.admission.decide_again(batch)
    assert [(*one.identifiers, one.history(0).claims, one.attempts(0)) for one in chunk.later] == [
        ("n0", 2, 1),
        ("n2", 2, 0),
    ]
    assert {one.due for one in chunk.later} == {rows.time.seconds}
    assert [(one.record_identifier, one.status) for one in chunk.outcomes] == [("n1", Status.SKIPPED)]
    assert rows.active.keys() == {"n0", "n2"}


def test_a_lost_claim_that_leaves_a_doubt_stays_under_way() -> None:
    rows = Rows(names(3), on_unknown="reconcile")
    batch = rows.take().batch
    rows.table.put("n0", Status.UNKNOWN)
    rows.table.put("n1", Status.SUCCEEDED)
    before = rows.time.seconds
    chunk = rows.admission.decide_again(batch)
    assert [record.record_identifier for record, _ in chunk.in_doubt] == ["n0"]
    assert [one.record_identifier for one in chunk.outcomes] == ["n1"]
    assert rows.active.keys() == {"n0", "n2"}
    # The ages of the rows are counted back from before they were read.
    assert chunk.looked_at == before


# Payloads out of the table.

REJECTED = RecordState(record_identifier="n0", status=Status.REJECTED, batch_id="old.1", sync_run_id="run-0")
DOUBTED = changed(REJECTED, status=Status.UNKNOWN)


@pytest.mark.parametrize(
    ("read_from", "state", "on_unknown", "becomes"),
    [
        ("old.1", REJECTED, "hold", Decision.SEND),
        ("old.1", changed(REJECTED, status=Status.FAILED), "hold", Decision.SEND),
        ("old.1", changed(REJECTED, batch_id="old.2"), "hold", Decision.ELSEWHERE),
        ("old.1", None, "hold", Decision.ELSEWHERE),
        (None, changed(REJECTED, batch_id=None), "hold", Decision.SEND),
        ("old.1", DOUBTED, "resend", Decision.RESEND),
        ("old.1", DOUBTED, "reconcile", Decision.RECONCILE),
        ("old.2", DOUBTED, "resend", Decision.HOLD),
        ("old.2", DOUBTED, "reconcile", Decision.HOLD),
        ("old.2", changed(REJECTED, status=Status.SUCCEEDED), "hold", Decision.SKIP),
    ],
)
def test_a_stored_payload_is_sent_only_for_the_row_that_it_was_read_from(
    read_from: str | None, state: RecordState | None, on_unknown: OnUnknown, becomes: Decision
) -> None:
    rows = Rows([], on_unknown=on_unknown)
    stored = changed(rows.prepared(), payload=StoredPayload({"name": "n0"}, read_from))
    chunk = AdmittedChunk()
    history = rows.admission._decide(stored, state, chunk)
    assert (history is not None) is (becomes in {Decision.SEND, Decision.RESEND})
    assert bool(chunk.in_doubt) is (becomes is Decision.RECONCILE)
    said = {Decision.ELSEWHERE: ["failed"], Decision.HOLD: ["unknown"], Decision.SKIP: ["skipped"]}
    assert [one.status.value for one in chunk.outcomes] == said.get(becomes, [])
