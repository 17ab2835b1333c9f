"""The statements that write many rows at once, as plain text for each kind of driver.

A statement is written once, with ``:name`` for a value of the row. SQLite, MySQL and MariaDB take a tuple a row;
PostgreSQL takes one array a column and unnests them, so that a write is one statement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, null, select, update  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.ledgers.sql.expressions import NOW, at_place, without_messages
from airflow_provider_contacts.ledgers.sql.tables import COLLATIONS, Flavour, Tables
from airflow_provider_contacts.outcome import IN_DOUBT, Status

Row = tuple[Any, ...]

RECORD = (
    *("sync_no", "record_identifier", "batch_no", "place", "row_index", "attempts", "payload_hash", "status"),
    *("destination_record_id", "error_code", "error_field", "status_message", "errors", "record_payload"),
)
READ = ("sync_no", "record_identifier", "read_batch_no", "read_status")
CLAIM = (*RECORD, *READ[2:])
ANSWER = (
    *("sync_no", "record_identifier", "batch_no", "status", "destination_record_id"),
    *("error_code", "error_field", "status_message", "errors", "record_payload", "attempts", "is_late"),
)
BATCH = ("batch_no", "run_no", "status", "body")
BATCH_ANSWER = ("batch_no", "http_status", "status", "ids")

TYPES = {
    **dict.fromkeys(("sync_no", "batch_no", "read_batch_no", "row_index", "run_no"), "bigint"),
    **dict.fromkeys(("place", "attempts", "is_late", "http_status"), "integer"),
    **dict.fromkeys(("errors", "record_payload"), "json"),
}
"""PostgreSQL's types of what is not text."""

WEAK = (Status.REJECTED, Status.INVALID, Status.FAILED)

VALUE = re.compile(r"(?<!:):([a-z_]+)")
# Between the values of a joined text, and in place of one that is null.
BETWEEN, ABSENT = "\x1f", "\x1e"
KEY = "r.sync_no = :sync_no AND r.record_identifier = :record_identifier"

DELETE: dict[Flavour, str] = {
    "sqlite": "DELETE FROM {table} AS r",
    "postgresql": "DELETE FROM {table} AS r USING {{given}}",
    **dict.fromkeys(("mysql", "mariadb"), "DELETE r FROM {table} AS r"),
}


def listed(statuses: Sequence[Status]) -> str:
    """Return statuses as SQL writes them."""
    words = ", ".join(f"'{status.value}'" for status in statuses)
    return f"({words})"


