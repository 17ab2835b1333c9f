from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.engine.policy import Decision, Disposition, decide, judge
from airflow_provider_contacts.outcome import RecordError, Status
from airflow_provider_contacts.records.record_state import RESPECT, RecordState
from airflow_provider_contacts.vendor_kit.push_settings import Assumptions
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import (
    Again,
    Created,
    Doubt,
    Payload,
    Rejected,
    Replies,
    Reply,
    Response,
    Stop,
    Vendor,
)
from tests.support.fake_vendor import EPOCH, VENDOR

ONE: list[Payload] = [{"name": "a"}]
TWO: list[Payload] = [{"name": "a"}, {"name": "b"}]


def judged(
    result: Result,
    sent: Sequence[Payload] = TWO,
    *,
    vendor: Vendor = VENDOR,
    refusals_atomic: bool = True,
    retry_after_is_refusal: bool = True,
) -> Disposition:
    assumptions = Assumptions(refusals_atomic=refusals_atomic, retry_after_is_refusal=retry_after_is_refusal)
    return judge(result, sent, vendor, assumptions, EPOCH)


def body(*rows: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"count": len(rows), "results": [*rows], **more}).encode()


def taken(*rows: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(200, headers or {}, body(*rows))


def said(replies: Sequence[Reply], **rest: Any) -> Disposition:
    return Disposition(replies=Replies.of(replies), **rest)


def both(reply: Reply) -> Replies:
    return Replies.of([reply] * 2)


def after(seconds: str) -> dict[str, str]:
    return {"retry-after": seconds}


BAD = RecordError("bad_name", "name")
REFUSED = b'{"code": "nope"}'
NAMING = b'{"code": "nope", "named": [1]}'
FIRST = {"at": 0, "id": "1"}
CREATED = body(FIRST, {"at": 1, "id": "2"})
MOVES, UNUSABLE, LATER = {"progress": True}, {"usable": False}, {"later": True}
SHUFFLED = body({"at": 1, "id": "2"}, FIRST)
NOT_THE_SECOND = {"at": 1, "rejected": "bad"}
SPARED = Again("refused_with_others")
BOTH = (Created("1"), Created("2"))
REFUSED_FIELD = Rejected((RecordError("bad", "name"),))
WISH = after("7")
IN_NINE_SECONDS = after(format_datetime(EPOCH + timedelta(seconds=9), usegmt=True))
BROKEN = (42, 101, 408, 500, 501, 502, 504, 520, 599)
FINAL = (300, 301, 302, 303, 304, 307, 308, 402, 403, 404, 405, 406, 410, 411, 414, 415, 418, 431, 451)
REFUSALS = (400, 409, 413, 422)
ILLEGIBLE = {"no JSON": b"<html>", "empty": b"", "no UTF-8": b"\xff\xfe{}", "half": CREATED[:-3]}

# Every row of the table: cause, then what each of two records of one request becomes.
TABLE: dict[str, tuple[Result, Reply | tuple[Reply, Reply], dict[str, Any]]] = {
    "never connected": (NotSent("not_connected"), Again("not_connected"), UNUSABLE),
    "mark too old": (NotSent("mark_expired"), Again("mark_expired"), UNUSABLE),
    "no token": (NotSent("token_unavailable", wait=7.0), Again("token_unavailable"), {**UNUSABLE, "wait": 7.0}),
    "token refused": (NotSent("token_refused", refused=True), Stop("token_refused"), {}),
    "timeout": (NoAnswer("timeout"), Doubt("timeout"), UNUSABLE),
    "connection lost": (NoAnswer("connection_lost"), Doubt("connection_lost"), UNUSABLE),
    "429": (Response(429), Again("rate_limited"), LATER),
    "429 with a wish": (Response(429, WISH), Again("rate_limited"), {"wait": 7.0, **LATER}),
    "429 with a date": (Response(429, IN_NINE_SECONDS), Again("rate_limited"), {"wait": 9.0, **LATER}),
    "425": (Response(425), Again("http_425"), LATER),
    "503": (Response(503), Doubt("http_503"), UNUSABLE),
    "503 with a wish": (Response(503, WISH), Again("http_503"), {"wait": 7.0, **LATER}),
    "503 with an unreadable wish": (Response(503, after("soon")), Doubt("http_503"), UNUSABLE),
    **{str(status): (Response(status), Doubt(f"http_{status}"), UNUSABLE) for status in BROKEN},
    **{f"{status} with a wish": (Response(status, WISH), Doubt(f"http_{status}"), UNUSABLE) for status in BROKEN},
    "401": (Response(401), Stop("http_401"), {"renew": True}),
    **{str(status): (Response(status), Stop(f"http_{status}"), {}) for status in FINAL},
    **{
        f"{status} naming nobody": (Response(status, body=REFUSED), SPARED, {"halve": True, **MOVES})
        for status in REFUSALS
    },
    **{
        f"{status} naming one": (Response(status, body=NAMING), (SPARED, Rejected((BAD,))), MOVES)
        for status in REFUSALS
    },
    "200, created": (Response(200, body=CREATED), BOTH, MOVES),
    "201, created": (Response(201, body=CREATED), BOTH, MOVES),
    "2xx, shuffled": (Response(200, body=SHUFFLED), BOTH, MOVES),
    "2xx, short": (Response(200, body=body(FIRST)), (Created("1"), Doubt("not_returned")), MOVES),
    "2xx, one refused": (taken(FIRST, NOT_THE_SECOND), (Created("1"), REFUSED_FIELD), MOVES),
    "2xx, one later, with a wish": (
        taken({"at": 0, "again": "busy"}, NOT_THE_SECOND, headers=WISH),
        (Again("busy"), REFUSED_FIELD),
        {**MOVES, "wait": 7.0, **LATER},
    ),
    "2xx, all later": (taken({"at": 0, "again": "busy"}, {"at": 1, "again": "busy"}), Again("busy"), {}),
    "2xx, no more at all": (taken(FIRST, {"at": 1, "stop": "plan"}), (Created("1"), Stop("plan")), MOVES),
    "2xx with a wish that concerns nobody": (Response(200, WISH, CREATED), BOTH, MOVES),
    "2xx, one in doubt": (taken(FIRST, {"at": 1, "doubt": "odd"}), (Created("1"), Doubt("odd", id="evidence")), MOVES),
    "2xx, counts disagree": (Response(200, body=body(FIRST, count=3)), Doubt("counts_disagree"), UNUSABLE),
    "204": (Response(204), Doubt("unreadable"), UNUSABLE),
    **{f"2xx, {name}": (Response(200, body=text), Doubt("unreadable"), UNUSABLE) for name, text in ILLEGIBLE.items()},
}


@pytest.mark.parametrize("cause", TABLE)
def test_what_a_cause_becomes(cause: str) -> None:
    result, replies, rest = TABLE[cause]
    wanted = replies if isinstance(replies, tuple) else (replies, replies)
    assert judged(result) == said(list(wanted), **rest)


NAMES_IT, NOPE = b'{"named": [0]}', Rejected((RecordError("nope"),))
ALONE: dict[str, tuple[Result, Reply]] = {
    **{f"{status} names it": (Response(status, body=NAMES_IT), Rejected((BAD,))) for status in REFUSALS},
    **{f"{status} has a code": (Response(status, body=REFUSED), NOPE) for status in (400, 409, 422)},
    **{
        f"{status} is mute": (Response(status), Rejected((RecordError(f"http_{status}"),)))
        for status in (400, 413, 422)
    },
    "409 is mute": (Response(409), Rejected((RecordError("conflict"),))),
    "422 names another": (Response(422, body=b'{"named": [5]}'), Rejected((BAD,))),
}


@pytest.mark.parametrize("cause", ALONE)
@pytest.mark.parametrize("atomic", [True, False])
def test_a_refused_record_alone_is_rejected_whatever_is_assumed(cause: str, atomic: bool) -> None:
    result, reply = ALONE[cause]
    assert judged(result, ONE, refusals_atomic=atomic) == said([reply], progress=True)


def test_without_the_assumption_a_503_with_a_wish_is_doubt() -> None:
    found = judged(Response(503, after("7")), retry_after_is_refusal=False)
    assert found == said([Doubt("http_503")] * 2, usable=False, later=True)
    assert judged(Response(429, after("7")), retry_after_is_refusal=False).replies == Replies.of(
        [Again("rate_limited")] * 2
    )


def test_a_vendor_may_have_more_statuses_that_mean_later() -> None:
    vendor = replace(VENDOR, again_statuses=frozenset({409, 404}))
    for status in (404, 409):
        assert judged(Response(status, after("3")), vendor=vendor) == said(
            [Again(f"http_{status}")] * 2, wait=3.0, later=True
        )
    assert judged(Response(403), vendor=vendor).replies == both(Stop("http_403"))


@given(
    st.integers(0, 999),
    st.binary(max_size=20) | st.just(CREATED),
    st.booleans(),
    st.booleans(),
    st.sampled_from([ONE, TWO]),
)
def test_only_a_2xx_creates_and_every_record_gets_a_reply(
    status: int, content: bytes, atomic: bool, refusal: bool, sent: list[Payload]
) -> None:
    found = judged(Response(status, body=content), sent, refusals_atomic=atomic, retry_after_is_refusal=refusal)
    assert len(found.replies) == len(sent)
    assert 200 <= status < 300 or not any(isinstance(reply, Created) for reply in found.replies)
    if status >= 500:
        assert all(isinstance(reply, Doubt) for reply in found.replies)


def broken(*_: Any) -> Any:
    raise KeyError("quotes ada@secret.example")


FAILED = (
    f"A reader of fake failed: KeyError in line {broken.__code__.co_firstlineno + 1}; its answer counts as unreadable"
)
MISCOUNTED = "The reader of fake does not give one reply for each of 2 records; they are unknown"


@pytest.mark.parametrize("reader", [broken, lambda *_: None, lambda *_: [], lambda *_: Replies.of([Created("1")] * 3)])
def test_a_reader_that_fails_or_miscounts_makes_doubt_not_success(
    reader: Any, caplog: pytest.LogCaptureFixture
) -> None:
    found = judged(Response(200, body=body()), vendor=replace(VENDOR, read=reader))
    assert found == said([Doubt("unreadable")] * 2, usable=False)
    assert caplog.messages == [FAILED if reader is broken else MISCOUNTED]


def test_a_reader_of_refusals_that_fails_names_nobody() -> None:
    vendor = replace(VENDOR, refusal=(broken,))
    assert judged(Response(422), vendor=vendor).halve
    assert judged(Response(422), ONE, vendor=vendor).replies == Replies.of([Rejected((RecordError("http_422"),))])
    assert judged(Response(422), vendor=vendor, refusals_atomic=False).replies == both(Doubt("http_422"))


# What becomes of a record before anything is sent.

HASH, OTHER_HASH = "v1:a", "v1:b"
TOKEN, RUN = "t9", "run-9"


def standing(
    status: Status, *, run: str = RUN, batch: str | None = "t1.1", payload: str = HASH, age: float = 10.0
) -> RecordState:
    return RecordState(
        record_identifier="k", status=status, batch_id=batch, sync_run_id=run, payload_hash=payload, age=age
    )


def decision(found: RecordState | None, *, fit: bool = True, on_unknown: Any = "hold", payload: str = HASH) -> Decision:
    return decide(found, payload, fit=fit, token=TOKEN, sync_run_id=RUN, on_unknown=on_unknown)


NEXT_TRY = {
    Status.SUCCEEDED: Decision.SKIP,
    Status.REJECTED: Decision.SETTLED,
    Status.INVALID: Decision.SETTLED,
    Status.FAILED: Decision.SEND,
    Status.UNKNOWN: Decision.HOLD,
    Status.SENDING: Decision.HOLD,
}
NEXT_RUN = {
    Status.SUCCEEDED: Decision.SKIP,
    Status.REJECTED: Decision.SEND,
    Status.INVALID: Decision.SEND,
    Status.FAILED: Decision.SEND,
    Status.UNKNOWN: Decision.HOLD,
    Status.SENDING: Decision.ELSEWHERE,
}


@pytest.mark.parametrize("status", NEXT_TRY)
def test_what_the_next_try_and_the_next_run_make_of_a_status(status: Status) -> None:
    assert decision(standing(status)) is NEXT_TRY[status]
    assert decision(standing(status, run="run-8")) is NEXT_RUN[status]


@pytest.mark.parametrize("on_unknown", ["hold", "reconcile", "resend"])
def test_delivered_is_final(on_unknown: str) -> None:
    for run, payload, fit in itertools.product((RUN, "run-8"), (HASH, OTHER_HASH), (True, False)):
        found = standing(Status.SUCCEEDED, run=run, payload=payload)
        assert decision(found, fit=fit, on_unknown=on_unknown) is Decision.SKIP


@pytest.mark.parametrize("status", [Status.UNKNOWN, Status.SENDING])
@pytest.mark.parametrize("fit", [True, False])
def test_a_doubt_is_resent_only_where_asked_for_and_fit(status: Status, fit: bool) -> None:
    assert decision(standing(status), fit=fit) is Decision.HOLD
    assert decision(standing(status), fit=fit, on_unknown="reconcile") is Decision.RECONCILE
    assert decision(standing(status), fit=fit, on_unknown="resend") is (Decision.RESEND if fit else Decision.HOLD)


@pytest.mark.parametrize("on_unknown", ["hold", "reconcile", "resend"])
@pytest.mark.parametrize("fit", [True, False])
def test_another_runs_mark_is_respected_for_an_hour(on_unknown: str, fit: bool) -> None:
    fresh, old = (standing(Status.SENDING, run="run-8", age=age) for age in (RESPECT - 0.1, RESPECT))
    assert decision(fresh, fit=fit, on_unknown=on_unknown) is Decision.ELSEWHERE
    wanted = {"reconcile": Decision.RECONCILE, "resend": Decision.RESEND if fit else Decision.HOLD}
    assert decision(old, fit=fit, on_unknown=on_unknown) is wanted.get(on_unknown, Decision.HOLD)


@pytest.mark.parametrize("age", [0.0, RESPECT * 2])
def test_a_mark_left_by_an_earlier_try_is_in_doubt_at_any_age(age: float) -> None:
    assert decision(standing(Status.SENDING, age=age)) is Decision.HOLD


@pytest.mark.parametrize("run", [RUN, "run-8"])
@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.UNKNOWN, Status.SENDING])
def test_our_own_check_never_replaces_a_stronger_word(status: Status, run: str) -> None:
    for payload in (HASH, OTHER_HASH):
        assert decision(standing(status, run=run, payload=payload), fit=False) is not Decision.INVALID


@pytest.mark.parametrize("status", [Status.REJECTED, Status.INVALID, Status.FAILED])
def test_our_own_check_replaces_a_weak_word_of_an_earlier_run(status: Status) -> None:
    assert decision(standing(status, run="run-8"), fit=False) is Decision.INVALID


@pytest.mark.parametrize("status", [status for status in Status if status not in {Status.SKIPPED, Status.DUPLICATE}])
def test_what_this_execution_decided_makes_a_duplicate(status: Status) -> None:
    for fit, on_unknown in itertools.product((True, False), ("hold", "resend")):
        assert decision(standing(status, batch=f"{TOKEN}.3"), fit=fit, on_unknown=on_unknown) is Decision.DUPLICATE


def test_only_a_whole_token_is_ours() -> None:
    assert decision(standing(Status.FAILED, batch=f"{TOKEN}1.3")) is Decision.SEND
    assert decision(standing(Status.FAILED, batch=TOKEN)) is Decision.SEND
    assert decision(standing(Status.FAILED, batch=None)) is Decision.SEND
