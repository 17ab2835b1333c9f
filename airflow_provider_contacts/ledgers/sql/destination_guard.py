"""A ``sync_id`` remembers one destination: sandbox data must not silence production."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, select  # noqa: TID253  # imported only by what uses a table

from airflow_provider_contacts.errors import LedgerError, SyncTakenError
from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.sql.bound_statement import Prepared
from airflow_provider_contacts.ledgers.sql.db_errors import RELEASE
from airflow_provider_contacts.ledgers.sql.tables import Tables

LOCK_SECONDS = 30
"""How long the first write under a ``sync_id`` waits for another one, on MySQL and MariaDB."""


class BindingCheck:
    """Whether a ``sync_id`` belongs to this destination; asked anew in every transaction that writes.

    The first row of a ``sync_id`` binds it. Tasks that start together write their first rows one after the other, so
    that all but one of two destinations see whose it is.
    """

    def __init__(self, tables: Tables, binding: Binding) -> None:
        self._outcomes = tables.outcomes
        self._flavour = tables.flavour
        self._binding = binding
        self._first: Prepared | None = None

    def is_new(self, connection: Connection) -> bool:
        """Return whether the ``sync_id`` is new to the table.

        One row is looked at: every writer has looked before it wrote, so all rows of a ``sync_id`` agree.

        :raises SyncTakenError: if its rows belong to another destination.
        """
        if self._first is None:
            self._first = Prepared(first_row(self._outcomes, self._binding.sync_id), connection.dialect, {})
        held = binding_of(self._first.query(connection, {}).first())
        if held is None or held == self._binding:
            return held is None
        msg = (
            f"sync_id {held.sync_id} remembers records of {held.place()}, and this push goes to "
            f"{self._binding.place()}. Give this push another sync_id, or correct its connection or destination. If "
            "the records themselves have moved with the address, update the destination columns of these rows in "
            f"{self._outcomes.fullname}"
        )
        raise SyncTakenError(msg)

    def hold(self, connection: Connection) -> None:
        """Make sure, until the transaction has ended, that no other destination can be bound.

        :raises SyncTakenError: see :meth:`is_new`.
        :raises LedgerError: if another task keeps the ``sync_id`` locked for too long.
        """
        if self.is_new(connection):
            self._lock(connection)
            self.is_new(connection)

    def _lock(self, connection: Connection) -> None:
        digest = sha256(self._binding.sync_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        match self._flavour:
            case "sqlite":
                return  # the transaction holds the write lock of the whole file
            case "postgresql":
                number = int.from_bytes(bytes.fromhex(digest)[:8], signed=True)
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({number})")
            case "mysql" | "mariadb":
                name = f"contacts-{digest}"
                if connection.exec_driver_sql(f"SELECT GET_LOCK('{name}', {LOCK_SECONDS})").scalar() != 1:
                    raise LedgerError(
                        f"another task has been writing the first rows of sync_id {self._binding.sync_id} in "
                        f"{self._outcomes.fullname} for {LOCK_SECONDS} s: let that task end, and try again"
                    )
                connection.info[RELEASE] = f"DO RELEASE_LOCK('{name}')"


def first_row(outcomes: Table, sync_id: str, *, itself: bool = True) -> Select[Any]:
    """Return the query for the first row of a ``sync_id``, or of the next one after it: one step in the index."""
    columns = outcomes.c
    return (
        select(columns.sync_id, columns.destination, columns.destination_host, columns.destination_object)
        .where(columns.sync_id == sync_id if itself else columns.sync_id > sync_id)
        .order_by(columns.sync_id, columns.record_identifier)
        .limit(1)
    )


def binding_of(row: Row[Any] | None) -> Binding | None:
    """Return what a row of :func:`first_row` says."""
    if row is None:
        return None
    return Binding(
        sync_id=row.sync_id,
        destination=row.destination,
        destination_host=row.destination_host,
        destination_object=row.destination_object,
    )
