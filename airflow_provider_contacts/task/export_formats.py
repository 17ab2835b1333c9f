"""The formats of an export: its columns, and what writes rows of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import msgspec

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.sources.file_rows import FileFormat

if TYPE_CHECKING:
    from airflow_provider_contacts.ledgers.reports.shapes import RecordRow

Identifiers = Literal["clear", "digest"]
Row = Sequence[Any]

ROWS_AT_ONCE = 10_000
"""Rows that are held at a time, and that a row group of Parquet has."""

TEXT, NUMBER, MOMENT = "text", "number", "moment"
COLUMNS: Mapping[str, str] = {
    **dict.fromkeys(("sync_id", "record_identifier", "destination", "destination_host", "destination_object"), TEXT),
    **dict.fromkeys(("status", "destination_record_id", "error_code", "error_field", "status_message", "errors"), TEXT),
    **dict.fromkeys(("http_status", "attempts"), NUMBER),
    **dict.fromkeys(("payload_hash", "record_payload"), TEXT),
    "row_index": NUMBER,
    **dict.fromkeys(("batch_id", "sync_run_id", "dag_id", "run_id", "task_id"), TEXT),
    **dict.fromkeys(("map_index", "try_number"), NUMBER),
    **dict.fromkeys(("batch_started_at", "batch_completed_at"), MOMENT),
    "settled_by": TEXT,
    **dict.fromkeys(("settled_at", "exported_at"), MOMENT),
}
"""The columns of the view, and the moment of the export, with the kind of each."""

PAYLOADS = frozenset({"record_payload", "status_message", "errors"})
"""Columns that show what was sent, or what the vendor says of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The format and the columns of an object.

    :param payloads: whether it has the columns :data:`PAYLOADS`.
    :param identifiers: ``"digest"`` puts the twelve digits of logs in the place of each identifier.
    """

    file_format: FileFormat = "parquet"
    payloads: bool = False
    identifiers: Identifiers = "clear"


def written(rows: Iterable[RecordRow], file: BinaryIO, form: Form) -> int:
    """Write rows to a file; return their number."""
    now, left, num_rows = datetime.now(UTC), iter(rows), 0
    names = [name for name in COLUMNS if form.payloads or name not in PAYLOADS]
    with WRITERS[form.file_format](file, names) as write:
        while some := [values_of(row, names, form, now) for row in islice(left, ROWS_AT_ONCE)]:
            write(some)
            num_rows += len(some)
    return num_rows


def values_of(row: RecordRow, names: Iterable[str], form: Form, exported_at: datetime) -> Row:
    """Return a row in the order of the columns."""
    found: dict[str, Any] = {"exported_at": exported_at}
    if form.identifiers == "digest":
        found["record_identifier"] = row.digest
    if form.payloads:
        found["errors"] = msgspec.json.encode(row.errors).decode() if row.errors else None
    return [found[name] if name in found else getattr(row, name) for name in names]


Writer = Callable[[Sequence[Row]], object]


@contextmanager
def parquet_writer(file: BinaryIO, names: Sequence[str]) -> Iterator[Writer]:
    """Write row groups of declared types, whatever the rows happen to hold."""
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter
    except ImportError:
        raise ConfigError(
            "parquet needs pyarrow: install airflow-provider-contacts[parquet], or choose ndjson or csv"
        ) from None
    kinds = {TEXT: pa.string(), NUMBER: pa.int64(), MOMENT: pa.timestamp("us", tz="UTC")}
    schema = pa.schema([(name, kinds[COLUMNS[name]]) for name in names])

    def write(rows: Sequence[Row]) -> None:
        columns = zip(*rows, strict=True)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
        writer.write_table(pa.Table.from_arrays(arrays, schema=schema))

    with ParquetWriter(file, schema) as writer:
        yield write


@contextmanager
def ndjson_writer(file: BinaryIO, names: Sequence[str]) -> Iterator[Writer]:
    """Write one JSON object a line."""
    encode = msgspec.json.Encoder().encode_lines
    yield lambda rows: file.write(encode([dict(zip(names, row, strict=True)) for row in rows]))


@contextmanager
def csv_writer(file: BinaryIO, names: Sequence[str]) -> Iterator[Writer]:
    """Write values as they are, for a warehouse; a spreadsheet may run what begins with ``=``."""

    def write(rows: Sequence[Row]) -> None:
        text = io.StringIO(newline="")
        # A lone carriage return is quoted only where lines end with one.
        csv.writer(text, lineterminator="\r\n").writerows([shown(one) for one in row] for row in rows)
        file.write(text.getvalue().encode())

    write([names])
    yield write


def shown(value: Any) -> Any:
    """Return a value as CSV shows it: moments as everywhere in ISO 8601."""
    return value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value


WRITERS: Mapping[FileFormat, Callable[[BinaryIO, Sequence[str]], AbstractContextManager[Writer]]] = {
    "parquet": parquet_writer,
    "ndjson": ndjson_writer,
    "csv": csv_writer,
}
