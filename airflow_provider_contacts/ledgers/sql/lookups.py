"""Looking records up: by their keys some at a time, or by the vendor's ids."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import count, islice
from typing import Any, NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what uses a table
from sqlalchemy.dialects import postgresql  # noqa: TID253  # likewise

from airflow_provider_contacts.errors import LedgerError
from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.sql.batch_numbers import name_of
from airflow_provider_contacts.ledgers.sql.expressions import joined, own, record_id_of, seconds_since, status_of
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.ledgers.sql.transactions import reading
from airflow_provider_contacts.outcome import Status, digest_of
from airflow_provider_contacts.records.record_state import ABSENT, BY_HAND, RecordState

CHUNK = 1000
IN_ORDER = "SELECT set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true)"
Item = TypeVar("Item")

STATUSES = {status.value: status for status in Status}


class Delivered(NamedTuple):
    """A record that is a contact at the vendor."""

    sync_id: str
    record_identifier: str
    id: str


class Lookup:
    """A query for columns of those records of one ``sync_id`` that some identifiers name, under a condition.

    The identifiers go as one text: drivers and SQLAlchemy handle the values of a list one by one, in Python.
    """

    def __init__(
        self, tables: Tables, columns: Sequence[sa.ColumnElement[Any]], condition: sa.ColumnElement[bool] | None = None
    ) -> None:
        self._flavour = tables.flavour
        records = tables.records.c
        number, given = sa.bindparam("sync_no", type_=sa.BigInteger()), sa.bindparam("identifiers", type_=sa.Text())
        query = sa.select(*columns).select_from(joined(tables))
        match tables.flavour:
            case "postgresql":
                keys = many_keys()
                same = (records.sync_no == keys.c.sync_no, records.record_identifier == keys.c.record_identifier)
                query = query.where(*same)
            case "sqlite":
                some = sa.select(sa.func.json_each(given).table_valued("value").c.value)
                query = query.where(records.sync_no == number, records.record_identifier.in_(some))
            case "mysql" | "mariadb":
                listed = records.record_identifier.in_(sa.bindparam("identifiers", expanding=True))
                query = query.where(records.sync_no == number, listed)
        self._query: sa.Select[Any] = query if condition is None else query.where(condition)
        self._compiled: sa.Compiled | None = None

    def run(self, connection: sa.Connection, sync_no: int, identifiers: Sequence[str]) -> Sequence[Any]:
        """Return the rows of at most ``CHUNK`` identifiers."""
        return connection.execute(self._query, self._given(sync_no, identifiers)).all()

    def statement(self, dialect: sa.Dialect, sync_no: int, identifiers: Sequence[str]) -> tuple[str, Any]:
        """Return the same for the driver itself (PostgreSQL): the text, and its parameters."""
        if self._compiled is None:
            self._compiled = self._query.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        return str(self._compiled), self._compiled.construct_params(self._given(sync_no, identifiers))

    def _given(self, sync_no: int, identifiers: Sequence[str]) -> dict[str, Any]:
        match self._flavour:
            case "postgresql":
                whole = "".join(identifiers)
                between = next(one for one in map(chr, count(31)) if one not in whole)
                many = {"identifiers": between.join(identifiers), "between": between, "number": len(identifiers)}
                return {"sync_no": sync_no, **many}
            case "sqlite":
                return {"sync_no": sync_no, "identifiers": msgspec.json.encode(identifiers).decode()}
            case "mysql" | "mariadb":
                return {"sync_no": sync_no, "identifiers": list(identifiers)}


def many_keys() -> sa.FromClause:
    """Return the keys of one text (PostgreSQL), the ``sync_no`` beside each; see ``statements.Unnested``."""
    text, between = (sa.cast(sa.bindparam(name), sa.Text()) for name in ("identifiers", "between"))
    number = sa.cast(sa.bindparam("sync_no"), sa.BigInteger())
    beside = sa.func.array_fill(number, postgresql.array([sa.cast(sa.bindparam("number"), sa.Integer())]))
    columns = (sa.column("record_identifier", sa.Text()), sa.column("sync_no", sa.BigInteger()))
    keys = sa.func.unnest(sa.func.string_to_array(text, between), beside)
    return keys.table_valued(*columns).render_derived(name="given")


def chunks(items: Collection[Item]) -> Iterator[list[Item]]:
    """Yield ``items`` in lists of at most ``CHUNK``: databases limit the parameters of one statement."""
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def read_page(engine: sa.Engine, tables: Tables, page: sa.Select[Any]) -> Sequence[Any]:
    """Return the rows of a page in order of a key.

    PostgreSQL shall walk the key: of a table that it has not analysed yet, it would sort all the rest for each page.
    """

    def look(connection: sa.Connection) -> Sequence[Any]:
        if tables.flavour == "postgresql":
            connection.exec_driver_sql(IN_ORDER)
        return connection.execute(page).all()

    return reading(engine, look)


def of_place(tables: Tables, binding: Binding) -> sa.ColumnElement[bool]:
    """Return whether a ``sync_id`` belongs to the same destination."""
    syncs = tables.syncs.c
    return sa.and_(
        syncs.destination == binding.destination,
        syncs.destination_host == binding.destination_host,
        syncs.destination_object.is_not_distinct_from(binding.destination_object),
    )


def delivered_as(connection: sa.Connection, tables: Tables, binding: Binding, ids: Sequence[str]) -> list[Delivered]:
    """Return the records of a destination that were delivered as one of these ids of the vendor's."""
    records, syncs = tables.records.c, tables.syncs.c
    with_sync = tables.records.join(tables.syncs, syncs.sync_no == records.sync_no)
    query = sa.select(syncs.sync_id, records.record_identifier).select_from(with_sync).where(of_place(tables, binding))
    own_id = records.destination_record_id
    by_record = query.add_columns(own_id).where(own_id.in_(ids), records.status == Status.SUCCEEDED.value)
    found = [Delivered(*row) for row in connection.execute(by_record)]
    of_batches = ids_of_batches(tables, ids)
    if of_batches is None:
        return found
    places = {(row.batch_no, row.place): row.id for row in connection.execute(of_batches)}
    if places:
        named = records.batch_no.in_(sorted({number for number, _ in places}))
        by_batch = query.add_columns(records.batch_no, records.place).where(named, records.status.is_(None))
        for sync_id, identifier, *where in connection.execute(by_batch):
            if (record_id := places.get(tuple(where))) is not None:
                found.append(Delivered(sync_id, identifier, record_id))
    return found


