"""Opening a batch: each of its records gets the status and the payload that it had from its batch.

Whoever wants to write a record of a batch that is ``sending``, and is not the owner of its answer, opens the batch
first. What anybody reads is the same before and after. The lock on the batch's row decides between an opener and the
answer; later everything compares one record row.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from sqlalchemy import null, select, update  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.ledgers.sql.expressions import at_place
from airflow_provider_contacts.ledgers.sql.tables import COLLATIONS, Tables
from airflow_provider_contacts.outcome import Status

if TYPE_CHECKING:
    from sqlalchemy import Connection

SENDING = Status.SENDING.value


def open_batches(connection: Connection, tables: Tables, numbers: Collection[int]) -> None:
    """Open those of some batches that are ``sending``; they stay locked until the transaction ends."""
    if not numbers or tables.flavour in COLLATIONS:
        return  # MySQL and MariaDB have open batches only
    batches, records = tables.batches, tables.records
    is_sending = batches.c.batch_no.in_(sorted(numbers)) & (batches.c.status == SENDING)
    query = select(batches.c.batch_no).where(is_sending).order_by(batches.c.batch_no).with_for_update()
    found = list(connection.execute(query).scalars())
    if not found:
        return
    own: Any = at_place(batches.c.body, records.c, tables.flavour)
    payload = select(own).where(batches.c.batch_no == records.c.batch_no).scalar_subquery()
    connection.execute(
        update(records)
        .where(records.c.batch_no.in_(found), records.c.status.is_(None))
        .values(status=SENDING, record_payload=payload)
    )
    connection.execute(update(batches).where(batches.c.batch_no.in_(found)).values(status="open", body=null()))
