"""A reading by hand: which request leaves when, and what each answer proves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from math import inf
from typing import Any

import pytest

from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.pacing.bucket import Pace
from airflow_provider_contacts.reconcile.in_doubt import Absent, Ask, Case, Finding, Found, Open
from airflow_provider_contacts.reconcile.reading import (
    CLOCK_ERROR,
    READS,
    ROUNDING,
    VENDOR_CLOCKS,
    Reading,
    summary_of,
    vendor_time,
)
from airflow_provider_contacts.records.mapper import Prepared
from airflow_provider_contacts.records.record_state import Holder, RecordState
from airflow_provider_contacts.vendor_kit.push_settings import PushSettings
from airflow_provider_contacts.vendor_kit.reads import Contact, Page, Question, ReadBack
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import Destination, Payload, Request, Response, Vendor
from tests.support.fake_vendor import EPOCH, LIMITS, READABLE, FakeClock

DELAY = 5.0
OK = Response(200)


def a_case(name: str = "a", *, sought: Payload | None = None, **values: Any) -> Case:
    payload = {"name": name, "email": f"{name}@b.example"} if sought is None else sought
    given: dict[str, Any] = {"marked_at": 900.0, "absent_from": 900.0, "sought": payload, **values}
    record = Prepared(record_identifier=name, row_index=0, payload=payload, body=b"", payload_hash="v1:x")
    return Case(record=record, standing=RecordState(record_identifier=name, status=Status.UNKNOWN), **given)


def contact(found: str = "1", name: str = "a", **fields: Any) -> Contact:
    made = fields.pop("created_at", None)
    return Contact(id=found, fields={"name": name, "email": f"{name}@b.example", **fields}, created_at=made)


def other_name() -> Contact:
    """Return a contact with the address that was sent, under another name."""
    return Contact(id="1", fields={"name": "Another", "email": "a@b.example"})


def question(page: int, *about: int) -> Question:
    return Question(request=Request("GET", "/contacts", query=(("page", str(page)),)), about=about)


class Bench:
    """A reading, and the pages that answers stand for."""

    def __init__(self, *cases: Case, room: int = 10, pace: Pace | None = None, **values: Any) -> None:
        self.time = FakeClock()
        self.pages: list[Page] = []
        self.room = room
        self.vendor = replace(READABLE, again_statuses=values.pop("again_statuses", frozenset()))
        self.questions: Callable[[Sequence[Payload]], list[Question]] = values.pop(
            "questions", lambda sought: [question(1, *range(len(sought)))]
        )
        held: Callable[[Collection[str]], Collection[Holder]] = values.pop("held", lambda _: [])
        renewable: bool = values.pop("renewable", False)
        words = ReadBack(
            questions=self._questions, read=self._read, identity=("email",), **values.pop("words", {"most_requests": 9})
        )
        settings: Mapping[str, Any] = {"limits": LIMITS, "reconcile_delay": DELAY, "request_attempts": 3, **values}
        self.reading = Reading(
            cases,
            vendor=self.vendor,
            read_back=words,
            destination={"list": "7"},
            settings=PushSettings(**settings),
            pace=pace or Pace(None),
            clock=self.time.clock(),
            held=held,
            renewable=renewable,
        )

    def _questions(self, sought: Sequence[Payload], destination: Destination) -> list[Question]:
        assert destination == {"list": "7"}
        return self.questions(sought)

    def _read(self, answer: Response, asked: Question) -> Page:
        assert answer.status < 500
        assert asked.about
        return self.pages.pop(0)

    def take(self) -> list[Ask]:
        return self.reading.take(self.time.seconds, self.room)

    def one(self) -> Ask:
        """Return the one request that leaves now."""
        (ask,) = self.take()
        return ask

    def show(self, *contacts: Contact, more: Question | None = None, answer: Response = OK) -> list[Finding]:
        """Answer the one request with these contacts."""
        self.pages.append(Page(contacts=contacts, more=more))
        assert self.reading.land(self.one(), answer) is False
        return self.reading.findings()

    def fail(self, result: Result) -> list[Finding]:
        """Answer the one request with what is no page."""
        assert self.reading.land(self.one(), result) is False
        return self.reading.findings()

    def next_in(self) -> float:
        return self.reading.next_at(self.time.seconds) - self.time.seconds


# How many passes, and when.


def test_the_second_read_without_it_proves_absence() -> None:
    case = a_case()
    bench = Bench(case)
    assert READS == 2
    assert bench.show() == []
    assert (bench.next_in(), bench.take(), bench.reading.done) == (DELAY, [], False)
    bench.time.advance(DELAY)
    assert bench.show() == [Absent(case)]
    assert bench.reading.done
    assert (bench.next_in(), bench.take(), bench.reading.findings()) == (inf, [], [])


def test_a_read_before_the_request_must_have_ended_can_find_but_not_miss() -> None:
    case = a_case(absent_from=1000.0 + 3 * DELAY)
    bench = Bench(case)
    assert bench.next_in() == 0.0
    assert bench.show() == []
    assert bench.next_in() == 3 * DELAY
    for expected in ([], [Absent(case)]):
        bench.time.advance(bench.next_in())
        assert bench.show() == expected


@pytest.mark.parametrize(("wait", "first"), [(2 * DELAY, 2 * DELAY), (2 * DELAY + 0.1, 0.0)])
def test_a_short_wait_saves_a_pass(wait: float, first: float) -> None:
    assert Bench(a_case(absent_from=1000.0 + wait)).next_in() == pytest.approx(first)


def test_the_first_pass_waits_for_the_last_case() -> None:
    bench = Bench(a_case("a"), a_case("b", absent_from=1000.0 + DELAY))
    assert bench.next_in() == DELAY
    assert bench.take() == []
    bench.time.advance(DELAY)
    assert bench.one().about == (0, 1)


def test_a_case_that_is_found_ends_at_once_and_the_other_goes_on() -> None:
    first, second = a_case("a"), a_case("b")
    bench = Bench(first, second)
    assert bench.show(contact("1", "a")) == [Found(first, "1")]
    assert not bench.reading.done
    bench.time.advance(DELAY)
    assert bench.show() == [Absent(second)]
    assert bench.reading.done


def test_what_was_sent_must_be_known() -> None:
    known, unknown = a_case("a"), replace(a_case("b"), sought=None)
    bench = Bench(unknown, known)
    assert bench.reading.findings() == [Open(unknown, "not_read_back")]
    assert bench.show(contact()) == [Found(known, "1")]
    assert Bench(unknown).reading.done


# Which requests leave.


def by_one(sought: Sequence[Payload]) -> list[Question]:
    return [question(index, index) for index in range(len(sought))]


def test_the_vendor_is_told_what_was_sent() -> None:
    told: list[Payload] = []

    def questions(sought: Sequence[Payload]) -> list[Question]:
        told.extend(sought)
        return by_one(sought)

    bench = Bench(a_case("a"), a_case("b", sought={"name": "B"}), questions=questions)
    bench.take()
    assert told == [{"name": "a", "email": "a@b.example"}, {"name": "B"}]


def test_room_and_pace_bound_what_leaves() -> None:
    cases = [a_case(name) for name in "abcd"]
    pace = Pace(1.0, 3)
    bench = Bench(*cases, questions=by_one, pace=pace)
    assert [ask.about for ask in bench.reading.take(1000.0, 2)] == [(0,), (1,)]
    assert [ask.about for ask in bench.reading.take(1000.0, 8)] == [(2,)]
    assert bench.reading.take(1000.0, 8) == []
    assert bench.next_in() == 1.0
    assert [ask.about for ask in bench.reading.take(1001.0, 8)] == [(3,)]
    assert bench.reading.next_at(1001.0) == inf


def test_a_pass_ends_with_its_last_answer() -> None:
    cases = [a_case(name) for name in "ab"]
    bench = Bench(*cases, questions=by_one)
    asks = bench.take()
    bench.pages = [Page(contacts=(contact(),)), Page(contacts=())]
    bench.reading.land(asks[0], OK)
    assert bench.reading.findings() == []
    assert not bench.reading.done
    bench.reading.land(asks[1], OK)
    assert bench.reading.findings() == [Found(cases[0], "1")]


def test_a_request_is_asked_once_a_pass() -> None:
    cases = [a_case(name) for name in "ab"]
    bench = Bench(*cases, questions=lambda _: [question(1, 0), question(1, 1)])
    # The second of two equal requests is not sent, so its record has not been looked for.
    assert bench.show(contact("1", "a")) == [Found(cases[0], "1"), Open(cases[1], "read_failed")]


def test_no_more_requests_than_the_vendor_allows() -> None:
    cases = [a_case(name) for name in "abc"]
    bench = Bench(*cases, questions=by_one, words={"most_requests": 2})
    assert len(bench.take()) == 2


def test_a_record_that_no_question_is_about_is_not_read_back() -> None:
    cases = [a_case(name) for name in "ab"]
    bench = Bench(*cases, questions=lambda _: [question(1, 1)])
    assert bench.one().about == (1,)
    assert bench.reading.findings() == [Open(cases[0], "not_read_back")]
    nothing = Bench(*cases, questions=lambda _: [])
    assert nothing.take() == []
    assert nothing.reading.findings() == [Open(case, "not_read_back") for case in cases]
    assert nothing.reading.done


def test_a_question_names_the_cases_that_are_left() -> None:
    cases = [a_case(name) for name in "abc"]
    bench = Bench(*cases)
    bench.show(contact("1", "b"))
    bench.time.advance(DELAY)
    ask = bench.one()
    assert ask.about == (0, 2)
    assert ask.question.about == (0, 1)


def test_further_pages_are_about_the_same_cases() -> None:
    case = a_case()
    bench = Bench(case, a_case("b"))
    assert bench.show(more=question(2, 5)) == []
    ask = bench.one()
    assert (ask.about, ask.request.query) == ((0, 1), (("page", "2"),))
    bench.pages.append(Page(contacts=(contact(),)))
    bench.reading.land(ask, OK)
    assert bench.reading.findings() == [Found(case, "1")]


def test_giving_up_returns_what_has_no_finding() -> None:
    cases = [a_case(name) for name in "abc"]
    bench = Bench(*cases, questions=by_one, room=1)
    bench.show(contact("1", "a"))
    assert bench.reading.give_up() == cases
    assert bench.take() == []
    assert bench.reading.give_up() == []


# Reads that fail.


@pytest.mark.parametrize(
    "result",
    [
        Response(404),
        Response(403),
        Response(401),
        Response(302),
        Response(199),
        Response(300),
        NotSent("token_refused", refused=True),
        NotSent("token_unavailable", wait=60.1),
        Response(429, {"retry-after": "61"}),
    ],
)
def test_what_is_not_repeated(result: Result) -> None:
    case = a_case()
    bench = Bench(case, max_wait=60.0)
    assert bench.fail(result) == [Open(case, "read_failed")]
    assert bench.reading.done


@pytest.mark.parametrize(
    "result",
    [
        *(Response(status) for status in (408, 425, 429, 500, 502, 503, 504, 418)),
        NoAnswer("timeout"),
        NotSent("not_connected"),
    ],
)
def test_what_is_repeated_after_a_growing_pause(result: Result) -> None:
    case = a_case()
    bench = Bench(case, again_statuses=frozenset({418}))
    for pause in (0.375, 0.75):  # half a second, then one, less a quarter by the clock's chance
        assert bench.fail(result) == []
        assert bench.next_in() == pytest.approx(pause)
        bench.time.advance(pause + 1e-6)
    assert bench.fail(result) == [Open(case, "read_failed")]


@pytest.mark.parametrize("result", [Response(429, {"retry-after": "60"}), NotSent("token_unavailable", wait=60.0)])
def test_a_wish_is_granted_and_binds_creates_too(result: Result) -> None:
    pace = Pace(None)
    bench = Bench(a_case(), max_wait=60.0, pace=pace)
    assert bench.fail(result) == []
    assert bench.next_in() == 60.0
    assert pace.next_at(1000.0) == 1060.0
    bench.time.advance(60.0)
    assert bench.one().tries == 1


def test_a_wish_may_be_a_date() -> None:
    bench = Bench(a_case(), max_wait=60.0)
    until = format_datetime(EPOCH + timedelta(seconds=1020), usegmt=True)
    assert bench.fail(Response(503, {"retry-after": until})) == []
    assert bench.next_in() == 20.0


def test_without_a_wish_no_wait_is_too_long() -> None:
    assert Bench(a_case(), max_wait=0.5).fail(Response(503)) == []


def test_a_wish_of_no_time_pauses_nothing() -> None:
    pace = Pace(None)
    bench = Bench(a_case(), pace=pace)
    bench.fail(Response(503, {"retry-after": "0"}))
    assert pace.next_at(0.0) == 0.0
    assert bench.next_in() == pytest.approx(0.375)


def test_a_failed_read_costs_only_its_own_cases() -> None:
    cases = [a_case(name) for name in "ab"]
    bench = Bench(*cases, questions=by_one)
    first, second = bench.take()
    bench.pages.append(Page(contacts=()))
    bench.reading.land(first, Response(404))
    bench.reading.land(second, OK)
    assert bench.reading.findings() == [Open(cases[0], "read_failed")]
    bench.time.advance(DELAY)
    assert bench.one().about == (1,)


def test_what_a_failed_read_had_shown_before_still_counts() -> None:
    case = a_case()
    bench = Bench(case)
    bench.show(contact(), more=question(2, 0))
    assert bench.fail(Response(404)) == [Found(case, "1")]


@pytest.mark.parametrize(("renewable", "renewed"), [(True, True), (False, False)])
def test_a_refused_credential_is_renewed_once_a_request(renewable: bool, renewed: bool) -> None:
    case = a_case()
    bench = Bench(case, renewable=renewable)
    assert bench.reading.land(bench.one(), Response(401)) is renewed
    if renewed:
        ask = bench.one()
        assert (ask.renewed, ask.tries) == (True, 0)
        assert bench.reading.land(ask, Response(401)) is False
    assert bench.reading.findings() == [Open(case, "read_failed")]


def test_only_a_401_renews() -> None:
    bench = Bench(a_case(), renewable=True)
    assert bench.reading.land(bench.one(), Response(403)) is False
    bench = Bench(a_case(), renewable=True)
    assert bench.reading.land(bench.one(), NoAnswer("401")) is False


def test_a_status_that_means_absent_is_read_like_any_page() -> None:
    case = a_case()
    bench = Bench(case, words={"most_requests": 9, "absent_statuses": frozenset({404})})
    assert bench.show(answer=Response(404)) == []
    bench.time.advance(DELAY)
    assert bench.show(answer=Response(299)) == [Absent(case)]


# What a contact proves.


def test_what_is_like_it_is_ambiguous() -> None:
    case = a_case()
    assert Bench(case).show(other_name()) == [Open(case, "ambiguous")]


def test_a_likeness_that_another_row_explains_is_none() -> None:
    case = a_case()
    asked: list[set[str]] = []

    def held(ids: Collection[str]) -> list[Holder]:
        asked.append(set(ids))
        return [Holder("1", "k"), Holder("2", "other")]

    bench = Bench(case, held=held)
    assert bench.show(other_name(), contact("2", "a")) == []
    assert asked == [{"1", "2"}]


def test_a_likeness_of_another_sync_is_explained_and_its_equal_is_not() -> None:
    case = a_case()
    bench = Bench(case, held=lambda _: [Holder("1", None)])
    assert bench.show(other_name()) == []
    bench = Bench(case, held=lambda _: [Holder("2", None)])
    assert bench.show(contact("2", "a")) == [Open(case, "ambiguous")]


def test_a_contact_that_its_own_row_names_is_it() -> None:
    case = a_case()
    assert Bench(case, held=lambda _: [Holder("1", "a")]).show(contact()) == [Found(case, "1")]


def test_a_contact_is_given_once_in_all_passes() -> None:
    same = {"name": "x", "email": "x@b.example"}
    cases = [a_case("a", sought=same), a_case("b", sought=same), a_case("c", sought={**same, "note": "n"})]
    bench = Bench(*cases)
    assert bench.show(contact("1", "x"), contact("2", "x", note="m")) == [
        Found(cases[0], "1"),
        Found(cases[1], "2"),
    ]
    bench.time.advance(DELAY)
    assert bench.show(contact("1", "x"), contact("2", "x", note="m")) == [Absent(cases[2])]


def test_a_page_that_tells_of_other_cases_settles_only_its_own() -> None:
    cases = [a_case(name) for name in "ab"]
    bench = Bench(*cases, questions=by_one)
    first, second = bench.take()
    bench.pages = [Page(contacts=(contact("2", "b"),)), Page(contacts=())]
    bench.reading.land(first, OK)
    bench.reading.land(second, OK)
    assert bench.reading.findings() == []


def test_a_ledger_is_not_asked_about_nothing() -> None:
    def held(_: Collection[str]) -> list[Holder]:
        raise AssertionError("asked")

    assert Bench(a_case(), held=held).show(contact("1", "z")) == []


MARKED = EPOCH + timedelta(seconds=900)


def dated(older: float, answer: Response) -> list[Finding]:
    """Show the very contact, created this much before the mark."""
    return Bench(a_case()).show(contact(created_at=MARKED - timedelta(seconds=older)), answer=answer)


WITH_DATE = Response(200, {"date": format_datetime(EPOCH + timedelta(seconds=1000), usegmt=True)})


@pytest.mark.parametrize(
    ("older", "answer", "proves"),
    [
        (ROUNDING, WITH_DATE, "found"),
        (ROUNDING + 0.1, WITH_DATE, "like"),
        (VENDOR_CLOCKS, WITH_DATE, "like"),
        (VENDOR_CLOCKS + 0.1, WITH_DATE, "another"),
        (-50.0, WITH_DATE, "found"),
        (ROUNDING, OK, "found"),
        (ROUNDING + 0.1, OK, "like"),
        (CLOCK_ERROR, OK, "like"),
        (CLOCK_ERROR + 0.1, OK, "another"),
        # A zone of -0000 is no zone: such a date tells as much as none.
        (CLOCK_ERROR, Response(200, {"date": "Fri, 02 Jan 2026 03:20:45 -0000"}), "like"),
        (CLOCK_ERROR, Response(200, {"date": "soon"}), "like"),
    ],
)
def test_what_is_older_than_the_mark(older: float, answer: Response, proves: str) -> None:
    found = dated(older, answer)
    said = {"found": "Found", "like": "ambiguous"}
    assert [one.code if isinstance(one, Open) else type(one).__name__ for one in found] == (
        [said[proves]] if proves in said else []
    )


def test_a_moment_without_a_zone_tells_nothing() -> None:
    naive = datetime(1999, 1, 1)  # noqa: DTZ001  # that is the point
    case = a_case()
    assert Bench(case).show(contact(created_at=naive)) == [Found(case, "1")]


@pytest.mark.parametrize("date", [None, "", "soon", "Fri, 02 Jan 2026 03:20:45 -0000", "Fri, 99 Jan 2026 03:20:45 GMT"])
def test_a_clock_that_cannot_be_read_is_none(date: str | None) -> None:
    assert vendor_time(Response(200, {} if date is None else {"date": date})) is None


def test_the_vendors_clock() -> None:
    assert vendor_time(WITH_DATE) == EPOCH + timedelta(seconds=1000)


# What a log says.


def test_findings_are_counted_by_their_words() -> None:
    case = a_case()
    findings: list[Finding] = [
        Found(case, "1"),
        Absent(case),
        Open(case, "ambiguous"),
        Open(case, "read_failed"),
        Absent(case),
    ]
    assert summary_of(findings) == "absent 2, ambiguous 1, found 1, read_failed 1"


def test_a_failing_vendor_file_is_named(caplog: pytest.LogCaptureFixture) -> None:
    case = a_case()

    def fails(_: Sequence[Payload]) -> list[Question]:
        raise ZeroDivisionError

    bench = Bench(case, questions=fails)
    with caplog.at_level(logging.ERROR):
        assert bench.take() == []
    assert bench.reading.findings() == [Open(case, "not_read_back")]
    assert isinstance(bench.vendor, Vendor)
    assert "A reader of fake failed: ZeroDivisionError" in caplog.text
