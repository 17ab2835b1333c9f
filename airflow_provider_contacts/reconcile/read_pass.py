"""One time through everything that a vendor can be asked about records in doubt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from math import inf

from airflow_provider_contacts.pacing.bucket import Pace, backoff, retry_after
from airflow_provider_contacts.reconcile.in_doubt import InDoubt
from airflow_provider_contacts.reconcile.matching import Index, Likeness, compare
from airflow_provider_contacts.vendor_kit.answers import guarded
from airflow_provider_contacts.vendor_kit.push_settings import Clock, PushSettings
from airflow_provider_contacts.vendor_kit.reads import Contact, Page, Question, ReadBack
from airflow_provider_contacts.vendor_kit.results import NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import Destination, Request, Response, Vendor

# A vendor's Date has whole seconds, and so may its times of creation.
ROUNDING = 2.0

# The Date and the time of creation may come from two machines of the vendor. What is older than the claim, but not by
# more than this, proves nothing either way.
VENDOR_CLOCKS = 30.0

# The same without a Date, or where the claim's moment is not known so well: two clocks in two places.
CLOCK_ERROR = 300.0

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadContext:
    """What every read of a push goes by.

    :param renewable: whether a refused credential can be renewed.
    """

    vendor: Vendor
    read_back: ReadBack
    destination: Destination
    settings: PushSettings
    pace: Pace
    clock: Clock
    renewable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """One read request, to be sent or on its way.

    :param about: the records that its contacts can settle.
    :param tries: results so far that were of no use.
    :param due: the moment (monotonic) before which it must not leave.
    """

    question: Question
    about: tuple[int, ...]
    tries: int = 0
    renewed: bool = False
    due: float = -inf


class ReadPass:
    """The requests of one pass, and what their contacts say.

    ``same`` holds, by record, the contacts that agree with it, in the order in which they are shown; ``like`` those
    that are only like it. ``failed`` are records about which not everything was read, ``unasked`` those that the vendor
    cannot be asked about.
    """

    def __init__(self, in_doubt: Mapping[int, InDoubt], context: ReadContext, now: float) -> None:
        self.began = now
        self.same: dict[int, dict[str, None]] = {key: {} for key in in_doubt}
        self.like: dict[int, set[str]] = {key: set() for key in in_doubt}
        self.failed: set[int] = set()
        self._in_doubt = dict(in_doubt)
        self._context = context
        self._asked: set[Request] = set()
        self._queue: list[ReadRequest] = []
        self._under_way: dict[int, ReadRequest] = {}
        keys, sought = list(in_doubt), [one.sought or {} for one in in_doubt.values()]
        self._index = Index(dict(zip(keys, sought, strict=True)), context.read_back.identity)

        def first() -> list[ReadRequest]:
            questions = context.read_back.questions(sought, context.destination)
            return [ReadRequest(question=one, about=tuple(keys[place] for place in one.about)) for one in questions]

        requests = guarded(context.vendor, first, list[ReadRequest]())
        self.unasked = set(keys).difference(*(one.about for one in requests))
        for one in requests:
            self._put(one)

    @property
    def over(self) -> bool:
        """Whether every request has its result."""
        return not self._queue and not self._under_way

    def next_at(self, now: float) -> float:
        """Return the moment from which a request may leave; infinity while responses are awaited."""
        return max(self._context.pace.next_at(now), min(one.due for one in self._queue)) if self._queue else inf

    def ask(self, submit: Callable[[Request], int], room: int) -> None:
        """Send what may be sent now; see :meth:`Reader.ask`."""
        now = self._context.clock.monotonic()
        due = [one for one in self._queue if one.due <= now]
        room = min(room - len(self._under_way), len(due))
        for one in due[: self._context.pace.available(now, room)]:
            self._queue.remove(one)
            self._context.pace.take(now, 1)
            self._under_way[submit(one.question.request)] = one

    def on_result(self, tag: int, result: Result) -> bool:
        """Take in a result, if it was asked for here; return whether the credential must be renewed."""
        asked = self._under_way.pop(tag, None)
        if asked is None:
            return False
        refused = isinstance(result, Response) and result.status == UNAUTHORIZED
        renew = self._context.renewable and refused and not asked.renewed
        if renew:
            self._queue.append(replace(asked, renewed=True))
        elif isinstance(result, Response) and (page := self._page(asked.question, result)) is not None:
            self._compare(asked, page, vendor_time(result))
        else:
            self._repeat(asked, result)
        return renew

    def _put(self, request: ReadRequest) -> None:
        """Queue a request that is new in this pass; a vendor whose pages go round tells nothing."""
        if request.question.request in self._asked or len(self._asked) >= self._context.read_back.most_requests:
            self.failed.update(request.about)
            return
        self._asked.add(request.question.request)
        self._queue.append(request)

    def _readable(self, status: int) -> bool:
        return 200 <= status < 300 or status in self._context.read_back.absent_statuses  # noqa: PLR2004  # RFC 9110

    def _page(self, question: Question, response: Response) -> Page | None:
        read_back = self._context.read_back
        return (
            guarded(self._context.vendor, lambda: read_back.read(response, question), None)
            if self._readable(response.status)
            else None
        )

    def _repeat(self, asked: ReadRequest, result: Result) -> None:
        """Ask again later, if that can help."""
        clock, settings = self._context.clock, self._context.settings
        again, wait = True, None
        if isinstance(result, Response):
            again_statuses = RETRIED | self._context.vendor.again_statuses
            again = self._readable(result.status) or result.status in again_statuses
            wait = retry_after(result.headers.get("retry-after"), clock.now())
        elif isinstance(result, NotSent):
            again, wait = not result.refused, result.wait
        now, tries = clock.monotonic(), asked.tries + 1
        if not again or tries >= settings.request_attempts or (wait or 0.0) > settings.max_wait:
            self.failed.update(asked.about)
            return
        if wait:
            self._context.pace.pause(now + wait)
        due = now + max(wait or 0.0, backoff(tries, clock.random))
        self._queue.append(replace(asked, tries=tries, due=due))

    def _compare(self, asked: ReadRequest, page: Page, date: datetime | None) -> None:
        identity = self._context.read_back.identity
        for contact in page.contacts:
            for key in self._index.candidates(contact.fields).intersection(asked.about):
                one = self._in_doubt[key]
                likeness = self._dated(one, contact, compare(one.sought or {}, contact.fields, identity), date)
                if likeness is Likeness.SAME:
                    self.same[key][contact.id] = None
                elif likeness is Likeness.LIKE:
                    self.like[key].add(contact.id)
        if not page.whole:
            self.failed.update(asked.about)
        if page.more is not None:
            self._put(ReadRequest(question=page.more, about=asked.about))

    def _dated(self, one: InDoubt, contact: Contact, likeness: Likeness, date: datetime | None) -> Likeness:
        """Return what a contact still is, given when it was created: what is older than the claim is another one."""
        created, clock = contact.created_at, self._context.clock
        if likeness is Likeness.OTHER or created is None or created.tzinfo is None:
            return likeness
        claimed = (date or clock.now()) - timedelta(seconds=clock.monotonic() - one.marked_at)
        older = (claimed - created).total_seconds()
        if older <= ROUNDING:
            return likeness
        return Likeness.OTHER if older > (VENDOR_CLOCKS if date and one.exact else CLOCK_ERROR) else Likeness.LIKE


def vendor_time(response: Response) -> datetime | None:
    """Return the vendor's clock from a ``Date`` header; ``None`` without one that can be read."""
    try:
        moment = parsedate_to_datetime(response.headers.get("date", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else None
