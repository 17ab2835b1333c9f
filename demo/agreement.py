"""Whether the demo's four witnesses agree: the outcome table, XCom, the simulated vendors, and what was printed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

STATUSES = ("succeeded", "rejected", "invalid", "failed", "unknown", "skipped", "duplicate")

Summary = dict[str, Any]


def disagreements(
    table: Path, found: Mapping[str, Summary], before: Mapping[str, int], stored: Mapping[str, int]
) -> Iterator[str]:
    """Yield what does not fit together after a run of every DAG.

    :param found: the summary of each DAG's push.
    :param before: contacts at each vendor before the run.
    :param stored: contacts at each vendor now.
    """
    created = dict.fromkeys(stored, 0)
    for dag_id, summary in found.items():
        if summary["num_planned"] != sum(summary[f"num_{status}"] for status in STATUSES):
            yield f"{dag_id}: the counts do not add up to the records planned"
        created[summary["destination"]] += summary["num_succeeded"]
        rows = counts_in(table, summary["sync_id"])
        expected = {
            "succeeded": summary["num_succeeded"] + delivered_before(summary, rows),
            **{status: summary[f"num_{status}"] for status in ("rejected", "invalid", "unknown")},
        }
        for status, count in expected.items():
            if rows.get(status, 0) != count:
                yield f"{dag_id}: {rows.get(status, 0)} rows are {status}, XCom says {count}"
    for name, count in stored.items():
        if count - before[name] != created[name]:
            yield f"{name}: {count - before[name]} contacts were stored, XCom says {created[name]}"


def delivered_before(summary: Summary, rows: Mapping[str, int]) -> int:
    """Return the records delivered by an earlier run: a skipped key may come more than once in the input."""
    return rows.get("succeeded", 0) - summary["num_succeeded"] if summary["num_skipped"] else 0


def counts_in(table: Path, sync_id: str) -> dict[str, int]:
    """Return the rows of a sync by status."""
    query = "SELECT status, count(*) FROM contact_outcomes WHERE sync_id = ? GROUP BY status"
    with closing(sqlite3.connect(table)) as database:
        return dict(database.execute(query, (sync_id,)).fetchall())


def stored_twice(table: Path) -> dict[str, int]:
    """Return, by vendor, how many delivered rows share a vendor's id; every stored contact belongs to one record."""
    query = (
        "SELECT destination, count(*) - count(DISTINCT destination_record_id) FROM contact_outcomes"
        " WHERE status = 'succeeded' GROUP BY destination"
    )
    with closing(sqlite3.connect(table)) as database:
        return {name: count for name, count in database.execute(query) if count}


def examples(table: Path, most: int = 5) -> list[tuple[str, ...]]:
    """Return some undelivered rows, each with another code: key, vendor, status, code and field."""
    query = (
        "SELECT record_identifier, destination, status, error_code, coalesce(error_field, '-') FROM contact_outcomes"
        " WHERE status NOT IN ('succeeded', 'sending') AND error_code <> 'missing_key'"
        " GROUP BY error_code ORDER BY count(*) DESC, error_code LIMIT ?"
    )
    with closing(sqlite3.connect(table)) as database:
        return database.execute(query, (most,)).fetchall()
