"""``why``: what became of one record under every sync, in words."""

from __future__ import annotations

import argparse
import sys
from shlex import quote

from airflow_provider_contacts.cli.outcome_table import keys_of, reports_of
from airflow_provider_contacts.cli.output import Row, jsonable, write
from airflow_provider_contacts.cli.pushes import RUN_COLUMNS, run_row
from airflow_provider_contacts.error_codes import FORGOTTEN, NEVER_READ, explain
from airflow_provider_contacts.ledgers.reports.shapes import EVERYTHING, RecordRow
from airflow_provider_contacts.outcome import digest_of

UNLESS_CHANGED = "counts it as it stands; sends it if its data has changed"
ON_UNKNOWN = "as on_unknown says: hold keeps it and sends nothing, reconcile asks the vendor, resend sends it"
NEXT = {
    "succeeded": ("skips it", "skips it"),
    "rejected": (UNLESS_CHANGED, "sends it again"),
    "invalid": (UNLESS_CHANGED, "checks it again"),
    "failed": ("sends it", "sends it"),
    "unknown": (ON_UNKNOWN, ON_UNKNOWN),
    "sending": ("takes it as unknown", "leaves it alone for an hour (claimed_elsewhere), then takes it as unknown"),
}
"""For each status: how the next try of the same run treats the record, and how the next run does."""

COLUMNS = {"": ("sync_id", "record_identifier", "digest", "status", "error_code", "error_field", "meaning", "advice",
                "settle", "status_message", "errors", "next_try", "next_run", "destination", "destination_object",
                "destination_record_id", "http_status", "attempts", "dag_id", "run_id", "task_id", "map_index",
                "try_number", "run_no", "row_index", "batch_started_at", "batch_completed_at", "settled_by",
                "settled_at")}  # fmt: skip
"""Columns of the blocks; the other formats have the rest of the row, too."""
WITHOUT = "newest_run_of_each_sync_without_a_row"


def why(options: argparse.Namespace) -> int:
    """Print what became of the records that are named."""
    keys = keys_of(options.key)
    with reports_of(options) as reports:
        found = {key: reports.record(EVERYTHING, key) for key in keys}
        rows = [record_row(row) for some in found.values() for row in some]
        if rows or options.output in {"json", "yaml"}:
            write(options.output, rows, columns=COLUMNS, blocks=[""])
        absent = [key for key, some in found.items() if not some]
        newest = reports.newest_runs(EVERYTHING) if options.output in {"table", "plain"} else []
    everywhere = set.intersection(*({row.sync_id for row in some} for some in found.values()))
    without = [run_row(run) for run in newest if run.sync_id not in everywhere]
    if not (absent or without):
        return 0
    sys.stdout.write("" if absent else "\n")
    sys.stdout.flush()
    if absent:
        names = ", ".join(map(digest_of, absent))
        sys.stderr.write(f"error: no push has a row for this key (digest {names}): it was never read, or not kept\n")
    else:
        sys.stderr.write("hint: other syncs have no row for this key: it was never read there, or not kept\n")
    sys.stderr.writelines(["It can mean:\n", *(f"- {one}\n" for one in NEVER_READ)])
    if options.output in {"table", "plain"}:
        write(options.output, {WITHOUT: without}, columns={WITHOUT: ("sync_id", *RUN_COLUMNS)})
    return 1 if absent else 0


def record_row(row: RecordRow) -> Row:
    """Return one record under one sync, with what its status and code mean."""
    words = FORGOTTEN if row.is_forgotten else explain(row.status, row.error_code, row.destination)
    next_try, next_run = NEXT["succeeded"] if row.is_forgotten else NEXT.get(row.status, ("", ""))
    command = f"airflow contacts settle {quote(row.sync_id)} --settled-by YOU"
    ways = f"{command} --found {row.digest}=VENDOR_ID, or --missing {row.digest}" if row.status == "unknown" else None
    return {**jsonable(row), **words._asdict(), "settle": ways, "next_try": next_try, "next_run": next_run}
