"""A vendor says "exists already" of a record that was in doubt: it stays in doubt, in every later try, too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from airflow_provider_contacts.engine.policy import judge
from airflow_provider_contacts.engine.results import result_of
from airflow_provider_contacts.errors import RefusedError
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.batch import History
from airflow_provider_contacts.vendor_kit.push_settings import Assumptions
from airflow_provider_contacts.vendor_kit.vendor import Payload, Rejected, Response, Vendor
from airflow_provider_contacts.vendors import apptoto, dex, intermezzo, nedzo, talkdesk
from tests.support.batches import batch_of
from tests.support.fake_vendor import (
    APPLIED_AND_LOST,
    EPOCH,
    LOST,
    NOT_CONNECTED,
    READABLE,
    VENDOR,
    Deed,
    Pushed,
    Script,
    World,
    answers,
    first,
    names,
)

REFUSES: dict[str, Deed] = {
    "in a 2xx": Deed(edit=lambda rows: [{"at": row["at"], "rejected": "exists"} for row in rows], applies=False),
    "by 409": Deed(status=409, applies=False, body=b'{"code": "refused"}'),
    "by a code of its own": Deed(
        edit=lambda rows: [{"at": row["at"], "rejected": "EMAIL_ALREADY_TAKEN"} for row in rows], applies=False
    ),
}
BUSY = answers(429)


def reconciled(world: World, rows: Sequence[Any] = (), **options: Any) -> Pushed:
    return world.push(rows or names(1), **{"vendor": READABLE, "on_unknown": "reconcile", **options})


def never_shown(script: Script) -> World:
    """Return a vendor whose reads do not show what exists."""
    return World(script, read_lag=1e9)


@pytest.mark.parametrize("refusal", REFUSES.values(), ids=REFUSES)
def test_absent_then_exists_then_absent_stays_unknown(refusal: Deed) -> None:
    world = never_shown(first(APPLIED_AND_LOST, then=refusal))
    pushed = reconciled(world)
    assert pushed.counts() == {"unknown": 1}
    assert world.table.statuses() == {"n0": "unknown"}
    assert len(world.server.requests) == 2
    # The contradiction between the vendor's word and its reads is not resolved by sending again, in no later run.
    world.later()
    assert reconciled(world, run="run-2").counts() == {"unknown": 1}
    assert len(world.server.requests) == 2


def test_it_is_found_once_the_reads_show_it() -> None:
    world = never_shown(first(APPLIED_AND_LOST, then=REFUSES["in a 2xx"]))
    reconciled(world)
    world.server.read_lag = 0.0
    assert reconciled(world, run="run-2").counts() == {"succeeded": 1}
    assert world.server.created() == {"n0": 1}


@pytest.mark.parametrize("mode", ["reconcile", "hold", "resend"])
@pytest.mark.parametrize("between", [[BUSY], [NOT_CONNECTED], [answers(403)]], ids=["429", "no connection", "403"])
def test_the_doubt_is_remembered_by_a_later_run(between: list[Deed], mode: Any) -> None:
    world = never_shown(first(APPLIED_AND_LOST, *between, then=REFUSES["in a 2xx"]))
    # Not found, sent again, and then not even refused: the row is certain again when this try ends.
    pushed = reconciled(world, request_attempts=1)
    assert pushed.counts() == {"failed": 1}
    assert pushed.error is None or isinstance(pushed.error, RefusedError)
    world.later()
    later = reconciled(world, run="run-2", on_unknown=mode)
    assert later.counts() == {"unknown": 1}
    assert world.table.statuses() == {"n0": "unknown"}


def test_the_doubt_is_remembered_behind_another_refusal() -> None:
    bad = Deed(edit=lambda rows: [{"at": row["at"], "rejected": "bad"} for row in rows], applies=False)
    world = never_shown(first(APPLIED_AND_LOST, bad, then=REFUSES["in a 2xx"]))
    assert reconciled(world).counts() == {"rejected": 1}
    changed = [{"name": "n0", "note": "corrected"}]
    # Our own check refuses it in between.
    assert reconciled(world, [{"name": "n0", "age": -1}], run="run-2").counts() == {"invalid": 1}
    assert reconciled(world, changed, run="run-3").counts() == {"unknown": 1}


def test_the_doubt_is_remembered_by_what_was_not_attempted() -> None:
    world = never_shown(first(APPLIED_AND_LOST, LOST, then=REFUSES["in a 2xx"]))
    stopped = lambda: len(world.server.read_at) >= 2 and world.table.statuses() == {"n0": "failed"}  # noqa: E731
    pushed = reconciled(world, stopping=stopped)
    assert pushed.counts() == {"failed": 1}
    assert reconciled(world, run="run-2").counts() == {"unknown": 1}


def test_a_resent_doubt_stays_one_whatever_the_vendor_says() -> None:
    for refusal in REFUSES.values():
        world = World(first(APPLIED_AND_LOST, then=refusal))
        world.push(names(1), vendor=READABLE)
        world.later()
        for run in ("run-2", "run-3"):
            resent = world.push(names(1), vendor=READABLE, run=run, on_unknown="resend")
            assert resent.counts() == {"unknown": 1}
            world.later()


def test_the_same_word_about_a_record_without_a_doubt_is_a_rejection() -> None:
    world = never_shown(first(answers(422), then=REFUSES["in a 2xx"]))

    def refuses(payload: Payload) -> bool:
        return bool(payload["name"] == "n1")

    world.server.refuses = refuses
    pushed = world.push(names(2), vendor=VENDOR)
    assert pushed.counts() == {"rejected": 2}
    for run in ("run-2", "run-3"):
        assert world.push(names(2), vendor=READABLE, run=run, on_unknown="reconcile").counts() == {"rejected": 2}
    assert {row.status for row in world.table.rows.values()} == {Status.REJECTED}


# Every vendor, in its own words.


def said(status: int, body: Any) -> Response:
    return Response(status, {}, json.dumps(body).encode())


ANN: dict[str, Any] = {"name": "Ann", "email": "a@example.com"}
DETAIL = {"detail": [{"loc": ["body", 0, "email"], "msg": "in use", "type": "value_error"}]}
WORDS: list[tuple[Vendor, Response]] = [
    *((one, Response(409)) for one in (apptoto.VENDOR, dex.VENDOR, intermezzo.VENDOR, nedzo.VENDOR)),
    *((one, said(409, DETAIL)) for one in (apptoto.VENDOR, dex.VENDOR, intermezzo.VENDOR, nedzo.VENDOR)),
    (intermezzo.VENDOR, said(409, {"error": "CONTACT_IN_USE", "message": "no"})),
    (intermezzo.VENDOR, said(422, {"error": "EMAIL_TAKEN", "message": "no"})),
    (intermezzo.VENDOR, said(200, {"total": 1, "succeeded": 0, "failed": 1, "unprocessed": 0, "data": [],
        "errors": [{"inputIndex": 0, "errors": [{"code": "DUPLICATE_CONTACT", "field": "email"}]}]})),
    (nedzo.VENDOR, said(200, {"status_code": 409, "message": "no"})),
    (nedzo.VENDOR, said(400, {"message": "A contact with this email already exists", "status_code": 400})),
    *(
        (talkdesk.VENDOR, said(201, {"total_created": 0, "_embedded": {"records": [{**ANN, "errors": ["ODD", code]}]}}))
        for code in ("PHONE_NUMBER_NOT_UNIQUE", "EXTERNAL_ID_AND_PROVIDER_NOT_UNIQUE")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("vendor", "answer"), WORDS)
def test_every_vendors_word_is_understood(vendor: Vendor, answer: Response) -> None:
    found = judge(answer, [ANN], vendor, Assumptions(), EPOCH)
    assert [type(reply) for reply in found.replies] == [Rejected], found
    histories = [History(reconciled=doubted) for doubted in (True, False)]
    batches = [batch_of("a", payloads=[ANN], histories={0: history}) for history in histories]
    results = [result_of(batch, found, answer.status) for batch in batches]
    assert [one.exceptions[0].status for one in results] == [Status.UNKNOWN, Status.REJECTED]