class ManyRows:
    """One statement for many rows, tuples of ``fields``."""

    def __init__(self, fields: tuple[str, ...], text: str, placeholder: str) -> None:
        self.fields = fields
        used = tuple(VALUE.findall(text))
        self._text = VALUE.sub(placeholder, text)
        places = itemgetter(*(fields.index(name) for name in used))
        self._bound: Callable[[Row], Row] | None = None if used == fields else places

    def bound(self, rows: Sequence[Row]) -> tuple[str, Any]:
        """Return the statement and its parameters."""
        return self._text, list(rows if self._bound is None else map(self._bound, rows))

    def run(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Run it; return how many rows the driver says it wrote."""
        return connection.exec_driver_sql(*self.bound(rows)).rowcount if rows else 0


class Unnested(ManyRows):
    """The same from one array a column (PostgreSQL).

    An array goes as one joined text, which the server splits: drivers convert the values of a list one by one, in
    Python. ``sync_no`` is a column of it, too: before the first ANALYZE the planner takes a constant for a rare value,
    and reads all rows that have it instead of looking up keys.
    """

    def __init__(self, fields: tuple[str, ...], text: str) -> None:
        self.fields = fields
        used = dict.fromkeys(VALUE.findall(text))
        self._before, self._behind = VALUE.sub(r"g.\1", text).split("{given}")
        self._names = ", ".join(used)
        self._columns = [(fields.index(name), TYPES.get(name, "text")) for name in used]

    def bound(self, rows: Sequence[Row]) -> tuple[str, tuple[Any, ...]]:
        """Return the statement and its parameters."""
        columns = list(zip(*rows, strict=True))
        arrays = [array_of(columns[place], kind) for place, kind in self._columns]
        given = f"unnest({', '.join(text for text, _ in arrays)}) AS g({self._names})"
        return f"{self._before}{given}{self._behind}", tuple(value for _, value in arrays)


def all_written(text: str, size: int) -> str:
    """Return a statement of PostgreSQL as one that fails, by a division by zero, unless it writes ``size`` rows."""
    counted = f"SELECT 1 / CASE WHEN count(*) = {size} THEN 1 ELSE 0 END FROM done"  # noqa: S608  # a number
    return f"WITH done AS ({text} RETURNING 1) {counted}"


def array_of(column: Sequence[Any], kind: str) -> tuple[str, Any]:
    """Return an array of PostgreSQL as SQL with one parameter, and the parameter."""
    nulls = column.count(None)
    if nulls == len(column):
        return f"%s::{kind}[]", None  # unnest fills up what is shorter
    text = BETWEEN.join([ABSENT if value is None else str(value) for value in column])
    if text and text.count(BETWEEN) == len(column) - 1 and text.count(ABSENT) == nulls:
        return f"string_to_array(%s, chr({ord(BETWEEN)}), chr({ord(ABSENT)}))::{kind}[]", text
    return f"%s::{kind}[]", list(column)


class Statements:
    """Every statement that writes records, for one kind of database and one payload policy."""

    def __init__(self, tables: Tables, dialect: Dialect, store: str) -> None:
        self._flavour = tables.flavour
        self._unnests = tables.flavour == "postgresql"
        self._placeholder = "?" if tables.flavour == "sqlite" else "%s"
        quoted = dialect.identifier_preparer.format_table
        self._batches, self._records = quoted(tables.batches), quoted(tables.records)
        now = NOW[self._flavour]
        batch = {"batch_no": ":batch_no", "run_no": ":run_no", "status": ":status", "body": ":body"}
        self.insert_batches = self._insert(self._batches, BATCH, {**batch, "batch_started_at": now})
        self.insert_note_batch = self._insert(self._batches, BATCH, {**batch, "batch_completed_at": now})
        answered = {"http_status": ":http_status", "batch_completed_at": now}
        number, is_sending = "r.batch_no = :batch_no", "r.status = 'sending'"
        settled = {**answered, "status": ":status", "ids": ":ids::text[]" if self._unnests else ":ids", "body": "NULL"}
        self.settle_batches = self._update(self._batches, BATCH_ANSWER, settled, f"{number} AND {is_sending}")
        self.answer_batches = self._update(self._batches, BATCH_ANSWER, answered, number)
        self.insert_records = self._insert_records(RECORD)
        # Without a word of their own: binding seven nulls a row costs SQLite 1.6 microseconds.
        self.insert_sent = self._insert_records(RECORD[:7])
        records, is_weak = self._records, f"r.batch_no <> :batch_no AND r.status IN {listed(WEAK)}"
        self.move_records = self._update(records, CLAIM, self._moved(":attempts"), f"{KEY} AND {self._as_read}")
        self.weaken_records = self._update(records, RECORD, self._moved(self._most), f"{KEY} AND {is_weak}")
        self.answer_records = self._update(records, ANSWER, self._answered(now, store), f"{KEY} AND {self._awaits}")
        errors = without_messages("r.errors", self._flavour)
        cleared = {"record_payload": "NULL", "status_message": "NULL", "errors": errors}
        self.clear_records = self._update(records, READ, cleared, f"{KEY} AND {self._as_read}")
        gone = DELETE[self._flavour].format(table=records)
        self.delete_records = self._made(READ, f"{gone} WHERE {KEY} AND {self._as_read}")

    # The sum keeps planners from the index of batches: of a batch of a hundred it would read all for each of them.
    # A record read as delivered by its batch stays so: such a batch is never opened.
    _as_read = (
        "r.batch_no + 0 = :read_batch_no "
        "AND (r.status = :read_status OR (r.status IS NULL AND :read_status = 'succeeded'))"
    )
    _most = "CASE WHEN :attempts > r.attempts THEN :attempts ELSE r.attempts END"
    # The same answer twice is one; and a creation confirmed late stands over whatever was concluded meanwhile. A record
    # without a status of its own is written by the owner of its batch alone.
    _awaits = (
        f"r.batch_no + 0 = :batch_no AND (r.status IN {listed(IN_DOUBT)} OR :status IN (r.status, 'succeeded') "
        "OR (r.status IS NULL AND :is_late = 0))"
    )

    def _made(self, fields: tuple[str, ...], text: str) -> ManyRows:
        return Unnested(fields, text) if self._unnests else ManyRows(fields, text, self._placeholder)

    def _insert(self, table: str, fields: tuple[str, ...], values: dict[str, str], conflict: str = "") -> ManyRows:
        columns, given = ", ".join(values), ", ".join(values.values())
        source = f"SELECT {given} FROM {{given}}" if self._unnests else f"VALUES ({given})"  # noqa: S608  # our own names
        return self._made(fields, f"INSERT INTO {table} ({columns}) {source}{conflict}")

    def _insert_records(self, names: tuple[str, ...]) -> ManyRows:
        """Return the insertion of records that are absent; those present are left as they are."""
        values = {name: f":{name}" for name in names}
        # Not INSERT IGNORE, which would store what it cuts.
        mysql = f" ON DUPLICATE KEY UPDATE record_identifier = {self._records}.record_identifier"
        conflict = mysql if self._flavour in {"mysql", "mariadb"} else " ON CONFLICT DO NOTHING"
        return self._insert(self._records, RECORD, values, conflict)

    def _update(self, table: str, fields: tuple[str, ...], values: dict[str, str], condition: str) -> ManyRows:
        changes = ", ".join(f"{name} = {value}" for name, value in values.items())
        source = " FROM {given}" if self._unnests else ""
        return self._made(fields, f"UPDATE {table} AS r SET {changes}{source} WHERE {condition}")  # noqa: S608  # likewise

    def _moved(self, attempts: str) -> dict[str, str]:
        """Return the values of a record that belongs to another batch now; no word of the earlier one is left."""
        values = {name: f":{name}" for name in RECORD if name not in {"sync_no", "record_identifier"}}
        return {**values, "attempts": attempts, "settled_by": "NULL", "settled_at": "NULL"}

    def _answered(self, now: str, store: str) -> dict[str, str]:
        values = {name: f":{name}" for name in ANSWER if name not in {"sync_no", "record_identifier", "batch_no"}}
        del values["is_late"]
        values |= {"attempts": self._most, "settled_by": "NULL"}
        values["settled_at"] = f"CASE WHEN :is_late = 1 THEN {now} END"
        kept = "COALESCE(:record_payload, r.record_payload)"
        undelivered = f"CASE WHEN :status = 'succeeded' THEN NULL ELSE {kept} END"
        # The payload of a record whose batch has the body comes with its answer.
        values["record_payload"] = {"never": "NULL", "all": kept}.get(store, undelivered)
        return values


def open_batches(connection: Connection, tables: Tables, numbers: Collection[int]) -> None:
    """Open those of some batches that are ``sending``; they stay locked until the transaction ends.

    Each of their records gets the status and the payload that it had from its batch, so that nothing reads differently
    afterwards. Whoever wants to write a record of such a batch, and does not own its answer, opens it first: the lock
    on the batch's row decides between an opener and the answer, and later everything compares one record row.
    """
    if not numbers or tables.flavour in COLLATIONS:
        return  # MySQL and MariaDB have open batches only
    batches, records, sending = tables.batches, tables.records, Status.SENDING.value
    is_sending = batches.c.batch_no.in_(sorted(numbers)) & (batches.c.status == sending)
    query = select(batches.c.batch_no).where(is_sending).order_by(batches.c.batch_no).with_for_update()
    found = list(connection.execute(query).scalars())
    if not found:
        return
    body: Any = at_place(batches.c.body, records.c, tables.flavour)
    payload = select(body).where(batches.c.batch_no == records.c.batch_no).scalar_subquery()
    own = update(records).where(records.c.batch_no.in_(found), records.c.status.is_(None))
    connection.execute(own.values(status=sending, record_payload=payload))
    connection.execute(update(batches).where(batches.c.batch_no.in_(found)).values(status="open", body=null()))
