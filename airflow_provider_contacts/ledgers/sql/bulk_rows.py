"""How rows are handed over to a statement: as one JSON text for all of them, or each for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import (  # noqa: TID253  # this module is imported only by what uses a table
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Text,
    bindparam,
    cast,
    column,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql  # noqa: TID253  # likewise

from airflow_provider_contacts.ledgers.sql.tables import Flavour

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

ROWS = "rows"
"""The parameter that carries all rows of a call."""

NUMBERS: Mapping[str, TypeEngine[int]] = {"row_index": BigInteger(), "attempts": Integer(), "http_status": Integer()}

Given = Callable[[str], ColumnElement[Any]]
"""A field of the row that is handed over."""


def kind_of(name: str) -> TypeEngine[Any]:
    """Return the type in which a field is handed over; JSON goes as text."""
    return NUMBERS.get(name, Text())


def parameter(name: str) -> str:
    """Return the parameter that carries a field; the bare column name is SQLAlchemy's own."""
    return f"given_{name}"


def one_row(name: str) -> ColumnElement[Any]:
    """Return a field of the one row that a statement is run for."""
    return bindparam(parameter(name), type_=kind_of(name))


def many_rows(fields: tuple[str, ...], flavour: Flavour) -> FromClause:
    """Return the rows that a statement is run for, from one JSON text; the ``sync_id`` is a field of each.

    Were the ``sync_id`` a constant, a planner would, before the first ANALYZE, take it to be rare and read all its
    rows rather than look up keys. A key that comes whole out of a function leaves it the index.
    """
    names = (*fields, "sync_id")
    if flavour == "postgresql":
        document = cast(bindparam(parameter(ROWS), type_=Text()), postgresql.JSON())
        columns: list[ColumnElement[Any]] = [column(name, kind_of(name)) for name in names]
        return func.json_to_recordset(document).table_valued(*columns).render_derived(name="given", with_types=True)
    each = func.json_each(bindparam(parameter(ROWS), type_=Text())).table_valued("value")
    members = [
        func.json_extract(each.c.value, literal_column(f"'$[{place}]'"), type_=kind_of(name)).label(name)
        for place, name in enumerate(names)
    ]
    return select(*members).select_from(each).subquery("given")


def document_of(fields: Sequence[str], rows: Sequence[Mapping[str, Any]], sync_id: str, flavour: Flavour) -> str:
    """Return rows as :func:`many_rows` takes them.

    :param rows: with more fields than these, perhaps.
    :raises UnicodeEncodeError: for a text with a lone surrogate.
    """
    if flavour == "postgresql":
        return msgspec.json.encode([{**row, "sync_id": sync_id} for row in rows]).decode()
    members = itemgetter(*fields)
    return msgspec.json.encode([(*members(row), sync_id) for row in rows]).decode()


def many_keys(sync_id: str) -> FromClause:
    """Return the keys of one array (PostgreSQL), the ``sync_id`` beside each; see :func:`many_rows`."""
    keys = cast(bindparam(parameter("record_identifier")), postgresql.ARRAY(Text()))
    beside = func.array_fill(cast(literal(sync_id), Text()), postgresql.array([func.cardinality(keys)]))
    columns = (column("record_identifier", Text()), column("sync_id", Text()))
    return func.unnest(keys, beside).table_valued(*columns).render_derived(name="given")
