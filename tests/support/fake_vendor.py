"""A vendor that can lie, a ledger that can fail, and a clock that nobody waits for: a whole push in one thread.

The server's side (``FakeServer``) and the rows (``Table``) outlive an execution, as they do in life: an execution can
be killed at any call that it makes, and the next one meets what was left, a request still on its way included.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Required

from pydantic import ConfigDict, Field, StrictInt, StrictStr, with_config
from typing_extensions import TypedDict

from airflow_provider_contacts.engine.interrupts import Interrupts
from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.engine.push import Push
from airflow_provider_contacts.errors import ContactsError, LedgerError, SupersededError, UnreadableError
from airflow_provider_contacts.outcome import Outcome, RecordError, Status
from airflow_provider_contacts.records.batch import Batch, BatchResult, Finished
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.records.record_state import ABSENT, Holder, RecordState
from airflow_provider_contacts.vendor_kit.auth import api_key
from airflow_provider_contacts.vendor_kit.contract import RecordContract
from airflow_provider_contacts.vendor_kit.fields import Date, Email, Moment, Uuid
from airflow_provider_contacts.vendor_kit.json_values import as_count, as_list, as_mapping, as_text
from airflow_provider_contacts.vendor_kit.push_settings import Clock, PushSettings
from airflow_provider_contacts.vendor_kit.reads import Contact, Page, Question, ReadBack
from airflow_provider_contacts.vendor_kit.refusals import Reason
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent, Result
from airflow_provider_contacts.vendor_kit.shorthands import join, prefix
from airflow_provider_contacts.vendor_kit.vendor import (
    Again,
    Created,
    Doubt,
    Limits,
    Payload,
    Rejected,
    Replies,
    Reply,
    Request,
    Response,
    Stop,
    Vendor,
)

MOST_REQUESTS = 20_000
EPOCH = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

# The vendor: every word of a vendor file that the core reads, and nothing else.


class Address(TypedDict, total=False):
    city: StrictStr
    zip: StrictStr


@with_config(ConfigDict(extra="forbid"))
class Person(TypedDict, total=False):
    name: Required[Annotated[StrictStr, Field(min_length=1, max_length=80)]]
    email: Email
    note: StrictStr | None
    age: Annotated[StrictInt, Field(ge=0, le=150)]
    born: Date
    seen: Moment
    uid: Uuid
    tags: list[StrictStr]
    address: Address
    extra: dict[str, Any]


def read(answer: Response, sent: Sequence[Payload]) -> Replies:
    """Read ``{"count", "results": [{"at", ...}]}``: ``at`` is the position in the request."""
    body = as_mapping(answer.json())
    rows = as_list(body.get("results"))
    if rows is None or as_count(body.get("count")) != len(rows):
        return Replies.doubt(len(sent), "counts_disagree")
    places = Counter(as_count(as_mapping(row).get("at")) for row in rows)
    by_place = {row["at"]: row for row in map(as_mapping, rows) if places[as_count(row.get("at"))] == 1}
    return Replies.of(read_row(by_place.get(index)) for index in range(len(sent)))


def read_row(row: Mapping[str, Any] | None) -> Reply:
    match row:
        case {"id": str(found)}:
            return Created(found)
        case {"rejected": str(code)}:
            return Rejected((RecordError(code, "name"),))
        case {"again": str(code)}:
            return Again(code)
        case {"stop": str(code)}:
            return Stop(code)
        case {"doubt": str(code)}:
            return Doubt(code, id="evidence")
        case _:
            return Doubt("not_returned")


def refused(body: Mapping[str, Any], status: int) -> Iterator[Reason]:  # noqa: ARG001  # the signature is the word's
    """Read ``{"named": [places], "code": word}``."""
    places = [place for one in as_list(body.get("named")) or () if (place := as_count(one)) is not None]
    yield from (Reason(place, RecordError("bad_name", "name")) for place in places)
    if (code := as_text(body.get("code"))) is not None:
        yield Reason(None, RecordError(code))


VENDOR = Vendor(
    name="fake",
    title="Fake",
    docs_url="https://fake.invalid",
    base_url=lambda _account: "https://fake.invalid",
    auth=api_key(),
    contract=RecordContract(record=Person, flat=(join("name", "first_name", "last_name"), prefix("extra"))),
    limits=Limits(batch_size=4, max_in_flight=3),
    request_path=lambda _destination: "/contacts",
    envelope=(b'{"contacts":[', b"]}"),
    read=read,
    refusal=(refused,),
)


# Reading back: ``{"items": [{"id", "at", the fields}], "next": page or null}``, five a page.


def question(page: int, about: tuple[int, ...]) -> Question:
    return Question(request=Request("GET", "/contacts", query=(("page", str(page)),)), about=about)


def questions(sought: Sequence[Payload], _destination: Mapping[str, Any]) -> list[Question]:
    return [question(1, tuple(range(len(sought))))]


def read_page(answer: Response, asked: Question) -> Page:
    body = as_mapping(answer.json())
    rows = as_list(body.get("items"))
    if rows is None:
        raise UnreadableError("no items")
    contacts = []
    for row in map(as_mapping, rows):
        found, at = as_text(row.get("id")), as_text(row.get("at"))
        if found is None:
            raise UnreadableError("a contact without an id")
        shown = {name: value for name, value in row.items() if name not in {"id", "at"}}
        contacts.append(Contact(id=found, fields=shown, created_at=datetime.fromisoformat(at) if at else None))
    page = as_count(body.get("next"))
    return Page(contacts=tuple(contacts), more=None if page is None else question(page, asked.about))


READABLE = replace(
    VENDOR,
    read_back=ReadBack(questions=questions, read=read_page, identity=("email",), most_requests=50),
)


# Time.


class FakeClock:
    """Seconds that pass only when somebody says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def advance(self, seconds: float) -> None:
        self.seconds += seconds

    def clock(self) -> Clock:
        return Clock(
            monotonic=lambda: self.seconds, now=lambda: EPOCH + timedelta(seconds=self.seconds), random=lambda: 0.5
        )