def ids_of_batches(tables: Tables, ids: Sequence[str]) -> sa.Select[Any] | None:
    """Return the query for the batches, places and ids where batches hold one of these ids; ``None`` if none do."""
    batches = tables.batches.c
    each: Any
    match tables.flavour:
        case "sqlite":
            each = sa.func.json_each(batches.ids).table_valued("value", "key", joins_implicitly=True)
            place = each.c.key
        case "postgresql":
            unnested = sa.func.unnest(batches.ids)
            each = unnested.table_valued("value", with_ordinality="key", joins_implicitly=True).render_derived()
            place = each.c.key - 1
        case "mysql" | "mariadb":
            return None
    query = sa.select(batches.batch_no, place.label("place"), each.c.value.label("id"))
    return query.where(batches.status == Status.SUCCEEDED.value, each.c.value.in_(ids))


def state_columns(tables: Tables) -> list[sa.ColumnElement[Any]]:
    """Return the columns that :func:`state_of` takes, by their names."""
    records, batches = tables.records.c, tables.batches.c
    ended = sa.func.coalesce(records.settled_at, batches.batch_completed_at)
    return [
        *(records[name] for name in ("record_identifier", "batch_no", "payload_hash", "attempts")),
        status_of(records, batches).label("status"),
        record_id_of(records, batches, tables.flavour).label("destination_record_id"),
        *(own(records, name).label(name) for name in ("error_code", "error_field", "status_message")),
        batches.http_status,
        tables.runs.c.sync_run_id,
        seconds_since(batches.batch_started_at, tables.flavour).label("age"),
        seconds_since(ended, tables.flavour).label("ended"),
        # As text on every database: drivers read JSON each in its own way.
        sa.cast(own(records, "errors"), sa.Text).label("errors"),
    ]


STATE = 14
"""How many they are."""


def state_of(row: Sequence[Any], named: Callable[[int | None], str | None] = name_of) -> RecordState:
    """Return a row that begins with :func:`state_columns` as a value."""
    identifier, number, payload_hash, attempts, word, record_id, code, field, message, *rest = row[:STATE]
    http_status, sync_run_id, age, ended, errors = rest
    status = STATUSES.get(word)
    if status is None:  # which only a person can have written
        msg = f"the row of record {digest_of(identifier)} has a status that is none of {', '.join(Status)}; correct it"
        raise LedgerError(msg)
    # A database whose clock was set back must not make a mark look old, nor one without a mark.
    return RecordState(
        record_identifier=identifier,
        status=status,
        batch_id=named(number),
        sync_run_id=sync_run_id,
        payload_hash=payload_hash,
        destination_record_id=record_id,
        error_code=code,
        error_field=field,
        status_message=message,
        http_status=http_status,
        attempts=attempts,
        age=max(0.0, float(age or 0.0)),
        ended=None if ended is None else max(0.0, float(ended)),
        was_in_doubt=code in {ABSENT, BY_HAND} or names_absent(errors),
    )


def names_absent(errors: str | None) -> bool:
    """Tell whether stored reasons name a doubt that a reading has ended; nearly every row has none at all."""
    if not errors or ABSENT not in errors:
        return False
    reasons = parsed(errors)
    return isinstance(reasons, list) and any(isinstance(one, dict) and one.get("code") == ABSENT for one in reasons)


def parsed(stored: Any) -> Any:
    """Return stored JSON, which some drivers parse already; ``None`` for none, and for what is no JSON."""
    try:
        return json.loads(stored) if isinstance(stored, str | bytes) else stored
    except (ValueError, RecursionError):
        return None
