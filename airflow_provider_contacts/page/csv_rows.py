"""Rows as CSV for a spreadsheet, in which no cell is executed."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from io import StringIO
from typing import Any

from airflow_provider_contacts.ledgers.reports.shapes import RecordRow

COLUMNS = (
    *("digest", "status", "error_code", "error_field", "destination_record_id", "http_status", "attempts", "row_index"),
    *("batch_started_at", "batch_completed_at", "settled_by", "settled_at", "sync_id", "sync_run_id", "try_number"),
)
IN_CLEAR = ("record_identifier", "status_message", "record_payload")

BOM = "\ufeff"
"""Its readers are people: without it Excel takes UTF-8 for something else. Programs have the export."""

FORMULA = re.compile(r"(^|[;\t\r\n])(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20])|^(?=[\t\r])")
"""Where a spreadsheet may begin to compute: also behind what separates cells where the comma does not."""

CHUNK = 1 << 16


def csv_of(rows: Iterable[RecordRow], *, clear: bool) -> Iterator[bytes]:
    """Yield the rows as CSV in chunks, at least one; identifiers, texts and payloads only if ``clear``."""
    columns = COLUMNS + IN_CLEAR * clear
    text = StringIO(newline="")
    text.write(BOM)
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell(getattr(row, name)) for name in columns])
        if text.tell() > CHUNK:
            yield taken(text)
    yield taken(text)


def taken(text: StringIO) -> bytes:
    """Return what was written, and begin anew."""
    found = text.getvalue().encode("utf-8", "replace")
    text.seek(0)
    text.truncate()
    return found


def cell(value: Any) -> Any:
    """Return a value as a cell that is only text: an apostrophe stands before what would be a formula."""
    if isinstance(value, datetime):
        return value.isoformat()
    return FORMULA.sub(r"\1'", value) if isinstance(value, str) else value
