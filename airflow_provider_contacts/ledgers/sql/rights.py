"""Whether the login may change and delete rows: asked before the first of them is touched."""

from __future__ import annotations

from sqlalchemy import Engine, delete, false, update  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.errors import ConfigError, LedgerError
from airflow_provider_contacts.ledgers.sql.db_errors import MomentaryError
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.ledgers.sql.transactions import transact


def need_rights(engine: Engine, tables: Tables) -> None:
    """Refuse a login that may not update and delete rows of every table.

    :raises ConfigError: naming the right and the table.
    """
    for table in tables.every:
        number = next(iter(table.primary_key))
        for right, statement in (
            ("UPDATE", update(table).where(false()).values({number: number})),
            ("DELETE", delete(table).where(false())),
        ):
            try:
                transact(engine, lambda connection: connection.execute(statement), repeatable=True)  # noqa: B023  # run at once
            except MomentaryError:
                raise
            except LedgerError as error:
                raise ConfigError(f"the right to {right} {table.fullname} is needed: {error}") from None
