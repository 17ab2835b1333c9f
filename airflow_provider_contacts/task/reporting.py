"""Report a push: its counters from the beginning, progress in the log, and its end in the run's row."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import closing
from time import monotonic
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.errors import ContactsError
from airflow_provider_contacts.outcome import UNDELIVERED, Status
from airflow_provider_contacts.task.summary import Report

if TYPE_CHECKING:
    from airflow_provider_contacts.engine.push import Push
    from airflow_provider_contacts.records.batch import Finished

log = logging.getLogger(__name__)

PROGRESS_EVERY = 30.0
"""Seconds between two progress lines in the log."""

SHOWN = tuple(status.value for status in Status if status is not Status.SENDING)


def write_end(report: Report, ledger: Any, message: str | None = None) -> None:
    """Log the counters, and write them into the run's row if the ledger has one."""
    counts = ", ".join(f"{name.removeprefix('num_')} {value}" for name, value in report.counts().items())
    log.info("Push %s: %s", report.status, counts)
    if (write := getattr(ledger, "finish", None)) is not None:
        write(report.counts(), report.status, message)


def message_of(error: BaseException) -> str:
    """Return why a run ended as it did; of another's exception only its kind, whose text may quote a row."""
    if isinstance(error, ContactsError):
        return str(error)
    if isinstance(error, GeneratorExit):
        return "its outcomes were read no further, which stops a push"
    kind = type(error)
    return f"ended by {kind.__module__}.{kind.__qualname__}; the task's log says where"


def counted(push: Push, report: Report) -> Generator[Finished]:
    """Run a push; count its records, each once, and hand them on."""
    try:
        with closing(push.run()) as portions:
            for finished in portions:
                report.add(finished)
                yield finished
    except GeneratorExit:
        for finished in push.last_words:
            report.add(finished)
        raise
    finally:
        report.num_requests, report.trouble = push.counts.num_requests, push.counts.trouble


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
        found = ", ".join(f"{word} {counts[f'num_{word}']}" for word in SHOWN if counts[f"num_{word}"])
        left = f", about {max(0, total - done) / rate:.0f} s left" if total is not None and rate > 0 else ""
        log.info(
            "Progress: read %s%s, sent %s, answered %s; outcomes %s%s; %.1f records a second%s",
            *(reached.num_read, of, reached.num_sent, reached.num_answered),
            *(done, found and f" ({found})", rate, left),
        )


def place_of_rows(report: Report, outcomes_conn_id: str | None) -> str:
    """Say where a person finds the outcome of each record."""
    if outcomes_conn_id is None:
        if report.wanted == "none":
            return "no outcome was kept: set outcomes_conn_id"
        return "each outcome: XCom return_value of this task, under outcomes"
    run = report.sync_run_id.replace("'", "''")
    wanted = ", ".join(f"'{one.value}'" for one in Status if one in UNDELIVERED and report.statuses[one])
    columns = "record_identifier, status, error_code, error_field, status_message"
    # Shown to a person, never run by this package.
    query = f"SELECT {columns} FROM {report.outcomes_table} WHERE sync_run_id = '{run}'"  # noqa: S608
    twins = report.codes["key_not_unique"]
    named = f"rows (connection {outcomes_conn_id!r}{f'; none for the {twins} of key_not_unique' if twins else ''})"
    return f"{named}: {query}" + (f" AND status IN ({wanted})" if wanted else "")
