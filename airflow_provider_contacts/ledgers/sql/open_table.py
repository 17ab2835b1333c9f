"""From an operator's parameters to an open ledger."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.ledgers.run_identity import Binding, RunIdentity
from airflow_provider_contacts.ledgers.sql.batch_numbers import draw_token
from airflow_provider_contacts.ledgers.sql.database import connect, kept_open
from airflow_provider_contacts.ledgers.sql.db_errors import DataRefusedError
from airflow_provider_contacts.ledgers.sql.executions import Execution, sync_of
from airflow_provider_contacts.ledgers.sql.rows import Policy
from airflow_provider_contacts.ledgers.sql.schema import ensure, look, look_at_view
from airflow_provider_contacts.ledgers.sql.storage_checks import changes_rows, open_store
from airflow_provider_contacts.ledgers.sql.table_ledger import SqlLedger
from airflow_provider_contacts.ledgers.sql.transactions import Patience, reading, transact

if TYPE_CHECKING:
    from sqlalchemy import Engine

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What an operator says of its outcome table.

    :param hook: DB-API hook of ``outcomes_conn_id``.
    :param source: DB-API hook that is read meanwhile, if any.
    """

    hook: Any = field(repr=False)
    source: Any = field(default=None, repr=False)
    table: str = "contact_outcomes"
    create_tables: bool = True
    store_payload: Policy = "undelivered"
    run: RunIdentity
    binding: Binding
    patience: Patience = field(default_factory=Patience, repr=False)


def open_ledger(opening: Opening, engine: Engine | None = None, *, plan_only: bool = False) -> SqlLedger:
    """Open the outcome table for an execution, which is the newest of its run from now on.

    :param engine: if it is connected already; closed with the ledger.
    :param plan_only: nothing is written, and the tables need not exist.
    :raises ConfigError: for a database, table or destination that cannot be used, or that forgets what it keeps.
    """
    opening.binding.check()
    with kept_open(engine or connect(opening.hook)) as found:
        ledger = opening.patience.run(lambda: opened(found, opening, plan_only=plan_only))
    for warning in ledger.warnings:
        log.warning("%s", warning)
    return ledger


def opened(engine: Engine, opening: Opening, *, plan_only: bool) -> SqlLedger:
    """Look at the tables, and whose the ``sync_id`` is; unless it is a plan, register the execution."""
    tables = open_store(engine, opening.table, opening.source)
    if plan_only and opening.create_tables:
        absent, warnings = look(engine, tables)
        warnings += look_at_view(engine, tables) or ()
    else:
        absent, warnings = [], ensure(engine, tables, create=opening.create_tables)
    sync = None if absent else reading(engine, lambda connection: sync_of(connection, tables, opening.binding))
    execution = Execution(tables, opening.run, opening.binding, draw_token(), engine.dialect, sync=sync)
    triggers = False
    if not plan_only:
        register(engine, execution)
        triggers = changes_rows(engine, tables)
    ledger = SqlLedger(engine, tables, execution, opening.store_payload, exists=not absent, triggers=triggers)
    ledger.warnings = warnings
    return ledger


def register(engine: Engine, execution: Execution) -> None:
    """Make an execution the newest of its run."""
    try:
        execution.run_no = transact(engine, execution.register, repeatable=True)
    except DataRefusedError:
        # Another execution of this very try has just inserted the row.
        execution.run_no = transact(engine, execution.register, repeatable=True)
