"""Counting outcomes as they stream by, and telling of them. No identifier and no text of a vendor stays."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.errors import UndeliveredError
from airflow_provider_contacts.outcome import UNDELIVERED, WITHOUT_ROW, Outcome, Status
from airflow_provider_contacts.records.batch import Finished
from airflow_provider_contacts.task.parameters import XcomOutcomes
from airflow_provider_contacts.vendor_kit.sanitize import MESSAGE_LENGTH, NAME_LENGTH, clean

if TYPE_CHECKING:
    from airflow_provider_contacts.engine.plan import Plan
    from airflow_provider_contacts.engine.push import Push

log = logging.getLogger(__name__)

MOST_IN_XCOM = 10_000
"""Outcomes that ``auto`` puts into XCom at most: beyond it a metadata database suffers."""

MOST_CODES = 100
"""Different error codes that are counted by name; a vendor that invents more shares one line."""

LONGEST_CODE = 100

PROGRESS_EVERY = 30.0
"""Seconds between two progress lines in the log."""


def entry_of(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as XCom carries it: built-in types alone, since no other class is let in downstream."""
    return {
        "record_identifier": outcome.record_identifier,
        "row_index": outcome.row_index,
        "status": outcome.status.value,
        "destination_record_id": clean(outcome.destination_record_id, NAME_LENGTH),
        "error_code": clean(outcome.error_code, NAME_LENGTH),
        "error_field": clean(outcome.error_field, NAME_LENGTH),
        "status_message": clean(outcome.status_message, MESSAGE_LENGTH),
    }


