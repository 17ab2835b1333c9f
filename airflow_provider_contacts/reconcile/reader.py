"""Reading a vendor back about records in doubt: how often, and what the contacts that it shows prove."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf

from airflow_provider_contacts.reconcile.in_doubt import Finding, InDoubt
from airflow_provider_contacts.reconcile.matching import assign
from airflow_provider_contacts.reconcile.read_pass import ReadContext, ReadPass
from airflow_provider_contacts.records.record_state import Holder
from airflow_provider_contacts.vendor_kit.results import Result
from airflow_provider_contacts.vendor_kit.sanitize import NAME_LENGTH
from airflow_provider_contacts.vendor_kit.vendor import Request

READS = 2
"""Complete reads without a record, after which it counts as absent."""


class Reader:
    """One reading about some records, in up to three passes; each record ends in one finding.

    It has no clock, socket or ledger of its own: the engine hands it time and results.

    :param held: which of these ids rows hold; may raise what a ledger raises.
    """

    def __init__(
        self,
        in_doubt: Sequence[InDoubt],
        context: ReadContext,
        held: Callable[[Collection[str]], Collection[Holder]],
    ) -> None:
        self._context = context
        self._held = held
        self._findings = [Finding(one, "not_read_back") for one in in_doubt if one.sought is None]
        self._open = {key: one for key, one in enumerate(in_doubt) if one.sought is not None}
        self._misses: Counter[int] = Counter()
        self._given: set[str] = set()
        self._pass: ReadPass | None = None
        # At once, unless a short wait saves a pass that could find and not miss.
        now = context.clock.monotonic()
        ready = max((one.absent_from for one in self._open.values()), default=now)
        self._next_pass = ready if ready - now <= 2 * context.settings.reconcile_delay else now

    def give_up(self) -> list[InDoubt]:
        """Return the records without a finding; nothing more is asked."""
        left, self._open, self._pass = list(self._open.values()), {}, None
        return left

    @property
    def done(self) -> bool:
        """Whether every record has its finding."""
        return not self._open and self._pass is None

    def findings(self) -> list[Finding]:
        """Return what has been found out since the last call."""
        found, self._findings = self._findings, []
        return found

    def next_at(self, now: float) -> float:
        """Return the moment at which :meth:`ask` has something to do; infinity while responses are awaited."""
        if self._pass is not None:
            return self._pass.next_at(now)
        return self._next_pass if self._open else inf

    def ask(self, submit: Callable[[Request], int], room: int) -> None:
        """Send what may be sent now.

        :param submit: sends a request and returns its tag.
        :param room: requests that may be under way.
        """
        now = self._context.clock.monotonic()
        if self._pass is None and self._open and now >= self._next_pass:
            self._pass = ReadPass(self._open, self._context, now)
            for key in self._pass.unasked:
                self._findings.append(Finding(self._open.pop(key), "not_read_back"))
            self._conclude_if_over(self._pass)
        if self._pass is not None:
            self._pass.ask(submit, room)

    def on_result(self, tag: int, result: Result) -> bool:
        """Take in a result, if it was asked for here; return whether the credential must be renewed.

        :raises LedgerError: where the ledger cannot say which ids are held.
        """
        if self._pass is None:
            return False
        renew = self._pass.on_result(tag, result)
        self._conclude_if_over(self._pass)
        return renew

    def _conclude_if_over(self, over: ReadPass) -> None:
        if not over.over:
            return
        self._pass = None
        self._conclude(over)
        wanted = max((one.absent_from for one in self._open.values()), default=inf)
        self._next_pass = max(wanted, over.began + self._context.settings.reconcile_delay)

    def _conclude(self, over: ReadPass) -> None:
        """Give each record the contact that it is, as many as there are, and the others what the pass proves."""
        seen = {one for found in (*over.same.values(), *over.like.values()) for one in found}
        holders = list(self._held(seen)) if seen else []
        foreign = {one.id for one in holders if one.record_identifier is None}
        others = {
            key: {one.id for one in holders if one.record_identifier != about.record.record_identifier}
            for key, about in self._open.items()
        }
        options: Mapping[int, list[str]] = {
            key: [one for one in over.same[key] if one not in self._given and one not in others[key]]
            for key in self._open
        }
        given = assign(options)
        self._given.update(given.values())
        for key, about in list(self._open.items()):
            if key in given:
                contact = self._context.settings.secrets.clean(given[key], NAME_LENGTH) or ""
                finding: Finding | None = Finding(about, "found", contact)
            else:
                finding = self._not_found(over, key, others[key], foreign)
            if finding is not None:
                del self._open[key]
                self._findings.append(finding)

    def _not_found(self, over: ReadPass, key: int, others: Collection[str], foreign: Collection[str]) -> Finding | None:
        """Return what a pass says of a record that is none of its contacts, ``None`` to confirm it by another pass."""
        about, same = self._open[key], over.same[key]
        if key in over.failed:
            return Finding(about, "read_failed")
        # The vendor said that it is this contact, and so it looks, but said the same of another record.
        shown_as = about.state.destination_record_id
        contested = shown_as in others and shown_as in same
        # A contact that agrees, and is another sync_id's record: the same person must not be sent twice.
        if contested or not same.keys().isdisjoint(foreign) or over.like[key].difference(self._given, others):
            return Finding(about, "ambiguous")
        if over.began >= about.absent_from:
            self._misses[key] += 1
        return Finding(about, "absent") if self._misses[key] >= READS else None
