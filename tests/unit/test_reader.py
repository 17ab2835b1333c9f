"""A reading by hand: which request leaves when, and what each response proves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace as changed

from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.pacing.bucket import Pace
from airflow_provider_contacts.reconcile.findings import Finding, InDoubt
from airflow_provider_contacts.reconcile.reader import (
    CLOCK_ERROR,
    READS,
    ROUNDING,
    VENDOR_CLOCKS,
    ReadContext,
    Reader,
)
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.records.record import Record
from airflow_provider_contacts.records.record_state import Holder, RecordState
from airflow_provider_contacts.vendor_kit.push_settings import PushSettings
from airflow_provider_contacts.vendor_kit.reads import Contact, Page, Question, ReadBack
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import Destination, Payload, Request, Response
from tests.support.fake_vendor import EPOCH, LIMITS, READABLE, FakeClock

DELAY = 5.0
OK = Response(200)


def in_doubt(name: str = "a", *, sought: Payload | None = None, **values: Any) -> InDoubt:
    payload = {"name": name, "email": f"{name}@b.example"} if sought is None else sought
    given: dict[str, Any] = {"marked_at": 900.0, "absent_from": 900.0, "sought": payload, **values}
    record = Record(record_identifier=name, row_index=0, payload=payload, body=b"", payload_hash="v1:x")
    return InDoubt(record=record, state=RecordState(record_identifier=name, status=Status.UNKNOWN), **given)


def found(about: InDoubt, contact_id: str = "1") -> Finding:
    return Finding(about, "found", contact_id)


def absent(about: InDoubt) -> Finding:
    return Finding(about, "absent")


def contact(contact_id: str = "1", name: str = "a", *, created_at: datetime | None = None, **fields: Any) -> Contact:
    return Contact(id=contact_id, fields={"name": name, "email": f"{name}@b.example", **fields}, created_at=created_at)


OTHER_NAME = Contact(id="1", fields={"name": "Another", "email": "a@b.example"})
"""Has the address that was sent, under another name."""


def question(page: int, *about: int) -> Question:
    return Question(request=Request("GET", "/contacts", query=(("page", str(page)),)), about=about)


def by_one(sought: Sequence[Payload]) -> list[Question]:
    return [question(index, index) for index in range(len(sought))]


def pages(requests: Sequence[Request]) -> list[str]:
    return [dict(request.query)["page"] for request in requests]


class Bench:
    """A reading, and the pages that responses stand for."""

    def __init__(
        self,
        *records: InDoubt,
        questions: Callable[[Sequence[Payload]], list[Question]] = lambda sought: [question(1, *range(len(sought)))],
        held: Callable[[Collection[str]], Collection[Holder]] = lambda _: [],
        renewable: bool = False,
        pace: Pace | None = None,
        again_statuses: frozenset[int] = frozenset(),
        absent_statuses: frozenset[int] = frozenset(),
        **values: Any,
    ) -> None:
        self.time = FakeClock()
        self.pages: list[Page] = []
        self.asked: list[Request] = []
        settings: dict[str, Any] = {"limits": LIMITS, "reconcile_delay": DELAY, "request_attempts": 3, **values}

        def ask(sought: Sequence[Payload], destination: Destination) -> list[Question]:
            assert destination == {"list": "7"}
            return questions(sought)

        read_back = ReadBack(
            questions=ask, read=self._read, identity=("email",), most_requests=9, absent_statuses=absent_statuses
        )
        ledger: Any = SimpleNamespace(holders=held)
        sender: Any = SimpleNamespace(renewable=renewable)
        vendor = replace(READABLE, again_statuses=again_statuses)
        context = ReadContext(
            mapper=Mapper(vendor=vendor, destination={"list": "7"}, sync_id="s"),
            ledger=ledger,
            sender=sender,
            settings=PushSettings(**settings),
            pace=pace or Pace(None),
            clock=self.time.clock(),
        )
        self.reader = Reader(records, read_back, context)

    def _read(self, response: Response, asked: Question) -> Page:
        assert response.status < 500
        assert asked.about
        return self.pages.pop(0)

    def take(self, room: int = 10) -> list[Request]:
        """Return the requests that leave now; ``room`` may be under way."""
        before = len(self.asked)

        def submit(request: Request) -> int:
            self.asked.append(request)
            return len(self.asked)

        self.reader.ask(submit, room)
        return self.asked[before:]

    def answer(self, request: Request, result: Result) -> bool:
        """Answer a request that was asked last; return whether the credential must be renewed."""
        return self.reader.on_result(len(self.asked) - self.asked[::-1].index(request), result)

    def one(self) -> Request:
        """Return the one request that leaves now."""
        (request,) = self.take()
        return request

    def show(self, *contacts: Contact, more: Question | None = None, response: Response = OK) -> list[Finding]:
        """Answer the one request with these contacts."""
        self.pages.append(Page(contacts=contacts, more=more))
        return self.fail(response)

    def fail(self, result: Result) -> list[Finding]:
        """Answer the one request."""
        assert self.answer(self.one(), result) is False
        return self.reader.findings()

    def next_in(self) -> float:
        return self.reader.next_at(self.time.seconds) - self.time.seconds


# How many passes, and when.


def test_the_second_read_without_it_proves_absence() -> None:
    record = in_doubt()
    bench = Bench(record)
    assert READS == 2
    assert bench.show() == []
    assert (bench.next_in(), bench.take(), bench.reader.done) == (DELAY, [], False)
    bench.time.advance(DELAY)
    assert bench.show() == [absent(record)]
    assert bench.reader.done
    assert (bench.next_in(), bench.take(), bench.reader.findings()) == (inf, [], [])


def test_a_read_before_the_request_must_have_ended_can_find_but_not_miss() -> None:
    record = in_doubt(absent_from=1000.0 + 3 * DELAY)
    bench = Bench(record)
    assert bench.next_in() == 0.0
    assert bench.show() == []
    assert bench.next_in() == 3 * DELAY
    for expected in ([], [absent(record)]):
        bench.time.advance(bench.next_in())
        assert bench.show() == expected


@pytest.mark.parametrize(("wait", "first"), [(2 * DELAY, 2 * DELAY), (2 * DELAY + 0.1, 0.0)])
def test_a_short_wait_for_the_last_record_saves_a_pass(wait: float, first: float) -> None:
    bench = Bench(in_doubt("a"), in_doubt("b", absent_from=1000.0 + wait))
    assert bench.next_in() == pytest.approx(first)
    assert len(bench.take()) == (0 if first else 1)
    bench.time.advance(first)
    assert len(bench.take()) == (1 if first else 0)


def test_what_was_sent_must_be_known() -> None:
    known, unknown = in_doubt("a"), replace(in_doubt("b"), sought=None)
    bench = Bench(unknown, known)
    assert bench.reader.findings() == [Finding(unknown, "not_read_back")]
    assert bench.show(contact()) == [found(known)]
    assert Bench(unknown).reader.done


# Which requests leave.


def test_the_vendor_is_told_what_was_sent() -> None:
    told: list[Payload] = []

    def questions(sought: Sequence[Payload]) -> list[Question]:
        told.extend(sought)
        return by_one(sought)

    Bench(in_doubt("a"), in_doubt("b", sought={"name": "B"}), questions=questions).take()
    assert told == [{"name": "a", "email": "a@b.example"}, {"name": "B"}]


def test_room_and_pace_bound_what_leaves() -> None:
    bench = Bench(*map(in_doubt, "abcd"), questions=by_one, pace=Pace(1.0, 3))
    assert pages(bench.take(2)) == ["0", "1"]
    assert bench.take(2) == []
    assert pages(bench.take(8)) == ["2"]
    assert bench.take(8) == []
    assert bench.next_in() == 1.0
    bench.time.advance(1.0)
    assert pages(bench.take(8)) == ["3"]
    assert bench.next_in() == inf


def test_a_request_is_asked_once_a_pass() -> None:
    records = [in_doubt(name) for name in "ab"]
    bench = Bench(*records, questions=lambda _: [question(1, 0), question(1, 1)])
    # The second of two equal requests is not sent, so its record has not been looked for.
    assert bench.show(contact("1", "a")) == [found(records[0]), Finding(records[1], "read_failed")]


def test_no_more_requests_than_the_vendor_allows() -> None:
    assert len(Bench(*map(in_doubt, "abcdefghijkl"), questions=by_one).take(20)) == 9


def test_a_record_that_no_question_is_about_is_not_read_back() -> None:
    records = [in_doubt(name) for name in "ab"]
    bench = Bench(*records, questions=lambda _: [question(1, 1)])
    bench.one()
    assert bench.reader.findings() == [Finding(records[0], "not_read_back")]
    nothing = Bench(*records, questions=lambda _: [])
    assert nothing.take() == []
    assert nothing.reader.findings() == [Finding(record, "not_read_back") for record in records]
    assert nothing.reader.done


def test_further_pages_are_about_the_same_records() -> None:
    record = in_doubt()
    bench = Bench(record, in_doubt("b"))
    assert bench.show(more=question(2, 5)) == []
    request = bench.one()
    assert pages([request]) == ["2"]
    bench.pages.append(Page(contacts=(contact(),)))
    bench.answer(request, OK)
    assert bench.reader.findings() == [found(record)]


def test_giving_up_returns_what_has_no_finding() -> None:
    records = [in_doubt(name) for name in "abc"]
    bench = Bench(*records, questions=by_one)
    bench.take(1)
    assert bench.reader.give_up() == records
    assert bench.take() == []
    assert bench.reader.give_up() == []


# Reads that fail.


@pytest.mark.parametrize(
    "result",
    [
        *(Response(status) for status in (404, 403, 401, 302, 199, 300)),
        NotSent("token_refused", refused=True),
        NotSent("token_unavailable", wait=60.1),
        Response(429, {"retry-after": "61"}),
    ],
)
def test_what_is_not_repeated(result: Result) -> None:
    record = in_doubt()
    bench = Bench(record, max_wait=60.0)
    assert bench.fail(result) == [Finding(record, "read_failed")]
    assert bench.reader.done


@pytest.mark.parametrize(
    "result",
    [
        *(Response(status) for status in (408, 425, 429, 500, 502, 503, 504, 418)),
        NoAnswer("timeout"),
        NotSent("not_connected"),
    ],
)
def test_what_is_repeated_after_a_growing_pause(result: Result) -> None:
    record = in_doubt()
    bench = Bench(record, again_statuses=frozenset({418}), max_wait=0.1)
    for pause in (0.375, 0.75):  # half a second, then one, less a quarter by the clock's chance
        assert bench.fail(result) == []
        assert bench.next_in() == pytest.approx(pause)
        bench.time.advance(pause + 1e-6)
    assert bench.fail(result) == [Finding(record, "read_failed")]


@pytest.mark.parametrize(
    ("result", "wait"),
    [
        (Response(429, {"retry-after": "60"}), 60.0),
        (Response(503, {"retry-after": format_datetime(EPOCH + timedelta(seconds=1020), usegmt=True)}), 20.0),
        (NotSent("token_unavailable", wait=60.0), 60.0),
    ],
)
def test_retry_after_is_obeyed_and_binds_creates_too(result: Result, wait: float) -> None:
    pace = Pace(None)
    bench = Bench(in_doubt(), max_wait=60.0, pace=pace)
    assert bench.fail(result) == []
    assert bench.next_in() == wait
    assert pace.next_at(1000.0) == 1000.0 + wait
    bench.time.advance(wait)
    bench.one()


def test_a_retry_after_of_no_time_pauses_nothing() -> None:
    pace = Pace(None)
    bench = Bench(in_doubt(), pace=pace)
    bench.fail(Response(503, {"retry-after": "0"}))
    assert pace.next_at(0.0) == 0.0
    assert bench.next_in() == pytest.approx(0.375)


def test_a_failed_read_costs_only_its_own_records() -> None:
    records = [in_doubt(name) for name in "ab"]
    bench = Bench(*records, questions=by_one)
    first, second = bench.take()
    bench.pages.append(Page(contacts=()))
    bench.answer(first, Response(404))
    bench.answer(second, OK)
    assert bench.reader.findings() == [Finding(records[0], "read_failed")]
    bench.time.advance(DELAY)
    assert bench.show(contact("1", "b")) == [found(records[1])]


def test_what_a_failed_read_had_shown_before_still_counts() -> None:
    record = in_doubt()
    bench = Bench(record)
    bench.show(contact(), more=question(2, 0))
    assert bench.fail(Response(404)) == [found(record)]


@pytest.mark.parametrize(
    ("result", "renewable", "renewed"),
    [(Response(401), True, True), (Response(401), False, False), (Response(403), True, False),
     (NoAnswer("401"), True, False)],
)  # fmt: skip
def test_a_refused_credential_is_renewed_once_a_request(result: Result, renewable: bool, renewed: bool) -> None:
    record = in_doubt()
    bench = Bench(record, renewable=renewable)
    assert bench.answer(bench.one(), result) is renewed
    if renewed:
        request = bench.one()
        assert bench.answer(request, result) is False
        assert bench.reader.findings() == [Finding(record, "read_failed")]


def test_a_status_that_means_absent_is_read_like_any_page() -> None:
    record = in_doubt()
    bench = Bench(record, absent_statuses=frozenset({404}))
    assert bench.show(response=Response(404)) == []
    bench.time.advance(DELAY)
    assert bench.show(response=Response(299)) == [absent(record)]


# What a contact proves.


@pytest.mark.parametrize(
    ("holders", "shown", "proves"),
    [
        ([], [OTHER_NAME], "ambiguous"),
        # A likeness that another row explains is none.
        ([Holder("1", "k"), Holder("2", "other")], [OTHER_NAME, contact("2")], None),
        ([Holder("1", None)], [OTHER_NAME], None),
        # One that agrees is another sync_id's record: the same person.
        ([Holder("2", None)], [contact("2")], "ambiguous"),
        # Its own row names it.
        ([Holder("1", "a")], [contact("1")], "found"),
    ],
)
def test_whose_a_contact_is(holders: list[Holder], shown: list[Contact], proves: str | None) -> None:
    asked: list[set[str]] = []

    def held(ids: Collection[str]) -> list[Holder]:
        asked.append(set(ids))
        return holders

    words = [one.word for one in Bench(in_doubt(), held=held).show(*shown)]
    assert words == ([proves] if proves else [])
    assert asked == [{one.id for one in shown}]


def test_a_ledger_is_not_asked_about_nothing() -> None:
    def held(_: Collection[str]) -> list[Holder]:
        raise AssertionError("asked")

    assert Bench(in_doubt(), held=held).show(contact("1", "z")) == []


def test_a_contact_is_given_once_in_all_passes() -> None:
    same = {"name": "x", "email": "x@b.example"}
    records = [in_doubt("a", sought=same), in_doubt("b", sought=same), in_doubt("c", sought={**same, "note": "n"})]
    bench = Bench(*records)
    shown = [contact("1", "x"), contact("2", "x", note="m")]
    assert bench.show(*shown) == [found(records[0], "1"), found(records[1], "2")]
    bench.time.advance(DELAY)
    assert bench.show(*shown) == [absent(records[2])]


def test_a_page_that_shows_other_records_settles_only_its_own() -> None:
    bench = Bench(*map(in_doubt, "ab"), questions=by_one)
    first, second = bench.take()
    bench.pages = [Page(contacts=(contact("2", "b"),)), Page(contacts=())]
    bench.answer(first, OK)
    bench.answer(second, OK)
    assert bench.reader.findings() == []


MARKED = EPOCH + timedelta(seconds=900)
WITH_DATE = Response(200, {"date": format_datetime(EPOCH + timedelta(seconds=1000), usegmt=True)})


@pytest.mark.parametrize(
    ("older", "response", "proves"),
    [
        (ROUNDING, WITH_DATE, "found"),
        (ROUNDING + 0.1, WITH_DATE, "ambiguous"),
        (VENDOR_CLOCKS, WITH_DATE, "ambiguous"),
        (VENDOR_CLOCKS + 0.1, WITH_DATE, None),
        (-50.0, WITH_DATE, "found"),
        (ROUNDING, OK, "found"),
        (ROUNDING + 0.1, OK, "ambiguous"),
        (CLOCK_ERROR, OK, "ambiguous"),
        (CLOCK_ERROR + 0.1, OK, None),
        # A zone of -0000 is no zone: such a date tells as much as none.
        (CLOCK_ERROR, Response(200, {"date": "Fri, 02 Jan 2026 03:20:45 -0000"}), "ambiguous"),
        (CLOCK_ERROR, Response(200, {"date": "soon"}), "ambiguous"),
    ],
)
def test_what_is_older_than_the_claim_is_another_contact(older: float, response: Response, proves: str | None) -> None:
    shown = contact(created_at=MARKED - timedelta(seconds=older))
    assert [one.word for one in Bench(in_doubt()).show(shown, response=response)] == ([proves] if proves else [])


def test_a_claim_whose_moment_is_not_known_exactly_may_be_older() -> None:
    vague = in_doubt()
    vague = replace(vague, state=changed(vague.state, oldest=100.0))
    shown = contact(created_at=MARKED - timedelta(seconds=VENDOR_CLOCKS + 0.1))
    assert Bench(vague).show(shown, response=WITH_DATE) == [Finding(vague, "ambiguous")]


def test_a_moment_without_a_zone_tells_nothing() -> None:
    record = in_doubt()
    naive = datetime(1999, 1, 1)  # noqa: DTZ001  # that is the point
    assert Bench(record).show(contact(created_at=naive)) == [found(record)]
