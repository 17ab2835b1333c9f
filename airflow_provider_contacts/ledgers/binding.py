"""A ``sync_id`` remembers one destination: sandbox data must not silence production."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Select, Table, select  # noqa: TID253  # imported only by what uses a table

from airflow_provider_contacts.core.errors import ConfigError
from airflow_provider_contacts.ledgers.identity import Binding
from airflow_provider_contacts.ledgers.prepared import Prepared

# A table with more sync ids than this is not searched to its end: the warning is a courtesy.
LOOKED_AT = 200


class BindingCheck:
    """Whether a ``sync_id`` belongs to this destination; asked anew with every claim of an execution that began it."""

    def __init__(self, outcomes: Table, binding: Binding) -> None:
        self._outcomes = outcomes
        self._binding = binding
        self._first: Prepared | None = None

    def is_new(self, connection: Connection) -> bool:
        """Return whether the ``sync_id`` is new to the table.

        One row is looked at: every writer has looked before it wrote, so all rows of a ``sync_id`` agree.

        :raises ConfigError: if its rows belong to another destination.
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
        raise ConfigError(msg)


def neighbours(connection: Connection, outcomes: Table, binding: Binding) -> tuple[str, ...]:
    """Return a warning if the same destination is known under another ``sync_id``."""
    place = (binding.destination, binding.destination_host, binding.destination_object)
    after = ""
    for _ in range(LOOKED_AT):
        held = binding_of(connection.execute(first_row(outcomes, after, itself=False)).first())
        if held is None:
            break
        if (held.destination, held.destination_host, held.destination_object) == place:
            text = (
                f"sync_id {binding.sync_id} is new, but {binding.place()} has rows under sync_id {held.sync_id}: what "
                "was delivered under that one is sent again under this one"
            )
            return (text,)
        after = held.sync_id
    return ()


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
