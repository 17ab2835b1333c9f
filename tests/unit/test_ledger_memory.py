"""The ledger of a push that nobody remembers, and the words of records in logs."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from airflow_provider_contacts.engine.memory_ledger import MemoryLedger
from airflow_provider_contacts.errors import InvalidRecordError
from airflow_provider_contacts.outcome import Outcome, Status, digest_of
from airflow_provider_contacts.records.batch import History
from airflow_provider_contacts.records.record_state import Holder, RecordState
from airflow_provider_contacts.vendor_kit.auth import basic, bearer
from tests.support.batches import batch_of, result_of


def outcome(identifier: str, status: Status, **values: Any) -> Outcome:
    return Outcome(**{"record_identifier": identifier, "row_index": 0, "status": status, "attempts": 3, **values})


def state(identifier: str, status: Status, **values: Any) -> RecordState:
    return RecordState(**{"record_identifier": identifier, "status": status, "sync_run_id": "run-1", **values})


def test_claims_and_outcomes_are_remembered() -> None:
    ledger = MemoryLedger("t1", "run-1")
    assert (ledger.token, ledger.sync_run_id, ledger.durable) == ("t1", "run-1", False)
    assert ledger.states(["a"]) == {}
    sent = batch_of("a", "b", histories={0: History(state=state("a", Status.FAILED, attempts=1))})
    assert ledger.record_and_claim([], {"t1.1": sent}) == {}
    assert ledger.states(["a", "b", "c"]) == {
        "a": state("a", Status.SENDING, batch_id="t1.1", attempts=2, payload_hash="v1:a"),
        "b": state("b", Status.SENDING, batch_id="t1.1", attempts=1, payload_hash="v1:b"),
    }
    rejected = outcome("a", Status.REJECTED, batch_id="t1.1")
    assert ledger.record_and_claim([result_of(sent, "t1.1", [None, "id-b"], rejected)], {"t1.2": batch_of("d")}) == {}
    ledger.record_unsent([outcome("c", Status.INVALID, batch_id="t1.i1", attempts=0)])
    assert ledger.states(["a", "b", "c", "d"]) == {
        "a": state("a", Status.REJECTED, batch_id="t1.1", attempts=3),
        "b": state("b", Status.SUCCEEDED, batch_id="t1.1", attempts=1, payload_hash="v1:b"),
        "c": state("c", Status.INVALID, batch_id="t1.i1"),
        "d": state("d", Status.SENDING, batch_id="t1.2", attempts=1, payload_hash="v1:d"),
    }
    assert ledger.payloads(["a"]) == {}


def test_only_what_is_delivered_holds_its_contact() -> None:
    ledger = MemoryLedger("t1")
    ledger.record_outcomes(
        [
            outcome("a", Status.SUCCEEDED, destination_record_id="id-a"),
            outcome("b", Status.UNKNOWN, destination_record_id="id-b"),
            outcome("c", Status.SUCCEEDED),
        ]
    )
    assert ledger.holders(["id-a", "id-b", "id-c"]) == [Holder("id-a", "a")]


def test_a_log_names_a_record_by_twelve_digits() -> None:
    digits = hashlib.sha256(b"a@b.example").hexdigest()[:12]
    assert digest_of("a@b.example") == digits
    assert len(digest_of("half a sign \ud800")) == 12
    assert repr(outcome("a@b.example", Status.SUCCEEDED)) == f"Outcome({digits}, row_index=0, succeeded)"
    shown = repr(outcome("a@b.example", Status.REJECTED, error_code="exists"))
    assert shown == f"Outcome({digits}, row_index=0, rejected, error_code='exists')"


def test_a_refusal_of_our_own_names_its_codes() -> None:
    error = InvalidRecordError([("missing_key", "id", None), ("wrong_type", "name", "a text")])
    assert str(error) == "missing_key, wrong_type"
    assert error.errors == (("missing_key", "id", None), ("wrong_type", "name", "a text"))


@pytest.mark.parametrize(
    ("user", "password", "value"),
    [("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), ("test", "123\u00a3", "Basic dGVzdDoxMjPCow==")],
)
def test_a_header_is_made_as_the_standard_says(user: str, password: str, value: str) -> None:
    # Both examples are RFC 7617's own.
    assert basic(user, password).value == value
    assert "sesame" not in repr(basic(user, password))
    assert bearer("token").value == "Bearer token"
