"""``runs``, ``show`` and ``unknown``: the pushes, one of them, and what they left in doubt."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from airflow_provider_contacts.cli.outcome_table import reports_of
from airflow_provider_contacts.cli.output import Row, jsonable, write
from airflow_provider_contacts.error_codes import RUN_STATUS_WORDS, Explanation, explain
from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.reports.outcomes import OutcomeReports
from airflow_provider_contacts.ledgers.reports.shapes import EVERYTHING, CodeCount, Page, RowFilter, RunFilter, RunRow

RUN_COLUMNS = ("run_no", "started_at", "status", "destination", "dag_id", "task_id", "run_id", "num_planned",
               "num_succeeded", "num_undelivered")  # fmt: skip
RECORD_COLUMNS = ("record_identifier", "status", "error_code", "error_field", "status_message",
                  "destination_record_id", "attempts", "batch_completed_at")  # fmt: skip
GROUP_COLUMNS = ("sync_id", "destination", "num_unknown", "num_sending", "hour", "day", "week", "older", "oldest")


def runs(options: argparse.Namespace) -> int:
    """Print pushes."""
    which = RunFilter(dag_id=options.dag_id, destination=options.destination, status=options.status,
                      since=options.since, until=options.until)  # fmt: skip
    with reports_of(options) as reports:
        page = reports.runs(EVERYTHING, which, limit=options.limit)
    write(options.output, [run_row(run) for run in page.items], columns={"": RUN_COLUMNS})
    tell_of_more(page)
    return 0


def show(options: argparse.Namespace) -> int:
    """Print one push."""
    with reports_of(options) as reports:
        run, *others = tries_of(reports, options.run)
        facts = reports.rows_of_run(EVERYTHING, run)
        which = RowFilter(status=options.status, error_code=options.code)
        page = reports.rows(EVERYTHING, run.sync_run_id, which, limit=options.limit)
    words = RUN_STATUS_WORDS.get(run.status, Explanation(""))
    counts = {name: getattr(facts, name) for name in ("num_rows", "num_taken_over", "num_without_row")}
    write(
        options.output,
        {
            "run": {**run_row(run), **counts, **words._asdict()},
            **({"other_tries": [run_row(one) for one in others]} if others else {}),
            "codes": [code_row(one, run.destination) for one in facts.codes],
            "rows": [jsonable(row) for row in page.items],
        },
        columns={"other_tries": RUN_COLUMNS, "rows": RECORD_COLUMNS},
        blocks=["codes"],
    )
    tell_of_more(page)
    return 0


def unknown(options: argparse.Namespace) -> int:
    """Print the syncs with records in doubt, or the records of one."""
    with reports_of(options) as reports:
        if options.sync_id is None:
            groups = [{**one, **one["by_age"]} for one in map(jsonable, reports.doubts(EVERYTHING))]
            write(options.output, groups, columns={"": GROUP_COLUMNS})
            return 0
        page = reports.rows_in_doubt(EVERYTHING, options.sync_id, limit=options.limit)
    write(options.output, [jsonable(row) for row in page.items], columns={"": RECORD_COLUMNS})
    tell_of_more(page)
    return 0


def tries_of(reports: OutcomeReports, name: str) -> list[RunRow]:
    """Return the try that a number names, or the newest of a ``sync_run_id``; behind it the other ones of its run.

    :raises ConfigError: if there is none.
    """
    is_number = name.isascii() and name.isdecimal() and len(name) < 19  # noqa: PLR2004  # what a run_no can be
    run = reports.run(EVERYTHING, int(name)) if is_number else None
    tries = reports.tries(EVERYTHING, run.sync_run_id if run else name)
    if not tries:
        raise ConfigError(f"there is no run {name!r} in the outcome table: the command runs lists their numbers")
    run = run or tries[0]
    return [run, *(one for one in tries if one.run_no != run.run_no)]


def run_row(run: RunRow) -> Row:
    """Return one try of a run, its counters beside the rest."""
    row = jsonable(run)
    counters = row.pop("counters")
    # In a table, a column has a name even if no counter is known yet.
    return {**row, "duration_seconds": run.duration_seconds, **dict.fromkeys(RUN_COLUMNS[-3:]), **counters}


def code_row(code: CodeCount, destination: str | None) -> Row:
    """Return how often a code came, and what it means."""
    return {**jsonable(code), **explain(code.status, code.error_code, destination)._asdict()}


def tell_of_more(page: Page[Any]) -> None:
    """Say that not all is printed."""
    if page.after:
        sys.stdout.flush()
        sys.stderr.write(f"these are the first {len(page.items)}: --limit NUMBER prints more\n")
