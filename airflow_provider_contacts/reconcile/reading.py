"""Reading a vendor back about records in doubt: what is asked, and what the contacts that it shows prove.

A state machine without a clock, a socket or a ledger of its own: the engine hands it time and answers.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from math import inf

from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.pacing.bucket import Pace, backoff, retry_after
from airflow_provider_contacts.reconcile.in_doubt import Absent, Ask, Case, Finding, Found, Open
from airflow_provider_contacts.reconcile.matching import Index, Likeness, assign, compare
from airflow_provider_contacts.records.record_state import Holder
from airflow_provider_contacts.vendor_kit.answers import guarded
from airflow_provider_contacts.vendor_kit.push_settings import Clock, PushSettings
from airflow_provider_contacts.vendor_kit.reads import Contact, Page, Question, ReadBack
from airflow_provider_contacts.vendor_kit.results import NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import Destination, Request, Response, Vendor

log = logging.getLogger(__name__)

READS = 2
"""Complete reads without a record, after which it counts as absent."""

# A vendor's Date has whole seconds, and so may its times of creation.
ROUNDING = 2.0

# The Date and the time of creation may come from two machines of the vendor. What is older than the mark, but not by
# more than this, proves nothing either way.
VENDOR_CLOCKS = 30.0

# The same without a Date, or where the mark itself is not known so well: two clocks in two places.
CLOCK_ERROR = 300.0

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


class Reading:
    """One reading about some cases, in up to three passes; each case ends in one finding.

    :param held: which of these ids rows hold; may raise what a ledger raises.
    :param renewable: whether a refused credential can be renewed.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        *,
        vendor: Vendor,
        read_back: ReadBack,
        destination: Destination,
        settings: PushSettings,
        pace: Pace,
        clock: Clock,
        held: Callable[[Collection[str]], Collection[Holder]],
        renewable: bool,
    ) -> None:
        self._vendor = vendor
        self._words = read_back
        self._destination = destination
        self._settings = settings
        self._pace = pace
        self._clock = clock
        self._held = held
        self._renewable = renewable
        self._findings: list[Finding] = [Open(case, "not_read_back") for case in cases if case.sought is None]
        self._open = dict(enumerate(case for case in cases if case.sought is not None))
        self._misses: Counter[int] = Counter()
        self._given: set[str] = set()
        self._foreign: set[str] = set()
        self._queue: deque[Ask] = deque()
        self._under_way = 0
        self._running = False
        self._began = -inf
        self._next_pass = self._first_pass(clock.monotonic())

    def give_up(self) -> list[Case]:
        """Return the cases without a finding; nothing more is asked."""
        left, self._open = list(self._open.values()), {}
        self._queue.clear()
        return left

    @property
    def done(self) -> bool:
        """Whether every case has its finding."""
        return not self._open and not self._under_way

    def findings(self) -> list[Finding]:
        """Return what has been found out since the last call."""
        found, self._findings = self._findings, []
        return found

    def next_at(self, now: float) -> float:
        """Return the moment at which :meth:`take` has something to give; infinity while answers are awaited."""
        if not self._running:
            return self._next_pass if self._open else inf
        if not self._queue:
            return inf
        return max(self._pace.next_at(now), min(ask.due for ask in self._queue))

    def take(self, now: float, room: int) -> list[Ask]:
        """Return the requests that leave now.

        :param room: requests that may be under way besides those that are.
        """
        if not self._running and self._open and now >= self._next_pass:
            self._begin(now)
        due = [ask for ask in self._queue if ask.due <= now]
        due = due[: self._pace.available(now, min(room, len(due)))]
        for ask in due:
            self._queue.remove(ask)
            self._pace.take(now, 1)
            self._under_way += 1
        return due

    def land(self, ask: Ask, result: Result) -> bool:
        """Take in a result; return whether the credential must be renewed.

        :raises LedgerError: where the ledger cannot say which ids are held.
        """
        self._under_way -= 1
        renew = self._renewable and isinstance(result, Response) and result.status == 401 and not ask.renewed  # noqa: PLR2004
        if renew:
            self._queue.append(replace(ask, renewed=True))
        else:
            self._weigh(ask, result)
        self._conclude_if_over()
        return renew

    # One pass.

    def _first_pass(self, now: float) -> float:
        """Return when to begin: at once, unless a short wait saves a pass that could only find and not miss."""
        ready = max((case.absent_from for case in self._open.values()), default=now)
        return ready if ready - now <= 2 * self._settings.reconcile_delay else now

    def _begin(self, now: float) -> None:
        self._running, self._began = True, now
        self._same: dict[int, dict[str, None]] = {key: {} for key in self._open}
        self._like: dict[int, set[str]] = {key: set() for key in self._open}
        self._asked: set[Request] = set()
        self._index = Index({key: case.sought or {} for key, case in self._open.items()}, self._words.identity)
        keys = list(self._open)
        sought = [case.sought or {} for case in self._open.values()]

        def first() -> list[Ask]:
            questions = self._words.questions(sought, self._destination)
            return [Ask(question=one, about=tuple(keys[index] for index in one.about)) for one in questions]

        asks = guarded(self._vendor, first, list[Ask]())
        self._failed = set(keys) - {key for ask in asks for key in ask.about}
        for key in self._failed:
            self._findings.append(Open(self._open.pop(key), "not_read_back"))
        for ask in asks:
            self._put(ask)
        self._conclude_if_over()

    def _put(self, ask: Ask) -> None:
        """Queue a request that has not been asked in this pass; a vendor whose pages go round tells nothing."""
        if ask.request in self._asked or len(self._asked) >= self._words.most_requests:
            self._failed.update(ask.about)
            return
        self._asked.add(ask.request)
        self._queue.append(ask)

    def _weigh(self, ask: Ask, result: Result) -> None:
        wait: float | None = None
        again = not (isinstance(result, NotSent) and result.refused)
        if isinstance(result, Response):
            status = result.status
            if 200 <= status < 300 or status in self._words.absent_statuses:  # noqa: PLR2004  # RFC 9110
                page = self._page(ask.question, result)
                if page is not None:
                    self._take_in(ask, page, result)
                    return
            else:
                again = status in RETRIED or status in self._vendor.again_statuses
            wait = retry_after(result.headers.get("retry-after"), self._clock.now())
        elif isinstance(result, NotSent):
            wait = result.wait
        now, tries = self._clock.monotonic(), ask.tries + 1
        if not again or tries >= self._settings.request_attempts or (wait or 0.0) > self._settings.max_wait:
            self._failed.update(ask.about)
            return
        if wait:
            self._pace.pause(now + wait)
        self._queue.append(replace(ask, tries=tries, due=now + max(wait or 0.0, backoff(tries, self._clock.random))))

    def _page(self, question: Question, answer: Response) -> Page | None:
        def read() -> Page | None:
            try:
                return self._words.read(answer, question)
            except UnreadableError:
                return None

        return guarded(self._vendor, read, None)

    def _take_in(self, ask: Ask, page: Page, answer: Response) -> None:
        date, about = vendor_time(answer), set(ask.about)
        for contact in page.contacts:
            for key in about & self._index.candidates(contact.fields):
                case = self._open[key]
                likeness = compare(case.sought or {}, contact.fields, self._words.identity)
                if likeness is not Likeness.OTHER:
                    self._count(key, contact, self._dated(case, contact, likeness, date))
        if not page.whole:
            self._failed.update(ask.about)
        if page.more is not None:
            self._put(Ask(question=page.more, about=ask.about))

    def _count(self, key: int, contact: Contact, likeness: Likeness) -> None:
        if likeness is Likeness.SAME:
            self._same[key][contact.id] = None
        elif likeness is Likeness.LIKE:
            self._like[key].add(contact.id)

    def _dated(self, case: Case, contact: Contact, likeness: Likeness, date: datetime | None) -> Likeness:
        """Return what a contact still is, given when it was created: what is older than the mark is another one."""
        if contact.created_at is None or contact.created_at.tzinfo is None:
            return likeness
        mark = (date or self._clock.now()) - timedelta(seconds=self._clock.monotonic() - case.marked_at)
        older = (mark - contact.created_at).total_seconds()
        if older <= ROUNDING:
            return likeness
        return Likeness.OTHER if older > (VENDOR_CLOCKS if date and case.exact else CLOCK_ERROR) else Likeness.LIKE

    # The end of a pass.

    def _conclude_if_over(self) -> None:
        if self._running and not self._queue and not self._under_way:
            self._running = False
            self._conclude()
            if self._open:
                wanted = max(case.absent_from for case in self._open.values())
                self._next_pass = max(wanted, self._began + self._settings.reconcile_delay)

    def _conclude(self) -> None:
        others = self._held_by_others()
        options: Mapping[int, list[str]] = {
            key: [one for one in found if one not in self._given and one not in others[key]]
            for key, found in self._same.items()
            if key in self._open
        }
        given = assign(options)
        self._given.update(given.values())
        for key in list(self._open):
            finding = self._finding(key, given.get(key), others[key])
            if finding is not None:
                del self._open[key]
                self._findings.append(finding)

    def _finding(self, key: int, found: str | None, others: Collection[str]) -> Finding | None:
        """Return what this pass says of a case, ``None`` where another pass must confirm it."""
        case = self._open[key]
        if found is not None:
            return Found(case, found)
        if key in self._failed:
            return Open(case, "read_failed")
        # One that agrees in everything, and is another sync's record: the same person must not be sent twice.
        foreign = self._foreign & self._same[key].keys()
        # The vendor said that it is this one, and so it looks, but said the same of another record.
        shown_as = case.standing.destination_record_id
        contested = shown_as in others and shown_as in self._same[key]
        if contested or foreign or self._like[key] - self._given - set(others):
            return Open(case, "ambiguous")
        if self._began >= case.absent_from:
            self._misses[key] += 1
        return Absent(case) if self._misses[key] >= READS else None

    def _held_by_others(self) -> Mapping[int, Collection[str]]:
        """Return, for each open case, the ids that rows of other records hold."""
        seen = {one for found in (*self._same.values(), *self._like.values()) for one in found}
        holders = list(self._held(seen)) if seen else []
        self._foreign = {one.id for one in holders if one.record_identifier is None}
        return {
            key: {one.id for one in holders if one.record_identifier != case.record.record_identifier}
            for key, case in self._open.items()
        }


def vendor_time(answer: Response) -> datetime | None:
    """Return the vendor's clock from an answer's ``Date``; ``None`` where it does not say."""
    try:
        moment = parsedate_to_datetime(answer.headers.get("date", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else None


def summary_of(findings: Sequence[Finding]) -> str:
    """Return how many cases ended how, for a log."""
    words = (one.code if isinstance(one, Open) else type(one).__name__.lower() for one in findings)
    return ", ".join(f"{word} {count}" for word, count in sorted(Counter(words).items()))
