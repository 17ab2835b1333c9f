"""Records that are there already: lists, iterators, lazy XCom sequences and frames of any library, one at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.sources.plain_values import library_of
from airflow_provider_contacts.sources.rows import RowSource, check_distinct

RECORDS_WANTED = "records must be a list of mappings, an iterator of mappings, an upstream task's output or a DataFrame"

BATCH = 1000
"""Rows of an Arrow table or a Polars frame that are Python's own values at once."""

# What turns another library's frame into something that is taken.
CONVERSIONS = ("to_pandas", "toPandas", "to_pylist", "to_dicts", "to_dict", "collect", "compute", "execute", "df")


def rows_of_records(records: Any) -> RowSource:
    """Return the records of a list, an iterator, a lazy XCom sequence or a frame, one at a time; none for ``None``.

    A list inside is flattened, once, as is a frame. Rows with names are records; whatever else is not a mapping is
    handed on as it is.

    :raises ConfigError: for anything else, a single mapping and text included; from the iteration, for rows without
        names.
    """
    if records is None:
        return RowSource(None, iter(()), total=0)
    if (columns := _frame_columns(records)) is not None:
        return RowSource(columns, _frame_rows(records, columns), total=_length(records))
    if isinstance(records, Mapping) or _named(records) is not None:
        raise ConfigError(f"{RECORDS_WANTED}; a single mapping was given: wrap it in a list")
    _refuse_other_frames(records)
    # Sets come in no order that a second try would see again.
    if isinstance(records, str | bytes | bytearray | memoryview | set | frozenset) or not isinstance(records, Iterable):
        raise ConfigError(f"{RECORDS_WANTED}, not {_class_of(type(records))}")
    if _are_upstreams(records):
        records = [one for one in records if one is not None]
    return RowSource(None, _flatten(records), total=_count(records))


def _are_upstreams(records: Any) -> bool:
    """Tell whether this is a list of what upstreams gave, some of which had nothing: a ``None`` is no record there."""
    if not isinstance(records, list | tuple):
        return False
    others = [one for one in records if one is not None]
    return bool(others) and all(type(one) is list or _is_lazy(one) or _frame_columns(one) is not None for one in others)


def _length(value: Any) -> int | None:
    """Return how many rows a frame has; a reader of batches does not say."""
    try:
        return len(value)
    except TypeError:
        return None


def _count(records: Any) -> int | None:
    """Return how many records a list holds, those of its lists included; an iterator or an upstream does not say."""
    if not isinstance(records, list | tuple):
        return None
    counts = [len(one) if isinstance(one, list) else 1 for one in records if isinstance(one, Mapping | list)]
    return sum(counts) if len(counts) == len(records) else None


def _refuse_other_frames(value: Any) -> None:
    """Refuse frames that iterate over columns, or that would have to be computed first.

    :raises ConfigError: naming the class, and what turns it into one that is taken.
    """
    kind = type(value)
    if not (hasattr(kind, "columns") or library_of(kind) or hasattr(value, "columns")) or isinstance(value, Mapping):
        return
    if isinstance(value, Sequence) and not library_of(kind):
        return
    ways = [name for name in CONVERSIONS if hasattr(kind, "columns") or hasattr(value, "columns")]
    ways = [name for name in ways if callable(getattr(kind, name, None))]
    way = f"call its {ways[0]}() first" if ways else "turn it into a list of mappings first"
    raise ConfigError(f"{RECORDS_WANTED}, not {_class_of(kind)}: {way}")


def _class_of(kind: type) -> str:
    """Return the name of a class, with the library that it is of."""
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__name__} of {kind.__module__}"


def _frame_columns(value: Any) -> tuple[str, ...] | None:
    """Return the columns of a frame that is taken; ``None`` for anything else.

    :raises ConfigError: for columns that are no distinct texts.
    """
    if issubclass(type(value), Mapping | list | tuple | str):
        return None
    if _is_pandas(value):
        labels = tuple(value.columns)
    elif _is_arrow(value):
        labels = tuple(value.schema.names)
    elif _is_polars(value):
        labels = tuple(value.columns)
    else:
        return None
    if others := [type(label).__name__ for label in labels if not isinstance(label, str)]:
        raise ConfigError(f"the DataFrame's column labels must be text, one is {others[0]}")
    check_distinct(labels, "the DataFrame", "rename or drop one")
    return labels


def _is_pandas(value: Any) -> bool:
    """Tell whether this is a pandas DataFrame, or one that behaves like it."""
    return hasattr(type(value), "itertuples") and hasattr(value, "columns")


