"""Records that are there already: lists, iterators, lazy XCom sequences and frames of any library."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.sources.plain_values import library_of
from airflow_provider_contacts.sources.row_source import RowSource, check_distinct, name_of

RECORDS_WANTED = "records must be a list of mappings, an iterator of mappings, an upstream task's output or a DataFrame"

BATCH = 1000
"""Rows of a list or a frame that are read at once."""

TEXTS = str | bytes | bytearray | memoryview


def rows_of_records(records: Any) -> RowSource:
    """Return the records of a list, an iterator, a lazy XCom sequence or a frame; none for ``None``.

    A list inside is flattened, once, as is a frame. Rows with names are records; whatever else is not a mapping is
    handed on as it is.

    :raises ConfigError: for anything else, a single mapping and text included; from the iteration, for rows without
        names.
    """
    if records is None:
        return RowSource(None, iter(()), total=0)
    if (columns := _frame_columns(records)) is not None:
        # A reader of batches does not say how many rows it has.
        total = len(records) if hasattr(records, "__len__") else None
        return RowSource(columns, _frame_chunks(records, columns), total=total)
    if isinstance(records, Mapping) or _named(records) is not None:
        raise ConfigError(f"{RECORDS_WANTED}; a single mapping was given: wrap it in a list")
    # Sets come in no order that a second try would see again.
    if isinstance(records, TEXTS | set | frozenset) or not isinstance(records, Iterable):
        raise ConfigError(f"{RECORDS_WANTED}, not {name_of(type(records))}")
    if not isinstance(records, list | tuple):
        # One by one: what an iterator has given must not be lost where its next record takes long, or fails. And as
        # copies: it may fill one dictionary again and again.
        return RowSource(None, ([dict(row) if type(row) is dict else row] for row in _flatten(records)))
    if all(type(one) is dict for one in records):
        return RowSource(None, _slices(records), total=len(records))
    others = [one for one in records if one is not None]
    # Among the outputs of upstreams, None is an upstream without output; among records it is a record.
    if others and all(type(one) is list or _is_lazy(one) or _frame_columns(one) is not None for one in others):
        records = others
    counted = all(isinstance(one, Mapping | list) for one in records)
    total = sum(len(one) if isinstance(one, list) else 1 for one in records) if counted else None
    return RowSource(None, ([row] for row in _flatten(records)), total=total)


def _slices(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))


def _frame_columns(value: Any) -> tuple[str, ...] | None:
    """Return the columns of a frame of pandas, Arrow or Polars, distinct texts; ``None`` for anything else."""
    kind = type(value)
    if issubclass(kind, Mapping | list | tuple | str):
        return None
    if _is_pandas(kind) or (library_of(kind) == "polars" and hasattr(kind, "iter_slices")):
        labels = tuple(value.columns)
    elif library_of(kind) == "pyarrow" and (hasattr(kind, "num_columns") or hasattr(kind, "read_next_batch")):
        labels = tuple(value.schema.names)
    else:
        return None
    if others := [type(label).__name__ for label in labels if not isinstance(label, str)]:
        raise ConfigError(f"the DataFrame's column labels must be text, one is {others[0]}")
    check_distinct(labels, "the DataFrame", "rename or drop one")
    return labels


def _is_pandas(kind: type) -> bool:
    return hasattr(kind, "itertuples") and hasattr(kind, "columns")


def _frame_chunks(frame: Any, columns: tuple[str, ...]) -> Iterator[list[dict[str, Any]]]:
    if _is_pandas(type(frame)):
        rows = frame.itertuples(index=False, name=None)
        while chunk := [dict(zip(columns, row, strict=True)) for row in islice(rows, BATCH)]:
            yield chunk
    elif hasattr(frame, "iter_slices"):
        for part in frame.iter_slices(BATCH):
            yield part.to_dicts()
    else:
        # A reader gives one batch after the other; a table and a batch can be sliced alike.
        for batch in frame if hasattr(frame, "read_next_batch") else (frame,):
            for start in range(0, batch.num_rows, BATCH):
                yield batch.slice(start, BATCH).to_pylist()


def _named(row: Any) -> dict[str, Any] | None:
    kind = type(row)
    if hasattr(kind, "_asdict") and (issubclass(kind, tuple) or kind.__module__.startswith("sqlalchemy.")):
        return dict(row._asdict())  # documented: the underscore keeps it from being a column
    if hasattr(kind, "keys") and (issubclass(kind, list) or kind.__module__ == "sqlite3"):  # psycopg2's DictRow
        return dict(zip(row.keys(), row, strict=True))
    if dataclasses.is_dataclass(kind):
        return {one.name: getattr(row, one.name) for one in dataclasses.fields(row)}
    return None


def _flatten(records: Iterable[Any]) -> Iterator[Any]:
    for element in _elements(records):
        if type(element) is dict:
            yield element
        elif (named := _named(element)) is not None:
            yield named
        elif (columns := _frame_columns(element)) is not None:
            yield from chain.from_iterable(_frame_chunks(element, columns))
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
    if not issubclass(type(row), list | tuple) or not row:
        return
    records = (list, tuple, Mapping)
    if any(issubclass(type(one), records) or _is_lazy(one) or _named(one) or _frame_columns(one) for one in row):
        return
    raise ConfigError(
        f"records holds rows without column names (a {type(row).__name__} of {len(row)} values): give mappings of "
        "column names to values, or rows with names. A query's rows are read by SqlToContactsOperator"
    )


def _is_lazy(value: Any) -> bool:
    kind = type(value)
    return issubclass(kind, Sequence) and not issubclass(kind, list | tuple | TEXTS)


def _elements(records: Iterable[Any]) -> Iterator[Any]:
    if not _is_lazy(records):
        yield from records
        return
    # A lazy sequence's own iterator would take any refusal of the server for the end, and the rest would be lost.
    for index in range(len(records)):  # type: ignore[arg-type]  # a Sequence, as just checked
        yield records[index]  # type: ignore[index]  # likewise
