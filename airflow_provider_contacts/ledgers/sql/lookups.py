"""Looking records up: by their keys some at a time, or by the vendor's ids."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what uses a table
from sqlalchemy.dialects import postgresql  # noqa: TID253  # likewise

from airflow_provider_contacts.errors import LedgerError
from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.sql.batch_numbers import name_of
from airflow_provider_contacts.ledgers.sql.expressions import joined, own, seconds_since, status_of
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.outcome import Status, digest_of
from airflow_provider_contacts.records.record_state import ABSENT, BY_HAND, RecordState

CHUNK = 1000
Item = TypeVar("Item")

Named = Callable[[int | None], str | None]

STATE = 16
STATUSES = {status.value: status for status in Status}


class Delivered(NamedTuple):
    """A record that is a contact at the vendor."""

    sync_id: str
    record_identifier: str
    id: str


class Lookup:
    """A query for columns of those records of one ``sync_id`` that some identifiers name, under a condition."""

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
                query = query.where(
                    records.sync_no == keys.c.sync_no, records.record_identifier == keys.c.record_identifier
                )
            case "sqlite":
                # One text however many they are: SQLAlchemy would write a parameter for each of them, every time.
                names = sa.select(sa.func.json_each(given).table_valued("value").c.value)
                query = query.where(records.sync_no == number, records.record_identifier.in_(names))
            case "mysql" | "mariadb":
                some = records.record_identifier.in_(sa.bindparam("identifiers", expanding=True))
                query = query.where(records.sync_no == number, some)
        self._query: sa.Select[Any] = query if condition is None else query.where(condition)
        self._compiled: sa.Compiled | None = None

    def run(self, connection: sa.Connection, sync_no: int, identifiers: Sequence[str]) -> Sequence[Any]:
        """Return the rows of at most ``CHUNK`` identifiers."""
        some = msgspec.json.encode(identifiers).decode() if self._flavour == "sqlite" else list(identifiers)
        return connection.execute(self._query, {"sync_no": sync_no, "identifiers": some}).all()

    def statement(self, dialect: sa.Dialect, sync_no: int, identifiers: Sequence[str]) -> tuple[str, Any]:
        """Return the same for the driver itself (PostgreSQL): the text, and its parameters."""
        if self._compiled is None:
            self._compiled = self._query.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        given = {"sync_no": sync_no, "identifiers": list(identifiers)}
        return str(self._compiled), self._compiled.construct_params(given)


def many_keys() -> sa.FromClause:
    """Return the keys of one array (PostgreSQL), the ``sync_no`` beside each; see ``statements.Unnested``."""
    keys = sa.cast(sa.bindparam("identifiers"), postgresql.ARRAY(sa.Text()))
    number = sa.cast(sa.bindparam("sync_no"), sa.BigInteger())
    beside = sa.func.array_fill(number, postgresql.array([sa.func.cardinality(keys)]))
    columns = (sa.column("record_identifier", sa.Text()), sa.column("sync_no", sa.BigInteger()))
    return sa.func.unnest(keys, beside).table_valued(*columns).render_derived(name="given")


def chunks(items: Collection[Item]) -> Iterator[list[Item]]:
    """Yield ``items`` in lists of at most ``CHUNK``: databases limit the parameters of one statement."""
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


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
    places = {(row.batch_no, row.place): row.id for row in connection.execute(ids_of_batches(tables, ids))}
    if places:
        of_batches = records.batch_no.in_(sorted({number for number, _ in places}))
        by_batch = query.add_columns(records.batch_no, records.place).where(of_batches, records.status.is_(None))
        for sync_id, identifier, *where in connection.execute(by_batch):
            if (record_id := places.get(tuple(where))) is not None:
                found.append(Delivered(sync_id, identifier, record_id))
    return found


def ids_of_batches(tables: Tables, ids: Sequence[str]) -> sa.Select[Any]:
    """Return the query for the batches, places and ids where batches hold one of these ids."""
    batches = tables.batches.c
    each: Any
    match tables.flavour:
        case "sqlite":
            each = sa.func.json_each(batches.ids).table_valued("value", "key", joins_implicitly=True)
            place = each.c.key
        case "postgresql":
            each = (
                sa.func.unnest(batches.ids)
                .table_valued("value", with_ordinality="key", joins_implicitly=True)
                .render_derived()
            )
            place = each.c.key - 1
        case "mysql" | "mariadb":
            return sa.select(batches.batch_no, batches.batch_no.label("place"), batches.ids.label("id")).where(
                sa.false()
            )
    query = sa.select(batches.batch_no, place.label("place"), each.c.value.label("id"))
    return query.where(batches.status == Status.SUCCEEDED.value, each.c.value.in_(ids))


def state_columns(tables: Tables) -> list[sa.ColumnElement[Any]]:
    """Return the columns that :func:`state_of` takes; there are ``STATE`` of them."""
    records, batches = tables.records.c, tables.batches.c
    is_own = records.status.is_not(None)
    ended = sa.func.coalesce(records.settled_at, batches.batch_completed_at)
    return [
        *(records[name] for name in ("record_identifier", "batch_no", "place", "payload_hash", "attempts")),
        status_of(records, batches).label("status"),
        sa.cast(is_own, sa.Integer).label("is_own"),
        *(own(records, name) for name in ("destination_record_id", "error_code", "error_field", "status_message")),
        batches.http_status,
        tables.runs.c.sync_run_id,
        seconds_since(batches.batch_started_at, tables.flavour).label("age"),
        seconds_since(ended, tables.flavour).label("ended"),
        # As text on every database: drivers read JSON each in its own way.
        sa.cast(own(records, "errors"), sa.Text).label("errors"),
    ]


def states_of(
    connection: sa.Connection, tables: Tables, rows: Sequence[Sequence[Any]], named: Named = name_of
) -> list[RecordState]:
    """Return rows that begin with :func:`state_columns` as values; the ids of each batch are read once."""
    batches = tables.batches.c
    settled = {row[1] for row in rows if not row[6] and row[5] == Status.SUCCEEDED}
    ids: dict[int, Any] = {}
    for some in chunks(sorted(settled)):
        found = connection.execute(sa.select(batches.batch_no, batches.ids).where(batches.batch_no.in_(some)))
        ids.update({number: parsed(text) for number, text in found})
    return [state_of(row, ids, named) for row in rows]


def state_of(row: Sequence[Any], ids: Mapping[int, Any], named: Named) -> RecordState:
    """Return a row of :func:`state_columns` as a value."""
    identifier, number, place, payload_hash, attempts, word, is_own, record_id, *rest = row[:STATE]
    code, field, message, http_status, sync_run_id, age, ended, errors = rest
    status = STATUSES.get(word)
    if status is None:  # which only a person can have written
        msg = f"the row of record {digest_of(identifier)} has a status that is none of {', '.join(Status)}; correct it"
        raise LedgerError(msg)
    if not is_own and (told := ids.get(number)) and place is not None and place < len(told):
        record_id = told[place]
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


def names_absent(errors: Any) -> bool:
    """Tell whether stored reasons name a doubt that a reading has ended; nearly every row has none at all."""
    if not errors or (isinstance(errors, str) and ABSENT not in errors):
        return False
    reasons = parsed(errors)
    return isinstance(reasons, list) and any(isinstance(one, dict) and one.get("code") == ABSENT for one in reasons)


def parsed(stored: Any) -> Any:
    """Return stored JSON, which some drivers parse already; ``None`` for none, and for what is no JSON."""
    try:
        return json.loads(stored) if isinstance(stored, str | bytes) else stored
    except (ValueError, RecursionError):
        return None
