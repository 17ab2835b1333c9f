"""PostgreSQL: a result that stays at the server, in a transaction that may last as long as the vendor takes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any
from uuid import uuid4

from airflow_provider_contacts.sources.link import Chunk, Link

log = logging.getLogger(__name__)

MOMENTS = {1082: "PYDATE", 1083: "PYTIME", 1114: "PYDATETIME", 1184: "PYDATETIMETZ", 1266: "PYTIME"}
"""OIDs of date and time types, and psycopg2's name of their readers."""


class Postgres(Link):
    """What both drivers of PostgreSQL share: a server-side cursor in a transaction that may last.

    :cvar read_only: the connection's attribute of this meaning.
    :cvar tuples: the cursor's parameter, and its value's module and name, that make rows tuples.
    """

    read_only: str
    tuples: tuple[str, str, str]

    def prepare(self) -> None:
        """Make the transaction read-only, and lift the time limits that a user may lift."""
        setattr(self.connection, self.read_only, True)
        cursor = self.plain_cursor()
        try:
            # Until the end of the transaction: a pooler hands the session on as it was.
            cursor.execute(
                "SELECT set_config(name, '0', true) FROM pg_settings "
                "WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')"
            )
            cursor.fetchall()
        except Exception as error:  # noqa: BLE001  # a database that only speaks PostgreSQL's protocol
            self.connection.rollback()
            log.warning(
                "%s: the session's time limits cannot be read (%s); where the vendor is slower than they allow, the "
                "database ends the query",
                self.origin,
                type(error).__name__,
            )
        finally:
            cursor.close()

    def plain_cursor(self, *name: str) -> Any:
        """Return a cursor that gives tuples, whatever the connection asks for; with a name, a server-side one."""
        parameter, module, value = self.tuples
        return self.connection.cursor(*name, **{parameter: getattr(import_module(module), value)})

    def open_cursor(self) -> Any:
        """Return a server-side cursor."""
        return self.plain_cursor(f"contacts_{uuid4().hex}")

    def suspects(self, failed: Chunk, size: int) -> int:
        """Return how many of the next rows may be the bad one: of a fetch the server gives all or none."""
        state = getattr(failed.error, "sqlstate", None) or getattr(failed.error, "pgcode", None)
        return size if isinstance(state, str) else 1


class Psycopg(Postgres):
    """psycopg. A chunk with a value that cannot be converted is converted again, row by row."""

    read_only = "read_only"
    tuples = ("row_factory", "psycopg.rows", "tuple_row")

    def read(self, size: int) -> Chunk:
        """Return up to ``size`` rows, those before one that cannot be converted included."""
        before = self.cursor.pgresult
        try:
            return super().read(size)
        except Exception as error:  # noqa: BLE001  # whatever the conversion raises
            result = self.cursor.pgresult
            return Chunk([], error) if result is before else self.converted(result, error)

    def converted(self, result: Any, failure: BaseException) -> Chunk:
        """Return the rows of a result before the one that cannot be converted, and the column that cannot."""
        transformer = import_module("psycopg.adapt").Transformer(self.cursor)
        transformer.set_pgresult(result)
        rows: list[Any] = []
        column = None
        try:
            rows.extend(transformer.load_row(place, tuple) for place in range(result.ntuples))
        except Exception:  # noqa: BLE001  # the failure, again
            for index, (name, *_) in enumerate(self.cursor.description):
                value = result.get_value(len(rows), index)
                loader = transformer.get_loader(result.ftype(index), result.fformat(index))
                try:
                    loader.load(value) if value is not None else None
                except Exception:  # noqa: BLE001  # likewise
                    column = name
                    break
        return Chunk(rows, failure, column)

    def cancel(self) -> None:
        """End the query."""
        getattr(self.connection, "cancel_safe", self.connection.cancel)()


class Psycopg2(Postgres):
    """psycopg2. Columns are known with the first rows; iteration converts row by row."""

    read_only = "readonly"
    tuples = ("cursor_factory", "psycopg2.extensions", "cursor")
    described: Sequence[Any] | None = None

    @property
    def description(self) -> Sequence[Any] | None:
        """The columns, which the driver forgets with an error."""
        return self.described or self.cursor.description

    def prepare(self) -> None:
        """Besides, refuse moments that Python lacks, which the driver would change."""
        super().prepare()
        extensions = import_module("psycopg2.extensions")
        for number, name in MOMENTS.items():
            read = exact(getattr(extensions, name))
            extensions.register_type(extensions.new_type((number,), name, read), self.connection)

    def execute(self, sql: str, parameters: Any, chunk_size: int) -> Chunk | None:
        """Run the query; return the first rows, which bring the columns along."""
        super().execute(sql, parameters, chunk_size)
        found = self.read(chunk_size)
        if found.error is not None and not self.description:
            raise found.error
        return found

    def read(self, size: int) -> Chunk:
        """Return up to ``size`` rows; if one fails, those before it."""
        self.cursor.itersize = size
        return self.row_by_row(size, self._fetched())

    def _fetched(self) -> Iterator[Any]:
        for row in self.cursor:
            self.described = self.described or self.cursor.description
            yield row


def exact(read: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a reader that refuses ``infinity``, which psycopg2 takes for the year 9999 or 1, and 24 o'clock."""

    def found(text: str | None, cursor: Any) -> Any:
        if text is not None and (text.endswith("infinity") or text.startswith("24:")):
            raise ValueError("Python has no such moment")
        return read(text, cursor)

    return found
