"""What is decided about a chunk before anything is sent, and of a record whose claim was lost."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace as changed

from airflow_provider_contacts.engine.admission import Admission, AdmittedChunk
from airflow_provider_contacts.engine.policy import Decision
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.batch import History
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.records.record import Record
from airflow_provider_contacts.records.record_state import RecordState
from airflow_provider_contacts.records.stored_payloads import StoredPayload
from airflow_provider_contacts.vendor_kit.push_settings import OnUnknown, PushSettings
from tests.support.fake_vendor import VENDOR, FakeClock, FakeLedger, Table, names

RUN = "run-1"


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


def test_what_is_under_way_is_not_asked_about() -> None:
    asked: list[str] = []

    def trouble(point: str, _call: int) -> None:
        asked.append(point)

    rows = Rows(names(1), trouble=trouble)
    rows.active["n0"] = rows.prepared().payload_hash
    assert [one.status for one in rows.take().outcomes] == [Status.DUPLICATE]
    assert asked == []


# A claim that was lost.


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
