"""From an operator's parameters to an open ledger."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.run_identity import Binding, RunIdentity
from airflow_provider_contacts.ledgers.sql.batch_numbers import draw_token, is_token
from airflow_provider_contacts.ledgers.sql.database import connect, prepare
from airflow_provider_contacts.ledgers.sql.db_errors import DataRefusedError
from airflow_provider_contacts.ledgers.sql.executions import DestinationGuard, Execution
from airflow_provider_contacts.ledgers.sql.rows import Policy
from airflow_provider_contacts.ledgers.sql.schema import ensure, look
from airflow_provider_contacts.ledgers.sql.storage_checks import (
    changes_rows,
    durability_warnings,
    look_at_tables,
    open_store,
)
from airflow_provider_contacts.ledgers.sql.table_ledger import SqlLedger
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.ledgers.sql.transactions import Patience, reading, transact

if TYPE_CHECKING:
    from sqlalchemy import Engine

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What an operator says of its outcome table.

    :param hook: DB-API hook of ``outcomes_conn_id``.
    :param source: DB-API hook that is read meanwhile, if any.
    :param token: drawn at random if not given; it must be new for every execution.
    """

    hook: Any = field(repr=False)
    source: Any = field(default=None, repr=False)
    table: str = "contact_outcomes"
    create_tables: bool = True
    store_payload: Policy = "undelivered"
    run: RunIdentity
    sync_id: str
    destination: str
    destination_host: str
    destination_object: str | None
    token: str | None = None
    patience: Patience = field(default_factory=Patience, repr=False)

    def binding(self) -> Binding:
        """Return the destination of the ``sync_id``."""
        return Binding(
            sync_id=self.sync_id,
            destination=self.destination,
            destination_host=self.destination_host,
            destination_object=self.destination_object or None,
        )

    def check(self) -> None:
        """Refuse names that the tables cannot hold, and unknown policies."""
        self.binding().check()
        self.run.check()
        if self.store_payload not in {"undelivered", "all", "never"}:
            raise ConfigError("store_payload must be 'undelivered', 'all' or 'never'")
        if self.token is not None and not is_token(self.token):
            raise ValueError("a token is a number of 39 bits in hexadecimal digits")


def open_ledger(opening: Opening, engine: Engine | None = None) -> SqlLedger:
    """Open the outcome table for an execution, which is the newest of its run from now on.

    :param engine: if it is connected already; closed with the ledger.
    :raises ConfigError: for a database, table or destination that cannot be used, or that forgets what it keeps.
    """
    opening.check()
    engine = engine or connect(opening.hook)
    prepare(engine)
    shared = same_file(opening.hook, opening.source)

    def begin() -> SqlLedger:
        tables = open_store(engine, opening.table, shared_source=shared)
        outdated = ensure(engine, tables, create=opening.create_tables)
        warnings = outdated + look_at_tables(engine, tables) + durability_warnings(engine, tables.flavour)
        ledger = registered(engine, tables, opening)
        ledger.warnings = warnings
        return ledger

    ledger = opening.patience.run(begin)
    for warning in ledger.warnings:
        log.warning("%s", warning)
    return ledger


def registered(engine: Engine, tables: Tables, opening: Opening) -> SqlLedger:
    """Look whose the ``sync_id`` is, and register the execution as the newest of its run."""
    binding = opening.binding()
    execution = Execution(tables, opening.run, opening.token or draw_token(), engine.dialect)
    reading(engine, DestinationGuard(tables, binding).look)
    register = partial(execution.register, binding=binding)
    try:
        execution.run_no = transact(engine, register, repeatable=True)
    except DataRefusedError:
        # Another execution of this very try has just inserted the row.
        execution.run_no = transact(engine, register, repeatable=True)
    triggers = changes_rows(engine, tables)
    return SqlLedger(engine, tables, binding, execution, opening.store_payload, triggers=triggers)


def open_for_reading(opening: Opening) -> SqlLedger:
    """Open the tables for a plan; it writes nothing, and they need not exist."""
    opening.check()
    engine = connect(opening.hook)
    shared = same_file(opening.hook, opening.source)

    def begin() -> SqlLedger:
        tables = open_store(engine, opening.table, shared_source=shared)
        absent, _ = look(engine, tables)
        if not opening.create_tables:
            ensure(engine, tables, create=False)
        look_at_tables(engine, tables)
        execution = Execution(tables, opening.run, draw_token(), engine.dialect)
        ledger = SqlLedger(engine, tables, opening.binding(), execution, opening.store_payload, exists=not absent)
        ledger.read(ledger.sync_no)
        return ledger

    return opening.patience.run(begin)


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