@dataclass(slots=True, kw_only=True)
class Report:
    """The counters of one execution, and what else its summary holds.

    :param wanted: the outcomes that go into XCom, see ``xcom_outcomes``.
    :param status: the run's status word; ``running`` until the end is written.
    :param total: records that the source has, where it says so.
    :param trouble: why the last request that got no usable answer got none.
    :param entries: the outcomes for XCom, in the order in which they settled.
    :param plan: lists the keys of what is counted, where nothing is pushed.
    """

    vendor: str
    sync_id: str
    sync_run_id: str
    destination_object: str | None
    outcomes_table: str | None
    wanted: XcomOutcomes
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    status: str = "running"
    statuses: dict[Status, int] = field(default_factory=lambda: dict.fromkeys(Status, 0))
    codes: Counter[str] = field(default_factory=Counter)
    num_changed: int = 0
    num_held: int = 0
    num_delivered: int = 0
    num_requests: int = 0
    total: int | None = None
    trouble: str | None = None
    entries: list[dict[str, Any]] = field(default_factory=list)
    plan: Plan | None = None

    def counted(self, push: Push) -> Generator[Finished]:
        """Run a push; count its records, each once, and hand them on."""
        try:
            with closing(push.run()) as portions:
                for finished in portions:
                    self.add(finished)
                    yield finished
        except GeneratorExit:
            for finished in push.last_words:
                self.add(finished)
            raise
        finally:
            self.num_requests, self.trouble = push.counts.num_requests, push.counts.trouble

    def add(self, finished: Finished) -> None:
        """Count finished records, and keep the outcomes that are wanted."""
        self.statuses[Status.SUCCEEDED] += finished.num_confirmed
        self.num_delivered += finished.num_confirmed
        for outcome in finished.others:
            self.count(outcome)
        if self.wanted == "undelivered":
            self.entries.extend(entry_of(one) for one in finished.others if one.status in UNDELIVERED)
        elif self.wanted != "none":
            self.entries.extend(map(entry_of, finished))

    def count(self, outcome: Outcome) -> None:
        """Count one outcome."""
        status = outcome.status
        self.statuses[status] += 1
        if self.plan is not None:
            self.plan.show(status.value, outcome.record_identifier)
        if status is Status.SUCCEEDED:
            self.num_delivered += 1
        elif status is Status.SKIPPED:
            self.num_changed += outcome.changed
            self.num_delivered += outcome.from_this_run
        elif status is Status.UNKNOWN and not outcome.from_this_run:
            self.num_held += 1
        if outcome.error_code and status in UNDELIVERED:
            code = clean(outcome.error_code, LONGEST_CODE) or ""
            self.codes[code if code in self.codes or len(self.codes) < MOST_CODES else "(other)"] += 1

    @property
    def num_undelivered(self) -> int:
        """Records that are not, or not surely, at the vendor."""
        return sum(self.statuses[status] for status in UNDELIVERED)

    def counts(self) -> dict[str, int]:
        """Return the counters of the runs table, by their public names."""
        others = ("num_changed", "num_held", "num_undelivered", "num_delivered", "num_requests")
        return {
            "num_planned": sum(self.statuses.values()),
            **{f"num_{status.value}": self.statuses[status] for status in Status if status is not Status.SENDING},
            **{name: getattr(self, name) for name in others},
        }

    def not_tolerated(self, max_rejected: float, max_unknown: float) -> UndeliveredError | None:
        """Return why the task must fail, or ``None``."""
        counted = self.statuses
        refused = counted[Status.REJECTED] + counted[Status.INVALID]
        # What an earlier try delivered counts for a fraction: a retry must not fail for having less left to do.
        delivered_before = self.num_delivered - counted[Status.SUCCEEDED]
        base = sum(counted.values()) - counted[Status.SKIPPED] - counted[Status.DUPLICATE] + delivered_before
        allowed = max_rejected * base if 0 < max_rejected < 1 else max_rejected
        unknown = counted[Status.UNKNOWN] - self.num_held
        reasons = []
        if counted[Status.FAILED]:
            reasons.append(f"{counted[Status.FAILED]} failed")
        # A hair's breadth: 0.29 of 100 is a little less than 29 for a float.
        if refused > allowed + 1e-9:
            reasons.append(f"{refused} rejected or invalid (tolerated: {max_rejected:g})")
        if unknown > max_unknown:
            reasons.append(f"{unknown} unknown (tolerated: {max_unknown:g})")
        if not reasons:
            return None
        text = f"of {sum(counted.values())} records {', '.join(reasons)}; first codes: {self.first_codes()}"
        return UndeliveredError(text, retryable=bool(counted[Status.FAILED]))

    def first_codes(self) -> str:
        """Return the most frequent codes with their counts."""
        return ", ".join(f"{code} ({count})" for code, count in self.codes.most_common(5)) or "none"

    def summary(self) -> dict[str, Any]:
        """Return the value that goes to XCom: built-in types alone."""
        completed_at = datetime.now(UTC)
        listed, entries = self.wanted != "none", self.entries
        # Without an outcome table alone, so that there are not many more.
        if self.wanted == "auto" and len(entries) > MOST_IN_XCOM:
            entries = [entry for entry in entries if entry["status"] in UNDELIVERED][:MOST_IN_XCOM]
        return {
            "sync_id": self.sync_id,
            "sync_run_id": self.sync_run_id,
            "destination": self.vendor,
            "destination_object": self.destination_object,
            "status": self.status,
            **self.counts(),
            "error_codes": dict(self.codes),
            "outcomes_table": self.outcomes_table,
            "outcomes_complete": listed and len(entries) == len(self.entries),
            "started_at": self.started_at.isoformat(),
            "completed_at": completed_at.isoformat(),
            "duration_seconds": round((completed_at - self.started_at).total_seconds(), 3),
            **({"outcomes": entries} if listed else {}),
        }

    def planned(self, plan: Plan, minutes: float) -> dict[str, Any]:
        """Return the summary of what a push would do now, and tell it."""
        self.num_requests, self.status, self.wanted = plan.num_requests, "succeeded", "none"
        summary = self.summary()
        summary["num_planned"] += plan.num_to_send
        others = "".join(f", {one.value} {count}" for one, count in self.statuses.items() if count)
        log.info(
            "Plan only, nothing was sent: of %s records a push would send %s (%s new) in %s requests, about %s min%s%s",
            *(summary["num_planned"], plan.num_to_send, plan.num_new, plan.num_requests, minutes, others),
            f"; first codes: {self.first_codes()}" if self.codes else "",
        )
        summary |= {"num_to_send": plan.num_to_send, "num_new": plan.num_new, "estimated_minutes": minutes}
        return summary | ({"plan": plan.listed} if plan.most else {})

    def end(self, status: str, ledger: Any, message: str | None = None) -> None:
        """Log the counters, and write them into the run's row if the ledger has one."""
        self.status = status
        counts = ", ".join(f"{name.removeprefix('num_')} {value}" for name, value in self.counts().items())
        log.info("Push %s: %s", status, counts)
        if (write := getattr(ledger, "finish", None)) is not None:
            write({**self.counts(), "num_total": self.total}, status, message)

    def place_of_rows(self, outcomes_conn_id: str | None) -> str:
        """Say where a person finds the outcome of each record."""
        if outcomes_conn_id is None:
            if self.wanted == "none":
                return "no outcome was kept: set outcomes_conn_id"
            return "each outcome: XCom return_value of this task, under outcomes"
        run = self.sync_run_id.replace("'", "''")
        wanted = ", ".join(f"'{one.value}'" for one in Status if one in UNDELIVERED and self.statuses[one])
        columns = "record_identifier, status, error_code, error_field, status_message"
        # Shown to a person, never run by this package.
        query = f"SELECT {columns} FROM {self.outcomes_table} WHERE sync_run_id = '{run}'"  # noqa: S608
        without = " and ".join(f"the {self.codes[code]} of {code}" for code in WITHOUT_ROW if self.codes[code])
        named = f"rows (connection {outcomes_conn_id!r}{f'; none for {without}' if without else ''})"
        return f"the link Outcomes of this task, or {named}: {query}" + (f" AND status IN ({wanted})" if wanted else "")


class Progress:
    """Logs now and then how far a push is."""

    def __init__(self, report: Report, now: Callable[[], float] = monotonic) -> None:
        self._report, self._now = report, now
        self._last, self._done = now(), 0

    def tell(self, push: Push) -> None:
        """Log a line if the last one is old enough."""
        passed = self._now() - self._last
        if passed < PROGRESS_EVERY:
            return
        counts = self._report.counts()
        done = counts["num_planned"]
        rate = (done - self._done) / passed
        self._last, self._done = self._now(), done
        reached = push.counts
        total = reached.num_read if reached.is_read else self._report.total
        of = " (all)" if reached.is_read else "" if total is None else f" of {total}"
        found = ", ".join(f"{one.value} {count}" for one, count in self._report.statuses.items() if count)
        left = f", about {max(0, total - done) / rate:.0f} s left" if total is not None and rate > 0 else ""
        log.info(
            "Progress: read %s%s, sent %s, answered %s; outcomes %s%s; %.1f records a second%s",
            *(reached.num_read, of, reached.num_sent, reached.num_answered),
            *(done, found and f" ({found})", rate, left),
        )
