"""Looking records up, by their keys some at a time, or by the contacts that they became."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from sqlalchemy import (  # noqa: TID253  # this module is imported only by what uses a table
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Text,
    bindparam,
    cast,
    column,
    func,
    select,
)
from sqlalchemy.dialects import postgresql  # noqa: TID253  # likewise

from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.outcome import Status

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult

CHUNK = 1000
Item = TypeVar("Item")


class Lookup:
    """A query for the records of one ``sync_id`` that some identifiers name.

    :param columns: what it gives, of the records or out of what :func:`joined` offers.
    :param condition: what a record must be besides.
    :param alone: whether records alone are read, so that they alone are locked.
    """

    def __init__(
        self,
        tables: Tables,
        columns: Sequence[ColumnElement[Any]],
        condition: ColumnElement[bool] | None = None,
        *,
        alone: bool = False,
    ) -> None:
        self._flavour = tables.flavour
        records = tables.records.c
        number, given = bindparam("sync_no", type_=BigInteger()), bindparam("identifiers", type_=Text())
        query = select(*columns).select_from(tables.records if alone else joined(tables))
        match tables.flavour:
            case "postgresql":
                keys = many_keys()
                query = query.where(
                    records.sync_no == keys.c.sync_no, records.record_identifier == keys.c.record_identifier
                )
            case "sqlite":
                # One text however many they are: SQLAlchemy would write a parameter for each of them, every time.
                names = select(func.json_each(given).table_valued("value").c.value)
                query = query.where(records.sync_no == number, records.record_identifier.in_(names))
            case "mysql" | "mariadb":
                some = records.record_identifier.in_(bindparam("identifiers", expanding=True))
                query = query.where(records.sync_no == number, some)
        self._query: Select[Any] = query if condition is None else query.where(condition)
        self._locking = self._query.with_for_update()

    def run(
        self, connection: Connection, sync_no: int, identifiers: Sequence[str], *, lock: bool = False
    ) -> CursorResult[Any]:
        """Run it.

        :param identifiers: at most ``CHUNK``.
        :param lock: until the transaction ends.
        """
        some = msgspec.json.encode(identifiers).decode() if self._flavour == "sqlite" else list(identifiers)
        query = self._locking if lock else self._query
        return connection.execute(query, {"sync_no": sync_no, "identifiers": some})


def many_keys() -> FromClause:
    """Return the keys of one array (PostgreSQL), the ``sync_no`` beside each; see ``statements.Unnested``."""
    keys = cast(bindparam("identifiers"), postgresql.ARRAY(Text()))
    number = cast(bindparam("sync_no"), BigInteger())
    beside = func.array_fill(number, postgresql.array([func.cardinality(keys)]))
    columns = (column("record_identifier", Text()), column("sync_no", BigInteger()))
    return func.unnest(keys, beside).table_valued(*columns).render_derived(name="given")


def joined(tables: Tables) -> FromClause:
    """Return records, each with its batch and its run so far as they are there."""
    records, batches, runs = tables.records, tables.batches, tables.runs
    with_batch = records.outerjoin(batches, batches.c.batch_no == records.c.batch_no)
    return with_batch.outerjoin(runs, runs.c.run_no == batches.c.run_no)


def delivered_as(tables: Tables, binding: Binding, record_ids: Sequence[str]) -> Select[Any]:
    """Return the query for the id, ``sync_id`` and identifier of what was delivered to a place as these contacts."""
    records, syncs = tables.records.c, tables.syncs.c
    return (
        select(records.destination_record_id, syncs.sync_id, records.record_identifier)
        .select_from(tables.records.join(tables.syncs, syncs.sync_no == records.sync_no))
        .where(
            records.destination_record_id.in_(record_ids),
            records.status == Status.SUCCEEDED.value,
            syncs.destination == binding.destination,
            syncs.destination_host == binding.destination_host,
            syncs.destination_object.is_not_distinct_from(binding.destination_object),
        )
    )


def chunks(items: Collection[Item]) -> Iterator[list[Item]]:
    """Yield ``items`` in lists of at most ``CHUNK``: databases limit the parameters of one statement."""
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
