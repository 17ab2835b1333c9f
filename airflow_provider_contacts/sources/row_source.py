"""One stream of rows from any source: plain, counted, closed however it ends, silent about what is in them."""

from __future__ import annotations

import traceback
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any

from airflow_provider_contacts.errors import ConfigError, ContactsError, SourceError
from airflow_provider_contacts.sources.plain_values import plain_rows

PACKAGE = Path(__file__).resolve().parents[1]


class RowSource(Iterator[Any], AbstractContextManager["RowSource"]):
    """An iterator of plain rows that lets go of its database connection when exhausted, failed, closed or forgotten.

    What the rows raise leaves as :class:`SourceError`, without the text and the chain of the original: both may quote
    a row. Use it as a context manager, from one thread.

    :param columns: names in order, or ``None`` where they are not known before the rows are.
    :param chunks: every row once, in lists; must not refer to this object.
    :param release: called once, however the reading ends.
    :param total: how many rows there are, where that is known.
    :param untyped: every value is a text, and an empty one a missing one.
    """

    def __init__(
        self,
        columns: tuple[str, ...] | None,
        chunks: Iterator[Sequence[Any]],
        release: Callable[[], None] = lambda: None,
        *,
        total: int | None = None,
        untyped: bool = False,
    ) -> None:
        self.columns, self.total, self.untyped = columns, total, untyped
        self._chunks = chunks
        self._rows: Iterator[Any] = iter(())
        self._count = 0
        self._release = weakref.finalize(self, release)

    def __iter__(self) -> Iterator[Any]:  # noqa: PYI034  # a generator takes a fifth of the time of __next__
        """Yield the rows that are left; what is not taken is left to the next iteration."""
        yield from self._rows
        while (chunk := self._next_chunk()) is not None:
            self._rows = iter(chunk)
            yield from self._rows

    def __next__(self) -> Any:
        """Return the next row."""
        return next(iter(self))

    def _next_chunk(self) -> Sequence[Any] | None:
        """Return the next rows, ``None`` at the end; the end and every error close the source."""
        try:
            chunk = next(self._chunks, None)
        except ContactsError as error:
            failure: ContactsError = error
        except Exception as error:  # noqa: BLE001  # whatever a user's iterator raises
            failure = unreadable(self._count, "of the records", place_of(error))
        except BaseException:
            self._close_quietly()
            raise
        else:
            if chunk is None:
                self.close()
                return None
            self._count += len(chunk)
            return plain_rows(chunk)
        self._close_quietly()
        # Outside of the handler, which would chain the original to it.
        raise failure

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Close; an error in doing so does not hide the one that ends the block."""
        if error is None:
            self.close()
        else:
            self._close_quietly()

    def _close_quietly(self) -> None:
        with suppress(Exception):
            self.close()

    def close(self) -> None:
        """Close; a second call does nothing."""
        self._rows = self._chunks = iter(())
        self._release()

    def look_ahead(self, count: int) -> list[Any]:
        """Return up to ``count`` rows, which come again; so does an error behind them that is not of configuration."""
        rows: list[Any] = []
        try:
            rows.extend(islice(self, count))
        except ConfigError:
            raise
        except Exception as error:  # noqa: BLE001  # raised again behind the rows
            self._chunks = raising(error)
        self._rows = chain(rows, self._rows)
        return rows


def check_key(source: RowSource, columns: tuple[str, ...]) -> None:
    """Refuse a sync key of columns that none of the first records has, where the columns are not known."""
    if source.columns is not None or not columns:
        return
    from airflow_provider_contacts.records.column_check import meant  # hooks are imported when a DAG is parsed

    rows = source.look_ahead(100)
    names = {name for row in rows if type(row) is dict for name in row if type(name) is str}
    absent = [column for column in columns if column not in names]
    if names and absent:
        raise ConfigError(
            f"sync_key names columns {absent} that none of the first {len(rows)} records has{meant(absent, names)}"
        )


def check_distinct(columns: Sequence[str], origin: str, remedy: str) -> None:
    """Refuse two columns of one name."""
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise ConfigError(f"{origin} has more than one column named {', '.join(map(repr, twice))}: {remedy}")


def unreadable(count: int, origin: str, reason: str) -> SourceError:
    """Return the error of a row behind the first ``count`` ones; not every driver tells which one it is."""
    return SourceError(
        f"row {count + 1} (row_index {count}) {origin}, or one behind it, cannot be read: {reason}; "
        "what was read before it is sent"
    )


def place_of(error: BaseException) -> str:
    """Return the class of an error and the line that raised it, never its text, which may quote a row."""
    frames = traceback.extract_tb(error.__traceback__)
    outside = [frame for frame in frames if PACKAGE not in Path(frame.filename).parents]
    place = f" at {outside[-1].filename}:{outside[-1].lineno}, in {outside[-1].name}" if outside else ""
    return f"{name_of(type(error))}{place} (its text is left out, since it may quote the row)"


def name_of(kind: type) -> str:
    """Return the full name of a class."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def raising(error: Exception) -> Iterator[Any]:
    """Raise as soon as a row is wanted."""
    raise error
    yield  # a generator
