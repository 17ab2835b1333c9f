"""What a reply makes of a record, whole: every field of an outcome, a row and a group."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace as changed

from airflow_provider_contacts.engine.in_flight import Flight, Group, land, mark, never_sent, outcome_of, regroup
from airflow_provider_contacts.engine.policy import Verdict
from airflow_provider_contacts.outcome import Outcome, RecordError, Status
from airflow_provider_contacts.records.item import Doubted, Item, again
from airflow_provider_contacts.records.mapper import Prepared
from airflow_provider_contacts.records.record_state import Claim, RecordState
from airflow_provider_contacts.vendor_kit.results import NoAnswer
from airflow_provider_contacts.vendor_kit.vendor import Again, Created, Doubt, Rejected, Reply, Response, Stop

RUN = "run-1"
STANDING = RecordState(
    record_identifier="n0",
    status=Status.FAILED,
    batch_id="t0.4",
    sync_run_id="run-0",
    payload_hash="v1:old",
    destination_record_id="id-old",
    error_code="old",
    error_field="name",
    status_message="an old one",
    http_status=503,
    attempts=2,
    age=40.0,
    ended=30.0,
)


def item(number: int = 0, **values: Any) -> Item:
    prepared = Prepared(
        record_identifier=f"n{number}",
        row_index=number + 7,
        payload={"name": f"n{number}"},
        body=b"{}",
        payload_hash=f"v1:{number}",
    )
    given: dict[str, Any] = {"standing": STANDING, "attempts": 2, "not_before": 9.0, "claims": 1, "rounds": 1}
    return Item(prepared=prepared, **{**given, **values})


def outcome(status: Status, number: int = 0, **values: Any) -> Outcome:
    return Outcome(
        record_identifier=f"n{number}",
        row_index=number + 7,
        status=status,
        payload_hash=f"v1:{number}",
        payload={"name": f"n{number}"},
        **{"attempts": 3, "batch_id": "t1.5", **values},
    )


def flight(*items: Item, **values: Any) -> Flight:
    return Flight(group=Group(items=items, **values), batch_id="t1.5", marked_at=1000.0)


def test_a_mark_says_what_is_about_to_leave() -> None:
    assert mark(item(), "t1.5") == Claim(
        record_identifier="n0",
        row_index=7,
        batch_id="t1.5",
        attempts=3,
        payload_hash="v1:0",
        payload={"name": "n0"},
        standing=STANDING,
        body=b"{}",
    )


TEXT = RecordError("a", "name", "a text")
REPLIES: list[tuple[Reply, Status, dict[str, Any]]] = [
    (Created("id-1"), Status.SUCCEEDED, {"destination_record_id": "id-1"}),
    (Created(), Status.SUCCEEDED, {}),
    (
        Rejected((TEXT, RecordError("b"))),
        Status.REJECTED,
        {
            "error_code": "a",
            "error_field": "name",
            "status_message": "a text",
            "errors": (TEXT, RecordError("b")),
        },
    ),
    (Rejected(()), Status.REJECTED, {}),
    *(
        (
            reply,
            status,
            {"error_code": "x", "status_message": "why", "errors": (RecordError("x", None, "why"),), **more},
        )
        for reply, status, more in (
            (Again("x", "why"), Status.FAILED, {}),
            (Stop("x", "why"), Status.FAILED, {}),
            (Doubt("x", "why"), Status.UNKNOWN, {}),
            (Doubt("x", "why", "id-2"), Status.UNKNOWN, {"destination_record_id": "id-2"}),
        )
    ),
]


@pytest.mark.parametrize(("reply", "status", "said"), REPLIES)
def test_a_reply_becomes_an_outcome(reply: Reply, status: Status, said: dict[str, Any]) -> None:
    assert outcome_of(item(), reply, "t1.5", 207) == outcome(status, http_status=207, **said)
    in_doubt = status if status is Status.SUCCEEDED else Status.UNKNOWN
    assert outcome_of(item(doubted=True), reply, "t1.5", None) == outcome(in_doubt, **said)


def test_a_record_that_did_not_leave_failed_as_it_stands() -> None:
    assert never_sent(item(), "not_attempted", "t1.n", RUN) == outcome(
        Status.FAILED, error_code="not_attempted", attempts=2, batch_id="t1.n"
    )
    assert never_sent(item(doubted=True, standing=None), "c", None, RUN).status is Status.FAILED


@pytest.mark.parametrize("run", ["run-0", RUN])
def test_a_doubt_that_did_not_leave_stays_one(run: str) -> None:
    standing = changed(STANDING, status=Status.UNKNOWN, payload_hash="v1:0")
    assert never_sent(item(doubted=True, standing=standing), "not_attempted", "t1.n", run) == outcome(
        Status.UNKNOWN,
        destination_record_id="id-old",
        error_code="old",
        error_field="name",
        status_message="an old one",
        errors=(),
        http_status=503,
        attempts=2,
        batch_id="t0.4",
        from_this_run=run == "run-0",
    )


def test_a_record_goes_again_against_the_row_that_was_just_written() -> None:
    written = outcome(
        Status.FAILED,
        destination_record_id="id-1",
        error_code="busy",
        error_field="email",
        status_message="later",
        http_status=429,
        attempts=8,
    )
    assert again(item(doubted=True, reconciled=True), written, RUN) == item(
        doubted=True,
        reconciled=True,
        not_before=0.0,
        attempts=8,
        standing=RecordState(
            record_identifier="n0",
            status=Status.FAILED,
            batch_id="t1.5",
            sync_run_id=RUN,
            payload_hash="v1:0",
            destination_record_id="id-1",
            error_code="busy",
            error_field="email",
            status_message="later",
            http_status=429,
            attempts=8,
            was_in_doubt=True,
        ),
    )


# Groups.


def verdict(*replies: Reply, **values: Any) -> Verdict:
    return Verdict(replies=replies, **values)


@pytest.mark.parametrize(
    ("said", "tries", "renewed"),
    [({}, 3, False), ({"progress": True}, 2, False), ({"renew": True}, 2, True)],
)
def test_a_try_is_counted_only_where_nothing_came_of_it(said: dict[str, bool], tries: int, renewed: bool) -> None:
    group = Group(items=(), tries=2, due=1.0)
    back = [item(0), item(1)]
    assert regroup(group, back, verdict(**said), 7.5) == [
        Group(items=tuple(back), tries=tries, renewed=renewed, due=7.5)
    ]


def test_a_renewed_credential_is_remembered() -> None:
    assert regroup(Group(items=(), renewed=True), [item()], verdict(), 0.0)[0].renewed


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (2, [1, 1]), (3, [2, 1]), (5, [3, 2])])
def test_halves_are_halves(count: int, sizes: list[int]) -> None:
    back = [item(number) for number in range(count)]
    parts = regroup(Group(items=()), back, verdict(halve=True), 0.0)
    assert [len(part.items) for part in parts] == sizes
    assert [one for part in parts for one in part.items] == back


# What becomes of a whole request.


def test_a_flight_sends_its_records_in_order() -> None:
    assert flight(item(1), item(0)).sent == [{"name": "n1"}, {"name": "n0"}]


@pytest.mark.parametrize("replies", [[Created("1")], [Created("1")] * 3])
def test_no_record_is_lost_where_replies_are(replies: list[Reply]) -> None:
    with pytest.raises(ValueError, match="zip"):
        land(flight(item(0), item(1)), Response(200), verdict(*replies), again_due=None, sync_run_id=RUN)


def test_what_goes_again_is_grouped_and_its_rows_are_certain_meanwhile() -> None:
    items = [item(number) for number in range(4)]
    replies: list[Reply] = [Created("id-0"), Again("busy"), Doubt("lost"), Again("busy")]
    landing = land(flight(*items), Response(200), verdict(*replies), again_due=5.0, sync_run_id=RUN)
    outcomes = [outcome_of(one, reply, "t1.5", 200) for one, reply in zip(items, replies, strict=True)]
    assert landing.outcomes == [outcomes[0], outcomes[2]]
    assert landing.interim == [outcomes[1], outcomes[3]]
    back = (again(items[1], outcomes[1], RUN), again(items[3], outcomes[3], RUN))
    assert landing.groups == [Group(items=back, tries=1, due=5.0)]
    assert landing.doubts == []
    assert landing.written == [outcomes[0], outcomes[2], outcomes[1], outcomes[3]]


def test_what_may_not_go_again_is_done_with() -> None:
    landing = land(flight(item()), NoAnswer("x"), verdict(Again("busy")), again_due=None, sync_run_id=RUN)
    assert landing.outcomes == [outcome_of(item(), Again("busy"), "t1.5", None)]
    assert (landing.interim, landing.groups) == ([], [])


@pytest.mark.parametrize("renew", [True, False])
def test_a_refused_credential_goes_again_only_with_a_new_one(renew: bool) -> None:
    said = verdict(Stop("http_401"), Doubt("x"), renew=renew)
    landing = land(flight(item(0), item(1)), Response(401), said, again_due=5.0, sync_run_id=RUN)
    assert [len(group.items) for group in landing.groups] == ([1] if renew else [])
    assert [one.row_index for one in landing.outcomes] == ([8] if renew else [7, 8])


def test_a_doubt_is_looked_for_where_the_vendor_can_be_read_back() -> None:
    items = [item(0), item(1)]
    said = verdict(Doubt("lost"), Created("id-1"))
    landing = land(flight(*items), NoAnswer("lost"), said, again_due=5.0, sync_run_id=RUN, read_back=True)
    lost = outcome_of(items[0], Doubt("lost"), "t1.5", None)
    assert landing.doubts == [Doubted(item=again(items[0], lost, RUN), outcome=lost)]
    assert landing.outcomes == [outcome_of(items[1], Created("id-1"), "t1.5", None)]
    assert landing.written == [*landing.outcomes, lost]


EXISTS = Rejected((RecordError("bad"), RecordError("exists")))


@pytest.mark.parametrize("read_back", [True, False])
def test_exists_of_a_record_that_was_in_doubt_is_doubt_again(read_back: bool) -> None:
    was, codes = item(reconciled=True), {"exists"}
    unsure = outcome_of(was, EXISTS, "t1.5", 422, codes)
    assert (unsure.status, unsure.error_code) == (Status.UNKNOWN, "bad")
    said = verdict(EXISTS)
    landing = land(
        flight(was), Response(422), said, again_due=5.0, sync_run_id=RUN, read_back=read_back, exists_codes=codes
    )
    looked = Doubted(item=again(was, unsure, RUN), outcome=unsure, exists=True)
    assert (landing.doubts, landing.outcomes) == (([looked], []) if read_back else ([], [unsure]))


@pytest.mark.parametrize(
    ("reply", "http_status"),
    [
        (Rejected((RecordError("house_rule"),)), 200),
        (Rejected((RecordError("bad"), RecordError("EMAIL_EXISTS"))), 422),
        (Rejected((RecordError("DUPLICATE_CONTACT", "email"),)), 200),
        (Rejected((RecordError("http_422", None, "external_id has already been taken"),)), 422),
        (Rejected((RecordError("bad"),)), 409),
    ],
)
def test_a_vendor_says_it_in_its_own_words_or_by_the_status(reply: Reply, http_status: int) -> None:
    codes = {"house_rule"}
    assert outcome_of(item(reconciled=True), reply, "t1.5", http_status, codes).status is Status.UNKNOWN
    assert outcome_of(item(), reply, "t1.5", http_status, codes).status is Status.REJECTED


@pytest.mark.parametrize("reply", [Rejected((RecordError("bad"), RecordError("worse"))), Again("exists"), Stop("x")])
def test_what_is_certain_once_more_remembers_that_it_was_in_doubt(reply: Reply) -> None:
    found = outcome_of(item(reconciled=True), reply, "t1.5", 422, {"exists"})
    plain = outcome_of(item(), reply, "t1.5", 422, {"exists"})
    assert found.status is plain.status
    assert found.error_code == plain.error_code
    assert found.errors == (plain.errors[0], RecordError("absent"), *plain.errors[1:])
    left = never_sent(item(reconciled=True), "not_attempted", "t1.6", RUN)
    assert left.errors == (RecordError("not_attempted"), RecordError("absent"))