def _is_arrow(value: Any) -> bool:
    """Tell whether this is an Arrow table, one batch of it, or a reader of batches."""
    return (
        library_of(type(value)) == "pyarrow"
        and hasattr(value, "schema")
        and (hasattr(value, "to_batches") or hasattr(value, "to_pylist") or hasattr(value, "read_next_batch"))
    )


def _is_polars(value: Any) -> bool:
    """Tell whether this is a Polars DataFrame; a LazyFrame must be collected by whoever knows when."""
    return library_of(type(value)) == "polars" and hasattr(value, "iter_rows")


def _frame_rows(frame: Any, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    if _is_pandas(frame):
        for row in frame.itertuples(index=False, name=None):
            yield dict(zip(columns, row, strict=True))
    elif _is_polars(frame):
        for row in frame.iter_rows(buffer_size=BATCH):
            yield dict(zip(columns, row, strict=True))
    else:
        batches = frame.to_batches(max_chunksize=BATCH) if hasattr(frame, "to_batches") else _batches(frame)
        for batch in batches:
            for start in range(0, batch.num_rows, BATCH):
                yield from batch.slice(start, BATCH).to_pylist()


def _batches(value: Any) -> Iterable[Any]:
    """Return a reader, which gives one batch after the other, or the one batch that this is."""
    return value if hasattr(value, "read_next_batch") else (value,)


def _named(row: Any) -> dict[str, Any] | None:
    """Return a row with names as a mapping; ``None`` for what has none, or is one already."""
    kind = type(row)
    if issubclass(kind, tuple) and isinstance(names := getattr(kind, "_fields", None), tuple):
        return dict(zip(names, row, strict=True))
    if kind.__module__ == "sqlite3" and kind.__name__ == "Row":
        return dict(zip(row.keys(), row, strict=True))
    if kind.__module__.startswith("sqlalchemy.") and hasattr(kind, "_asdict"):
        return dict(row._asdict())  # documented: the underscore keeps it from being a column
    if dataclasses.is_dataclass(kind):
        return {one.name: getattr(row, one.name) for one in dataclasses.fields(row)}
    if issubclass(kind, list) and hasattr(kind, "keys"):  # psycopg2's DictRow
        return dict(zip(row.keys(), row, strict=True))
    return None


def _flatten(records: Iterable[Any]) -> Iterator[Any]:
    for element in _elements(records):
        if type(element) is dict:
            yield element
        elif (named := _named(element)) is not None:
            yield named
        elif (columns := _frame_columns(element)) is not None:
            yield from _frame_rows(element, columns)
        elif issubclass(type(element), list | tuple) or _is_lazy(element):
            _refuse_nameless(element)
            for member in _elements(element):
                found = _named(member)
                if found is None:
                    _refuse_nameless(member)
                yield member if found is None else found
        else:
            yield element


def _refuse_nameless(row: Any) -> None:
    """Refuse a row that is a tuple, or a list, of values: nobody knows which is which.

    :raises ConfigError: saying where rows with names come from.
    """
    if not issubclass(type(row), list | tuple) or not row:
        return
    if any(type(member) is dict or _holds_more(member) for member in row):
        return
    raise ConfigError(
        f"records holds rows without column names (a {type(row).__name__} of {len(row)} values): give mappings of "
        "column names to values, or rows with names. A query's rows are read by SqlToContactsOperator; "
        "SQLExecuteQueryOperator names them with a handler such as "
        "lambda cursor: [dict(zip([c[0] for c in cursor.description], row)) for row in cursor]"
    )


def _holds_more(value: Any) -> bool:
    """Tell whether a member can be a record, or hold some."""
    kind = type(value)
    return (
        issubclass(kind, Mapping | list | tuple)
        or (issubclass(kind, Sequence) and not issubclass(kind, str | bytes | bytearray | memoryview))
        or _named(value) is not None
        or _frame_columns(value) is not None
    )


def _is_lazy(value: Any) -> bool:
    kind = type(value)
    return issubclass(kind, Sequence) and not issubclass(kind, list | tuple | str | bytes | bytearray | memoryview)


def _elements(records: Iterable[Any]) -> Iterator[Any]:
    """Yield every element; a lazy sequence that cannot give one of those it counts raises.

    Its own iterator would take any refusal of the server for the end, and the rest of the records would be lost.
    """
    if not _is_lazy(records):
        yield from records
        return
    for index in range(len(records)):  # type: ignore[arg-type]  # a Sequence, as just checked
        yield records[index]  # type: ignore[index]  # likewise
