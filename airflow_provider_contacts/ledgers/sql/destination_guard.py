"""A ``sync_id`` remembers one destination: sandbox data must not silence production."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import (  # noqa: TID253  # this module is imported only by what uses a table
    Connection,
    Row,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError  # noqa: TID253  # likewise

from airflow_provider_contacts.errors import LedgerError, SyncTakenError
from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.sql.tables import Tables

Held = tuple[int, Binding]
"""A row of the table of syncs: its number, and what it says."""


class DestinationGuard:
    """Whether a ``sync_id`` belongs to this destination; asked anew in every transaction that claims or notes.

    The first of these binds it, in its own transaction. Its key makes those who begin together wait for each other.
    """

    def __init__(self, tables: Tables, binding: Binding) -> None:
        self._tables = tables
        self._binding = binding

    def look(self, connection: Connection) -> int | None:
        """Return the number of the ``sync_id``; ``None`` while it is new.

        :raises SyncTakenError: if it remembers records of another destination.
        """
        syncs = self._tables.syncs
        query = select(syncs).where(syncs.c.sync_id == self._binding.sync_id)
        return self.checked(held_of(connection.execute(query).first()))

    def bind(self, connection: Connection, held: Held | None, run_no: int | None) -> int:
        """Return the number of the ``sync_id``, which is bound to this destination if it is new.

        :param held: what the transaction has read already.
        :param run_no: the run that begins it.
        :raises SyncTakenError: see :meth:`look`.
        """
        number = self.checked(held)
        if number is not None:
            return number
        syncs, runs = self._tables.syncs, self._tables.runs
        try:
            with connection.begin_nested():
                connection.execute(insert(syncs).values(asdict(self._binding)))
        except IntegrityError:
            pass  # another execution has just inserted it, perhaps for another destination
        number = self.look(connection)
        if number is None:
            raise LedgerError("the sync_id has vanished from the table while it was written")
        connection.execute(update(runs).where(runs.c.run_no == run_no).values(sync_no=number))
        return number

    def checked(self, held: Held | None) -> int | None:
        """Return the number of what is held, if it is this destination's.

        :raises SyncTakenError: else.
        """
        if held is None:
            return None
        number, binding = held
        if binding == self._binding:
            return number
        msg = (
            f"sync_id {binding.sync_id} remembers records of {binding.place()}, and this push goes to "
            f"{self._binding.place()}. Give this push another sync_id, or correct its connection or destination. If "
            "the records themselves have moved with the address, update the destination columns of this sync_id in "
            f"{self._tables.syncs.fullname}"
        )
        raise SyncTakenError(msg)


def held_of(row: Row[Any] | None) -> Held | None:
    """Return what a row says of a ``sync_id``."""
    if row is None or row.sync_no is None:
        return None
    binding = Binding(
        sync_id=row.sync_id,
        destination=row.destination,
        destination_host=row.destination_host,
        destination_object=row.destination_object,
    )
    return int(row.sync_no), binding