class Killed(BaseException):
    """The process is gone; nothing that it calls from now on works."""


class Fuse:
    """Burns at the nth call of any kind, before or after its effect, and stays burnt."""

    def __init__(self, at: int | None = None) -> None:
        self.at, self.steps = at, 0

    def step(self) -> None:
        self.steps += 1
        if self.at is not None and self.steps >= self.at:
            raise Killed


# The server's side.


UNCONNECTED = NotSent("not_connected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What the server does with one request."""

    status: int | None = 200  # of the answer; None: no answer comes
    applies: bool = True  # whether the records that it takes come to exist
    connects: bool = True  # False: no byte ever reaches it
    not_sent: NotSent = UNCONNECTED  # what the sender says then
    body: bytes | None = None  # instead of the true one
    headers: Mapping[str, str] = field(default_factory=dict)
    edit: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = list  # changes the honest rows of a 2xx
    count_off: int = 0  # how wrong the honest count is
    delay: float = 0.01  # seconds until the answer
    lag: float = 0.0  # seconds until the records exist


HONEST = Deed()
LOST = Deed(status=None, applies=False)
APPLIED_AND_LOST = Deed(status=None)
NOT_CONNECTED = Deed(connects=False, applies=False)
GARBAGE = Deed(body=b"<html>", applies=False)
APPLIED_AND_GARBAGE = Deed(body=b"<html>")
SHORT = Deed(edit=lambda rows: rows[:-1])
SHUFFLED = Deed(edit=lambda rows: rows[::-1])
CONTRADICTORY = Deed(count_off=1)
UNAUTHORIZED = Deed(status=401, applies=False, body=b"{}")


def answers(status: int, *, applies: bool = False, retry_after: str | None = None) -> Deed:
    """Answer with a status."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return Deed(status=status, applies=applies, body=b"{}", headers=headers)


Script = Callable[[int, Sequence[Payload]], Deed]


def first(*deeds: Deed, then: Deed = HONEST) -> Script:
    """Do these for the first requests, and ``then`` for every other one."""
    return lambda index, _sent: deeds[index] if index < len(deeds) else then


ALWAYS_HONEST = first()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A contact at the vendor."""

    id: str
    payload: Payload
    at: float


@dataclass(kw_only=True)
class FakeServer:
    """The vendor's side: what it was sent, what it made of it, and when."""

    clock: FakeClock
    script: Script = ALWAYS_HONEST  # what it does with the nth request (from 0)
    refuses: Callable[[Payload], bool] = lambda _: False  # records for which it refuses the whole batch, with 422
    names: bool = False  # whether a refusal names them
    atomic: bool = True  # whether a refused batch creates nothing
    # for a taken batch: record to "rejected", "again", "stop", "doubt" or "created"
    verdicts: Callable[[Payload], str] = lambda _: "created"
    reads: Script = lambda _index, _sent: HONEST  # what it does with the nth read
    read_lag: float = 0.0  # seconds until a read shows what exists
    shows: Callable[[Payload], Payload] = dict  # what a read shows of a payload
    dated: bool = False  # whether a read tells when a contact was created
    contacts: list[Stored] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    read_at: list[float] = field(default_factory=list)
    applied: list[Payload] = field(default_factory=list)
    requests: list[list[str]] = field(default_factory=list)
    sent_at: list[float] = field(default_factory=list)
    arrivals: list[tuple[float, list[Payload]]] = field(default_factory=list)

    def take(self, sent: list[Payload]) -> tuple[Deed, Response]:
        """Take one request: what is done about it, and the answer that the deed may or may not let through."""
        assert len(self.requests) < MOST_REQUESTS, "the push does not end"
        deed = self.script(len(self.requests), sent)
        self.requests.append([payload["name"] for payload in sent])
        self.sent_at.append(self.clock.seconds)
        culprits = [index for index, payload in enumerate(sent) if self.refuses(payload)]
        if culprits:
            taken = [] if self.atomic else [p for index, p in enumerate(sent) if index not in culprits]
            status, body = 422, json.dumps({"code": "refused", **({"named": culprits} if self.names else {})}).encode()
        else:
            verdicts = [self.verdicts(payload) for payload in sent]
            taken = [payload for payload, verdict in zip(sent, verdicts, strict=True) if verdict == "created"]
            status, body = 200, self._body(sent, verdicts, deed)
        if deed.applies and deed.connects:
            self.arrivals.append((self.clock.seconds + deed.lag, taken))
        status = status if deed.status in {200, None} else deed.status or 0
        return deed, Response(status, deed.headers, body if deed.body is None else deed.body, deed.delay)

    def _body(self, sent: Sequence[Payload], verdicts: Sequence[str], deed: Deed) -> bytes:
        rows: list[dict[str, Any]] = [
            {"at": index, "id": f"id-{payload['name']}"} if verdict == "created" else {"at": index, verdict: verdict}
            for index, (payload, verdict) in enumerate(zip(sent, verdicts, strict=True))
        ]
        rows = deed.edit(rows)
        return json.dumps({"count": len(rows) + deed.count_off, "results": rows}).encode()

    def arrive(self) -> None:
        """Let everything come to exist whose time has come."""
        due = [one for one in self.arrivals if one[0] <= self.clock.seconds]
        self.arrivals = [one for one in self.arrivals if one[0] > self.clock.seconds]
        for at, payloads in due:
            self.applied.extend(payloads)
            for payload in payloads:
                self.put(payload, at)

    def put(self, payload: Payload, at: float | None = None) -> str:
        """Let a contact exist, also one that nobody sent."""
        first = f"id-{payload['name']}"
        new = first if first not in self.ids else f"{first}#{len(self.contacts)}"
        self.ids.add(new)
        self.contacts.append(Stored(id=new, payload=payload, at=self.clock.seconds if at is None else at))
        return new

    def show(self, page: int) -> tuple[Deed, Response]:
        """Answer one read."""
        self.arrive()
        deed = self.reads(len(self.read_at), [])
        assert len(self.read_at) < MOST_REQUESTS, "the reading does not end"
        self.read_at.append(self.clock.seconds)
        seen = [stored for stored in self.contacts if stored.at + self.read_lag <= self.clock.seconds]
        items = []
        for one in seen[(page - 1) * 5 : page * 5]:
            at = {"at": (EPOCH + timedelta(seconds=one.at)).isoformat()} if self.dated else {}
            items.append({"id": one.id, **at, **self.shows(one.payload)})
        after = page + 1 if len(seen) > page * 5 else None
        body = json.dumps({"items": items, "next": after}).encode() if deed.body is None else deed.body
        return deed, Response(deed.status or 0, deed.headers, body)

    def created(self) -> Counter[str]:
        """Return how often each name exists."""
        self.arrive()
        return Counter(payload["name"] for payload in self.applied)


def said(deed: Deed, answer: Response) -> Result:
    """Return what a sender says of a request."""
    if not deed.connects:
        return deed.not_sent
    return answer if deed.status is not None else NoAnswer("connection_lost")


class FakeSender:
    """Requests to a :class:`FakeServer`; waiting for results is what makes time pass.

    ``told`` is every request as it was handed over (tag, request, ``not_after``, ``timeout``), ``asked`` the seconds of
    each wait.

    :param slow_start: seconds between the hand-over of a request and its leaving.
    """

    def __init__(
        self, server: FakeServer, fuse: Fuse | None = None, *, renewable: bool = False, slow_start: float = 0.0
    ) -> None:
        self.renewable = renewable
        self.renewed: list[int] = []
        self.told: list[tuple[int, Request, float, float]] = []
        self.asked: list[float] = []
        self.most_in_flight = 0
        self._server, self._clock = server, server.clock
        self._fuse, self._slow_start = fuse or Fuse(), slow_start
        self._pending: list[tuple[float, int, Result]] = []

    def submit(self, tag: int, request: Request, *, not_after: float, timeout: float) -> None:
        self._fuse.step()
        self.told.append((tag, request, not_after, timeout))
        assert request.path == "/contacts"
        now = self._clock.seconds
        if request.method == "GET":
            self._read(tag, request, now, timeout)
            return
        assert request.method == "POST"
        if now + self._slow_start > not_after:
            self._pending.append((now + self._slow_start, tag, NotSent("mark_expired")))
            return
        deed, answer = self._server.take(json.loads(request.body or b"")["contacts"])
        result = said(deed, answer)
        at = now + self._slow_start + deed.delay
        if deed.delay > timeout:
            at, result = now + self._slow_start + timeout, NoAnswer("timeout")
        self._pending.append((at, tag, result))
        self.most_in_flight = max(self.most_in_flight, len(self._pending))
        self._fuse.step()

    def _read(self, tag: int, request: Request, now: float, timeout: float) -> None:
        assert request.body is None
        deed, answer = self._server.show(int(dict(request.query)["page"]))
        assert deed.delay <= timeout
        self._pending.append((now + deed.delay, tag, said(deed, answer)))
        self._fuse.step()

    def collect(self, timeout: float) -> list[tuple[int, Result]]:
        self._fuse.step()
        self.asked.append(timeout)
        # Some time always passes, as in life.
        until = self._clock.seconds + max(timeout, 1e-6)
        next_at = min((at for at, _, _ in self._pending), default=until)
        self._clock.seconds = max(self._clock.seconds, min(until, next_at))
        self._server.arrive()
        due = sorted((one for one in self._pending if one[0] <= self._clock.seconds), key=lambda one: one[0])
        self._pending = [one for one in self._pending if one[0] > self._clock.seconds]
        self._fuse.step()
        return [(tag, result) for _, tag, result in due]

    def renew(self, tag: int) -> None:
        self.renewed.append(tag)


# The ledger's side.

WEAK = frozenset({Status.REJECTED, Status.INVALID, Status.FAILED})
DOUBTFUL = frozenset({Status.SENDING, Status.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the outcome table."""

    status: Status
    batch_id: str | None = None
    sync_run_id: str | None = None
    payload_hash: str | None = None
    payload: Mapping[str, Any] | None = None
    attempts: int = 0
    marked_at: float | None = None
    destination_record_id: str | None = None
    error_code: str | None = None
    http_status: int | None = None
    ended_at: float | None = None
    errors: tuple[RecordError, ...] = ()


SAME = [one.name for one in fields(Row) if one.name in RecordState.__struct_fields__]


@dataclass(kw_only=True)
class Table:
    """The rows, and the newest execution of each run."""

    clock: FakeClock
    rows: dict[str, Row] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)
    tokens: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def put(self, identifier: str, status: Status, *, age: float = 0.0, **values: Any) -> None:
        """Write a row as some execution left it ``age`` seconds ago."""
        defaults: dict[str, Any] = {"batch_id": "other.1", "sync_run_id": "run-0", "attempts": 1}
        row = Row(status=status, marked_at=self.clock.seconds - age, **{**defaults, **values})
        self.rows[identifier] = row

    def statuses(self) -> dict[str, str]:
        return {identifier: row.status.value for identifier, row in self.rows.items()}


Trouble = Callable[[str, int], None]
"""Is told every call: ``claim:before``, ``claim:after`` and so on, and which one of its kind it is; may raise."""


def failing(word: str, *calls: int, error: type[ContactsError] = LedgerError) -> Trouble:
    """Fail the nth calls (all without numbers) at one point, e.g. ``claim:after`` for an ambiguous commit."""

    def trouble(point: str, call: int) -> None:
        if point == word and (not calls or call in calls):
            raise error("the database is away")

    return trouble


class FakeLedger:
    """A table's rules without a database.

    :param slow: word to seconds that such a call takes.
    """

    durable = True

    def __init__(
        self,
        table: Table,
        sync_run_id: str = "run-1",
        *,
        fuse: Fuse | None = None,
        trouble: Trouble = lambda _point, _call: None,
        slow: Mapping[str, float] | None = None,
    ) -> None:
        self.token, self.sync_run_id = f"t{next(table.tokens)}", sync_run_id
        self.calls: Counter[str] = Counter()
        self._table, self._fuse = table, fuse or Fuse()
        self._trouble, self._slow = trouble, slow or {}
        table.newest[sync_run_id] = self.token

    def states(self, identifiers: Collection[str]) -> Mapping[str, RecordState]:
        assert len(set(identifiers)) == len(identifiers)
        with self._call("states"):
            return {one: self._state(one, self._table.rows[one]) for one in identifiers if one in self._table.rows}

    def _state(self, identifier: str, row: Row) -> RecordState:
        now = self._table.clock.seconds
        return RecordState(
            record_identifier=identifier,
            **{name: getattr(row, name) for name in SAME},
            age=0.0 if row.marked_at is None else now - row.marked_at,
            ended=None if row.ended_at is None else now - row.ended_at,
            was_in_doubt=row.error_code == ABSENT or any(error.code == ABSENT for error in row.errors),
        )

    def payloads(self, identifiers: Collection[str]) -> Mapping[str, Payload]:
        with self._call("sent"):
            rows = {one: self._table.rows[one] for one in identifiers if one in self._table.rows}
            return {one: dict(row.payload) for one, row in rows.items() if row.payload is not None}

    def holders(self, record_ids: Collection[str]) -> Collection[Holder]:
        with self._call("holders"):
            return [
                Holder(str(row.destination_record_id), identifier)
                for identifier, row in self._table.rows.items()
                if row.status is Status.SUCCEEDED and row.destination_record_id in record_ids
            ]

    def record_and_claim(
        self, results: Sequence[BatchResult], batches: Mapping[str, Batch]
    ) -> Mapping[str, Collection[int]]:
        if results:
            self.record_results(results)
        identifiers = [one for batch in batches.values() for one in batch.identifiers]
        assert len(set(identifiers)) == len(identifiers), "one claim names a record twice"
        with self._call("claim", fenced=True):
            return {
                name: [place for place in range(len(batch)) if not self._claim(batch, place, name)]
                for name, batch in batches.items()
            }

    def _claim(self, batch: Batch, place: int, batch_id: str) -> bool:
        assert batch_id.startswith(f"{self.token}.")
        identifier, state = batch.identifiers[place], batch.history(place).state
        row = self._table.rows.get(identifier)
        read_version = None if state is None else (state.status, state.batch_id)
        if (None if row is None else (row.status, row.batch_id)) != read_version:
            return False
        self._table.rows[identifier] = Row(
            status=Status.SENDING,
            batch_id=batch_id,
            sync_run_id=self.sync_run_id,
            payload_hash=batch.payload_hashes[place],
            payload=batch.payloads[place],
            attempts=batch.attempts(place) + 1,
            marked_at=self._table.clock.seconds,
        )
        return True

    def record_results(self, results: Sequence[BatchResult]) -> None:
        self.record_outcomes([outcome for result in results for outcome in result.outcomes()])

    def record_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        with self._call("settle"):
            for outcome in outcomes:
                self._settle(outcome)

    def _settle(self, outcome: Outcome) -> None:
        row = self._table.rows.get(outcome.record_identifier)
        if row is None or outcome.batch_id is None or row.batch_id != outcome.batch_id:
            return
        if row.status not in DOUBTFUL and row.status is not outcome.status:
            return
        self._table.rows[outcome.record_identifier] = replace(
            row,
            status=outcome.status,
            destination_record_id=outcome.destination_record_id,
            error_code=outcome.error_code,
            http_status=outcome.http_status,
            attempts=max(row.attempts, outcome.attempts),
            ended_at=self._table.clock.seconds,
            errors=outcome.errors,
        )

    def record_unsent(self, outcomes: Sequence[Outcome]) -> None:
        with self._call("note", fenced=True):
            for outcome in outcomes:
                assert outcome.status in {Status.INVALID, Status.FAILED}
                row = self._table.rows.get(outcome.record_identifier)
                if row is None or row.status in WEAK:
                    self._table.rows[outcome.record_identifier] = Row(
                        status=outcome.status,
                        batch_id=outcome.batch_id,
                        sync_run_id=self.sync_run_id,
                        payload_hash=outcome.payload_hash,
                        payload=outcome.payload,
                        attempts=max(outcome.attempts, row.attempts if row else 0),
                        marked_at=row.marked_at if row else None,
                        error_code=outcome.error_code,
                        http_status=outcome.http_status,
                        errors=outcome.errors,
                    )

    @contextmanager
    def _call(self, word: str, *, fenced: bool = False) -> Iterator[None]:
        """Count a call, and let it fail or die before its effect or after it."""
        self._fuse.step()
        self.calls[word] += 1
        self._table.clock.advance(self._slow.get(word, 0.0))
        self._trouble(f"{word}:before", self.calls[word])
        if fenced and self._table.newest[self.sync_run_id] != self.token:
            raise SupersededError("a newer execution has taken over")
        yield
        self._trouble(f"{word}:after", self.calls[word])
        self._fuse.step()


# All of it together.


@dataclass(kw_only=True)
class Pushed:
    """One execution, when it is over."""

    push: Push
    sender: FakeSender
    ledger: Ledger
    outcomes: list[Outcome] = field(default_factory=list)
    error: BaseException | None = None  # what it raised

    def statuses(self) -> dict[int, str]:
        """Return row index to status; two outcomes of one row are a failure."""
        found = {outcome.row_index: outcome.status.value for outcome in self.outcomes}
        assert len(found) == len(self.outcomes), "a record has two outcomes"
        return dict(sorted(found.items()))

    def counts(self) -> dict[str, int]:
        return dict(Counter(self.statuses().values()))

    @property
    def calls(self) -> Counter[str]:
        """How often each word of the ledger was called."""
        assert isinstance(self.ledger, FakeLedger)
        return self.ledger.calls

    def codes(self) -> dict[int, str | None]:
        return dict(sorted((outcome.row_index, outcome.error_code) for outcome in self.outcomes))


def outcomes_of(push: Push) -> Generator[Outcome]:
    """Run a push, and yield the outcome of each record; closing it closes the push."""
    with closing(push.run()) as portions:
        for finished in portions:
            rest = deque(finished)
            while rest:
                try:
                    yield rest.popleft()
                except GeneratorExit:
                    portions.close()
                    push.last_words.insert(0, Finished(others=list(rest)))
                    raise


def last_words(push: Push) -> list[Outcome]:
    """Return the outcomes that nobody was there to hear."""
    return [outcome for finished in push.last_words for outcome in finished]


def names(count: int) -> list[dict[str, Any]]:
    """Return rows, each with its own name, which is their sync key too."""
    return [{"name": f"n{index}"} for index in range(count)]


def noted(rows: Iterable[Any], read: list[int]) -> Iterator[Any]:
    """Yield rows, and note the index of each that is read."""
    for index, row in enumerate(rows):
        read.append(index)
        yield row


LIMITS = Limits(batch_size=4, max_in_flight=3)
ALONE = Limits(batch_size=1, max_in_flight=1)
ONE_BY_ONE = Limits(batch_size=4, max_in_flight=1)


class World:
    """A vendor's account, a table and a clock, in which executions come and go."""

    def __init__(self, script: Script = ALWAYS_HONEST, **server: Any) -> None:
        self.time = FakeClock()
        self.server = FakeServer(clock=self.time, script=script, **server)
        self.table = Table(clock=self.time)

    def execution(
        self,
        rows: Iterable[Any],
        *,
        run: str = "run-1",
        ledger: Ledger | None = None,
        sync_key: tuple[str, ...] = ("name",),
        vendor: Vendor = VENDOR,
        limits: Limits = LIMITS,
        stopping: Callable[[], bool] = lambda: False,
        fuse: Fuse | None = None,
        trouble: Trouble = lambda _point, _call: None,
        slow: Mapping[str, float] | None = None,
        renewable: bool = False,
        slow_start: float = 0.0,
        watch: Callable[[Push], None] = lambda _push: None,
        interrupts: Interrupts | None = None,
        **settings: Any,
    ) -> Pushed:
        """Return an execution that has not begun, registered as the newest of its run."""
        sender = FakeSender(self.server, fuse, renewable=renewable, slow_start=slow_start)
        found = ledger or FakeLedger(self.table, run, fuse=fuse, trouble=trouble, slow=slow)
        push = Push(
            iter(rows),
            mapper=Mapper(vendor=vendor, destination={}, sync_id="sync", sync_key=sync_key),
            ledger=found,
            sender=sender,
            settings=PushSettings(limits=limits, **settings),
            stopping=stopping,
            watch=watch,
            interrupts=interrupts,
            clock=self.time.clock(),
        )
        return Pushed(push=push, sender=sender, ledger=found)

    def push(self, rows: Iterable[Any], **options: Any) -> Pushed:
        """Run an execution to its end, whatever that is."""
        pushed = self.execution(rows, **options)
        try:
            pushed.outcomes.extend(outcomes_of(pushed.push))
        except BaseException as error:  # noqa: BLE001  # what it raises is what is looked at
            pushed.error = error
        return pushed

    def later(self, seconds: float = 4000.0) -> None:
        """Let time pass, in which what is on its way arrives."""
        self.time.advance(seconds)
        self.server.arrive()
