"""From an operator's parameters to an open ledger."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.ledgers.run_identity import Binding, RunIdentity
from airflow_provider_contacts.ledgers.sql.batch_numbers import draw_token
from airflow_provider_contacts.ledgers.sql.database import connect
from airflow_provider_contacts.ledgers.sql.patience import Patience
from airflow_provider_contacts.ledgers.sql.rows import Policy
from airflow_provider_contacts.ledgers.sql.runs import Execution
from airflow_provider_contacts.ledgers.sql.schema import ensure, look
from airflow_provider_contacts.ledgers.sql.storage_checks import look_at_tables, open_store
from airflow_provider_contacts.ledgers.sql.table_ledger import SqlLedger
from airflow_provider_contacts.ledgers.sql.tables import Tables

if TYPE_CHECKING:
    from sqlalchemy import Engine

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What an operator says of its outcome table.

    :param hook: DB-API hook of ``outcomes_conn_id``.
    :param source: DB-API hook that is read meanwhile, if any.
    :param patience: with a database that cannot be used for a moment.
    """

    hook: Any = field(repr=False)
    source: Any = field(repr=False)
    table: str
    create_tables: bool
    store_payload: Policy
    run: RunIdentity
    sync_id: str
    destination: str
    destination_host: str
    destination_object: str | None
    patience: Patience = field(default_factory=Patience, repr=False)

    def binding(self) -> Binding:
        """Return whose records the ``sync_id`` remembers."""
        return Binding(
            sync_id=self.sync_id,
            destination=self.destination,
            destination_host=self.destination_host,
            destination_object=self.destination_object or None,
        )


def open_ledger(opening: Opening) -> SqlLedger:
    """Open the outcome table for an execution, which is the newest of its run from now on.

    :raises ConfigError: for a database, table or destination that cannot be used.
    :raises LedgerError: if the database fails.
    """
    ledger = SqlLedger.open(
        connect(opening.hook),
        table=opening.table,
        create_tables=opening.create_tables,
        run=opening.run,
        sync_id=opening.sync_id,
        destination=opening.destination,
        destination_host=opening.destination_host,
        destination_object=opening.destination_object,
        store_payload=opening.store_payload,
        shared_source=same_file(opening.hook, opening.source),
        patience=opening.patience,
    )
    for warning in ledger.warnings:
        log.warning("%s", warning)
    return ledger


def open_for_reading(opening: Opening) -> SqlLedger:
    """Open the tables for a plan; it writes nothing, and they need not exist.

    :raises ConfigError: for a database or destination that cannot be used.
    """
    engine = connect(opening.hook)
    opening.run.check()
    shared = same_file(opening.hook, opening.source)
    tables = opening.patience.run(lambda: open_store(engine, opening.table, shared_source=shared))
    return opening.patience.run(lambda: reading_ledger(engine, tables, opening))


def reading_ledger(engine: Engine, tables: Tables, opening: Opening) -> SqlLedger:
    """Return the ledger of a plan, whose binding and tables have been looked at."""
    binding = opening.binding()
    binding.check()
    absent, _ = look(engine, tables)
    if not opening.create_tables:
        ensure(engine, tables, create=False)
    look_at_tables(engine, tables)
    execution = Execution(tables, opening.run, draw_token(), engine.dialect)
    ledger = SqlLedger(engine, tables, binding, execution, opening.store_payload, exists=not absent)
    ledger.read(ledger.sync_no)
    return ledger


def same_file(one: Any, other: Any) -> bool:
    """Tell whether two hooks open the same SQLite file."""
    files = [sqlite_file(hook) for hook in (one, other)]
    return files[0] is not None and files[0] == files[1]


def sqlite_file(hook: Any) -> Path | None:
    """Return the file behind a hook, if it is SQLite's and can be opened: who needs it, tells why it cannot."""
    if getattr(hook, "conn_type", None) != "sqlite":
        return None
    # The database knows; a connection may name its file in host, as a URI, or with parameters.
    try:
        with closing(hook.get_conn()) as connection:
            name = next((row[2] for row in connection.execute("PRAGMA database_list") if row[1] == "main"), "")
    except sqlite3.Error:
        return None
    return Path(name).resolve() if name else None
