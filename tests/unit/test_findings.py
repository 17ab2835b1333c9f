"""What follows from each finding of a reading."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace as changed

from airflow_provider_contacts.outcome import Outcome, RecordError, Status
from airflow_provider_contacts.reconcile.findings import MOST_ROUNDS, Finding, InDoubt, Resolution, resolve
from airflow_provider_contacts.records.batch import History
from airflow_provider_contacts.records.record import Record
from airflow_provider_contacts.records.record_state import RecordState, state_after

RUN = "run-1"
RECORD = Record(record_identifier="n0", row_index=7, payload={"name": "n0"}, body=b"{}", payload_hash="v1:new")
REASONS = (("bad", "name", "no"), ("worse", None, None))
INVALID = Record(record_identifier="n0", row_index=7, errors=REASONS, payload={"name": ""}, payload_hash="v1:un")
STATE = RecordState(
    record_identifier="n0", status=Status.UNKNOWN, batch_id="t0.4", sync_run_id="run-0", payload_hash="v1:new",
    destination_record_id="id-seen", error_code="timeout", error_field="name", status_message="a text", http_status=500,
    attempts=2,
)  # fmt: skip
NEW = Outcome(
    record_identifier="n0", row_index=7, status=Status.UNKNOWN, destination_record_id="id-seen", error_code="lost",
    error_field="name", status_message="a text", errors=(RecordError("lost", "name", "a text"),), http_status=502,
    attempts=3, payload_hash="v1:new", payload={"name": "n0"}, batch_id="t1.5",
)  # fmt: skip


def in_doubt(**values: Any) -> InDoubt:
    given: dict[str, Any] = {"record": RECORD, "state": STATE, "marked_at": 0.0, "absent_from": 0.0}
    return InDoubt(**{**given, **values})


def certain(status: Status, **values: Any) -> Outcome:
    """Return what is left of the row when the doubt is over: nothing of what was said of it."""
    given: dict[str, Any] = {
        "record_identifier": "n0", "row_index": 7, "status": status, "http_status": 500, "attempts": 2,
        "payload_hash": "v1:new", "payload": {"name": "n0"}, "batch_id": "t0.4",
    }  # fmt: skip
    return Outcome(**{**given, **values})


AS_IT_STANDS: dict[str, Any] = {
    "destination_record_id": "id-seen", "error_code": "timeout", "error_field": "name", "status_message": "a text",
}  # fmt: skip
ABSENT = {"error_code": "absent", "errors": (RecordError("absent"),)}
OF_THIS_TRY: dict[str, Any] = {"http_status": 502, "attempts": 3, "batch_id": "t1.5"}


def test_what_is_found_is_delivered_as_that_contact() -> None:
    inherited = certain(Status.SUCCEEDED, destination_record_id="id-9")
    assert resolve([Finding(in_doubt(), "found", "id-9")], RUN) == Resolution(changed=[inherited], outcomes=[inherited])
    new = certain(Status.SUCCEEDED, destination_record_id="id-9", **OF_THIS_TRY)
    assert resolve([Finding(in_doubt(outcome=NEW), "found", "id-9")], RUN) == Resolution(changed=[new], outcomes=[new])


@pytest.mark.parametrize(("doubt", "said"), [(None, {}), (NEW, OF_THIS_TRY)])
def test_what_is_absent_is_certain_and_goes_again(doubt: Outcome | None, said: dict[str, Any]) -> None:
    written = certain(Status.FAILED, **ABSENT, **said)
    resolution = resolve([Finding(in_doubt(outcome=doubt, rounds=1), "absent")], RUN)
    history = History(state=state_after(written, RUN, was_in_doubt=True), reconciled=True, rounds=2)
    assert resolution == Resolution(changed=[written], again=[(RECORD, history)])


def test_a_record_is_not_looked_for_forever() -> None:
    written = certain(Status.FAILED, **ABSENT)
    assert resolve([Finding(in_doubt(rounds=MOST_ROUNDS - 2), "absent")], RUN).again != []
    for rounds in (MOST_ROUNDS - 1, MOST_ROUNDS):
        assert resolve([Finding(in_doubt(rounds=rounds), "absent")], RUN) == Resolution(
            changed=[written], outcomes=[written]
        )


def test_what_is_absent_and_unfit_today_is_invalid() -> None:
    state = changed(STATE, payload_hash="v1:un")
    written = certain(Status.FAILED, payload_hash="v1:un", payload={"name": ""}, **ABSENT)
    why = (RecordError("bad", "name", "no"), RecordError("absent"), RecordError("worse"))
    first = {"error_code": "bad", "error_field": "name", "status_message": "no", "errors": why}
    of_today = {"payload_hash": "v1:un", "payload": {"name": ""}, "http_status": None, "attempts": 0}
    refused = certain(Status.INVALID, **first, **of_today)
    found = resolve([Finding(in_doubt(record=INVALID, state=state), "absent")], RUN)
    assert found == Resolution(changed=[written], unsent=[refused], outcomes=[refused])


def test_the_vendors_word_that_it_exists_stands_over_a_reading_without_it() -> None:
    assert resolve([Finding(in_doubt(outcome=NEW, exists=True), "absent")], RUN) == Resolution(outcomes=[NEW])
    held = certain(Status.UNKNOWN, **AS_IT_STANDS, from_this_run=False)
    assert resolve([Finding(in_doubt(exists=True), "absent")], RUN) == Resolution(outcomes=[held])


@pytest.mark.parametrize("run", ["run-0", RUN])
@pytest.mark.parametrize("status", [Status.UNKNOWN, Status.SENDING])
def test_what_stays_in_doubt_is_said_as_it_stands(status: Status, run: str) -> None:
    code = "interrupted" if status is Status.SENDING else "timeout"
    held = certain(Status.UNKNOWN, **{**AS_IT_STANDS, "error_code": code}, from_this_run=run == "run-0")
    resolution = resolve([Finding(in_doubt(state=changed(STATE, status=status)), "read_failed")], run)
    # A row that stands as unknown needs no word more.
    assert resolution == Resolution(changed=[held] if status is Status.SENDING else [], outcomes=[held])
