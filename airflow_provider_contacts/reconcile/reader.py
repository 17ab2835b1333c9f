"""Reading a vendor back about records in doubt: what is asked, how often, and what the contacts that it shows prove."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from math import inf
from typing import Protocol

from airflow_provider_contacts.pacing.bucket import Pace, backoff, retry_after
from airflow_provider_contacts.reconcile.findings import Finding, InDoubt
from airflow_provider_contacts.reconcile.matching import Index, Likeness, assign, compare
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.records.record_state import Holder
from airflow_provider_contacts.records.vendor_ids import VendorIds
from airflow_provider_contacts.vendor_kit.answers import guarded
from airflow_provider_contacts.vendor_kit.push_settings import Clock, PushSettings
from airflow_provider_contacts.vendor_kit.reads import Contact, Page, Question, ReadBack
from airflow_provider_contacts.vendor_kit.results import NotSent, Result, Sender
from airflow_provider_contacts.vendor_kit.sanitize import NAME_LENGTH
from airflow_provider_contacts.vendor_kit.vendor import Payload, Request, Response, Vendor

READS = 2  # complete reads without a record, after which it counts as absent
ROUNDING = 2.0  # seconds: a vendor's Date has whole ones, and so may its times of creation
# Seconds: the Date and the time of creation may come from two machines of the vendor. What is older than the claim, but
# not by more than this, proves nothing either way.
VENDOR_CLOCKS = 30.0
CLOCK_ERROR = 300.0  # without a Date, or where the claim's moment is not known so well: two clocks in two places
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
UNAUTHORIZED = 401


class Evidence(Protocol):
    """What a reading asks of a ledger."""

    def payloads(self, identifiers: Collection[str]) -> Mapping[str, Payload]:
        """Return the payloads that were sent last, of those records for which one is stored."""

    def holders(self, record_ids: Collection[str]) -> Collection[Holder]:
        """Return the ``succeeded`` rows of this destination, of any ``sync_id``, that name one of these contacts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadContext:
    """What a push reads by; ``ids`` know which contact each record was given."""

    mapper: Mapper
    ledger: Evidence
    sender: Sender
    settings: PushSettings
    clock: Clock
    pace: Pace
    ids: VendorIds = field(default_factory=VendorIds)

    @property
    def vendor(self) -> Vendor:
        """The vendor's words."""
        return self.mapper.vendor

    def holders(self, record_ids: Collection[str]) -> Collection[Holder]:
        """Return the records of this push and of the ledger that hold one of these contacts."""
        return [*self.ledger.holders(record_ids), *self.ids.holders(record_ids)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """One read request: to leave at ``due`` (monotonic) at the earliest, after ``tries`` that were of no use."""

    question: Question
    about: tuple[int, ...]
    tries: int = 0
    renewed: bool = False
    due: float = -inf


class Reader:
    """One reading about some records, in up to three passes; each record ends in one finding.

    It has no clock, socket or ledger of its own: the engine hands it time and results. ``_same`` holds, by record, the
    contacts that agree with it, in the order in which the pass shows them; ``_like`` those that are only like it.
    ``_failed`` are records about which not everything was read.
    """

    def __init__(self, in_doubt: Sequence[InDoubt], read_back: ReadBack, context: ReadContext) -> None:
        self._read_back, self._context = read_back, context
        self._findings = [Finding(one, "not_read_back") for one in in_doubt if one.sought is None]
        self._open = {key: one for key, one in enumerate(in_doubt) if one.sought is not None}
        self._misses: Counter[int] = Counter()
        self._given: set[str] = set()
        # At once, unless a short wait saves a pass that could find and not miss.
        now = context.clock.monotonic()
        ready = max((one.absent_from for one in self._open.values()), default=now)
        self._next_pass = ready if ready - now <= 2 * context.settings.reconcile_delay else now
        self._began = now
        self._index = Index({}, ())
        self._same: dict[int, dict[str, None]] = {}
        self._like: dict[int, set[str]] = {}
        self._failed: set[int] = set()
        self._asked: set[Request] = set()
        self._queue: list[ReadRequest] = []
        self._under_way: dict[int, ReadRequest] = {}

    def give_up(self) -> list[InDoubt]:
        """Return the records without a finding; nothing more is asked."""
        left, self._open, self._queue, self._under_way = list(self._open.values()), {}, [], {}
        return left

    @property
    def _reading(self) -> bool:
        return bool(self._queue or self._under_way)

    @property
    def done(self) -> bool:
        """Whether every record has its finding."""
        return not self._open and not self._reading

    def findings(self) -> list[Finding]:
        """Return what has been found out since the last call."""
        found, self._findings = self._findings, []
        return found

    def next_at(self, now: float) -> float:
        """Return the moment at which :meth:`ask` has something to do; infinity while responses are awaited."""
        if not self._reading:
            return self._next_pass if self._open else inf
        return max(self._context.pace.next_at(now), min(one.due for one in self._queue)) if self._queue else inf

    def ask(self, submit: Callable[[Request], int], room: int) -> None:
        """Send what may be sent now, with at most ``room`` requests under way; ``submit`` returns a request's tag."""
        now = self._context.clock.monotonic()
        if not self._reading and self._open and now >= self._next_pass:
            self._begin_pass(now)
        due = [one for one in self._queue if one.due <= now]
        room = min(room - len(self._under_way), len(due))
        for one in due[: self._context.pace.available(now, room)] if due else ():
            self._queue.remove(one)
            self._context.pace.take(now, 1)
            self._under_way[submit(one.question.request)] = one

    def on_result(self, tag: int, result: Result) -> bool:
        """Take in a result, if it was asked for here; return whether the credential must be renewed."""
        asked = self._under_way.pop(tag, None)
        if asked is None:
            return False
        refused = isinstance(result, Response) and result.status == UNAUTHORIZED
        renew = self._context.sender.renewable and refused and not asked.renewed
        if renew:
            self._queue.append(replace(asked, renewed=True))
        elif isinstance(result, Response) and (page := self._page(asked.question, result)) is not None:
            self._compare(asked, page, vendor_time(result))
        else:
            self._repeat(asked, result)
        self._conclude_if_over()
        return renew

    def _begin_pass(self, now: float) -> None:
        """Queue everything that the vendor can be asked about the records that are left."""
        keys, sought = list(self._open), [one.sought or {} for one in self._open.values()]
        self._began = now
        self._index = Index(dict(zip(keys, sought, strict=True)), self._read_back.identity)
        self._same, self._like, self._failed = {key: {} for key in keys}, {key: set() for key in keys}, set()
        self._asked, self._queue, self._under_way = set(), [], {}

        def first() -> list[ReadRequest]:
            questions = self._read_back.questions(sought, self._context.mapper.destination)
            return [ReadRequest(question=one, about=tuple(keys[place] for place in one.about)) for one in questions]

        requests = guarded(self._context.vendor, first, list[ReadRequest]())
        for key in set(keys).difference(*(one.about for one in requests)):
            self._findings.append(Finding(self._open.pop(key), "not_read_back"))
        for one in requests:
            self._put(one)
        self._conclude_if_over()

    def _put(self, request: ReadRequest) -> None:
        """Queue a request that is new in this pass; a vendor whose pages go round tells nothing."""
        if request.question.request in self._asked or len(self._asked) >= self._read_back.most_requests:
            self._failed.update(request.about)
        else:
            self._asked.add(request.question.request)
            self._queue.append(request)

    def _readable(self, status: int) -> bool:
        return 200 <= status < 300 or status in self._read_back.absent_statuses  # noqa: PLR2004  # RFC 9110

    def _page(self, question: Question, response: Response) -> Page | None:
        if not self._readable(response.status):
            return None
        return guarded(self._context.vendor, lambda: self._read_back.read(response, question), None)

    def _repeat(self, asked: ReadRequest, result: Result) -> None:
        """Ask again later, if that can help."""
        clock, settings = self._context.clock, self._context.settings
        again, wait = True, None
        if isinstance(result, Response):
            again = self._readable(result.status) or result.status in RETRIED | self._context.vendor.again_statuses
            wait = retry_after(result.headers.get("retry-after"), clock.now())
        elif isinstance(result, NotSent):
            again, wait = not result.refused, result.wait
        now, tries = clock.monotonic(), asked.tries + 1
        if not again or tries >= settings.request_attempts or (wait or 0.0) > settings.max_wait:
            self._failed.update(asked.about)
            return
        if wait:
            self._context.pace.pause(now + wait)
        self._queue.append(replace(asked, tries=tries, due=now + max(wait or 0.0, backoff(tries, clock.random))))

    def _compare(self, asked: ReadRequest, page: Page, date: datetime | None) -> None:
        identity = self._read_back.identity
        for contact in page.contacts:
            for key in self._index.candidates(contact.fields).intersection(asked.about):
                one = self._open[key]
                likeness = self._dated(one, contact, compare(one.sought or {}, contact.fields, identity), date)
                if likeness == "same":
                    self._same[key][contact.id] = None
                elif likeness == "like":
                    self._like[key].add(contact.id)
        if not page.whole:
            self._failed.update(asked.about)
        if page.more is not None:
            self._put(ReadRequest(question=page.more, about=asked.about))

    def _dated(self, one: InDoubt, contact: Contact, likeness: Likeness, date: datetime | None) -> Likeness:
        """Return what a contact still is, given when it was created: what is older than the claim is another one."""
        created, clock = contact.created_at, self._context.clock
        if likeness == "other" or created is None or created.tzinfo is None:
            return likeness
        claimed = (date or clock.now()) - timedelta(seconds=clock.monotonic() - one.marked_at)
        older = (claimed - created).total_seconds()
        if older <= ROUNDING:
            return likeness
        return "other" if older > (VENDOR_CLOCKS if date and one.state.oldest is None else CLOCK_ERROR) else "like"

    def _conclude_if_over(self) -> None:
        """Give each record the contact that it is, as many as there are, and the others what the pass proves."""
        if self._reading:
            return
        seen = set[str]().union(*self._same.values(), *self._like.values())
        holders = self._context.holders(seen) if seen else ()
        foreign = {one.id for one in holders if one.record_identifier is None}
        others = {
            key: {one.id for one in holders if one.record_identifier != about.record.record_identifier}
            for key, about in self._open.items()
        }
        options = {
            key: [one for one in self._same[key] if one not in self._given and one not in others[key]]
            for key in self._open
        }
        given = assign(options)
        self._given.update(given.values())
        for key, about in list(self._open.items()):
            if key in given:
                contact = self._context.settings.secrets.clean(given[key], NAME_LENGTH) or ""
                finding: Finding | None = Finding(about, "found", contact)
            else:
                finding = self._not_found(key, others[key], foreign)
            if finding is not None:
                del self._open[key]
                self._findings.append(finding)
        wanted = max((one.absent_from for one in self._open.values()), default=inf)
        self._next_pass = max(wanted, self._began + self._context.settings.reconcile_delay)

    def _not_found(self, key: int, others: Collection[str], foreign: Collection[str]) -> Finding | None:
        """Return what a pass says of a record that is none of its contacts, ``None`` to confirm it by another pass."""
        about, same = self._open[key], self._same[key]
        if key in self._failed:
            return Finding(about, "read_failed")
        # The vendor said that it is this contact, and so it looks, but said the same of another record.
        shown_as = about.state.destination_record_id
        contested = shown_as in others and shown_as in same
        # A contact that agrees, and is another sync_id's record: the same person must not be sent twice.
        if contested or not same.keys().isdisjoint(foreign) or self._like[key].difference(self._given, others):
            return Finding(about, "ambiguous")
        if self._began >= about.absent_from:
            self._misses[key] += 1
        return Finding(about, "absent") if self._misses[key] >= READS else None


def vendor_time(response: Response) -> datetime | None:
    """Return the vendor's clock from a ``Date`` header; ``None`` without one that can be read."""
    try:
        moment = parsedate_to_datetime(response.headers.get("date", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else None
