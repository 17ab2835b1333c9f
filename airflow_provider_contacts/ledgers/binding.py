"""A ``sync_id`` remembers one destination: sandbox data must not silence production."""

from __future__ import annotations

from sqlalchemy import Connection, Table, select  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.core.errors import ConfigError
from airflow_provider_contacts.ledgers.identity import Binding

# A table with more sync ids than this is not searched to its end: the warning is a courtesy.
LOOKED_AT = 200


def check_binding(connection: Connection, outcomes: Table, binding: Binding) -> bool:
    """Return whether the ``sync_id`` is new to the table.

    One row is looked at: every writer has looked before it wrote, so all rows of a ``sync_id`` agree.

    :raises ConfigError: if its rows belong to another destination.
    """
    held = next_binding(connection, outcomes, binding.sync_id, itself=True)
    if held is None or held == binding:
        return held is None
    msg = (
        f"sync_id {binding.sync_id} remembers records of {held.place()}, and this push goes to {binding.place()}. Give "
        "this push another sync_id, or correct its connection or destination. If the records themselves have moved "
        f"with the address, update the destination columns of these rows in {outcomes.fullname}"
    )
    raise ConfigError(msg)


def neighbours(connection: Connection, outcomes: Table, binding: Binding) -> tuple[str, ...]:
    """Return a warning if the same destination is known under another ``sync_id``."""
    place = (binding.destination, binding.destination_host, binding.destination_object)
    after = ""
    for _ in range(LOOKED_AT):
        held = next_binding(connection, outcomes, after, itself=False)
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


def next_binding(connection: Connection, outcomes: Table, sync_id: str, *, itself: bool) -> Binding | None:
    """Return the binding of a ``sync_id``, or of the next one after it, from its first row: one step in the index."""
    columns = outcomes.c
    query = (
        select(columns.sync_id, columns.destination, columns.destination_host, columns.destination_object)
        .where(columns.sync_id == sync_id if itself else columns.sync_id > sync_id)
        .order_by(columns.sync_id, columns.record_identifier)
        .limit(1)
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    held_id, destination, host, held_object = row
    return Binding(sync_id=held_id, destination=destination, destination_host=host, destination_object=held_object)
