"""From the arguments of a command to the outcome table's connection."""

from __future__ import annotations

import argparse
import os
from typing import Any

from airflow_provider_contacts.cli.program import UsageError


def find_connections() -> None:
    """Have this process find connections where an API server does: environment, secrets backend, metadata database.

    Airflow's own commands that open a connection do the same; else the metadata database would be left out.
    """
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"


def named_by(options: argparse.Namespace) -> tuple[str, str]:
    """Return the connection id and the name of the outcome table."""
    from airflow.configuration import conf

    conn_id = options.outcomes_conn_id or conf.get("contacts", "outcomes_conn_id", fallback="")
    if not conn_id:
        raise UsageError(
            "no outcome table is named: give --outcomes-conn-id, or set outcomes_conn_id in section [contacts] of "
            "Airflow's configuration (AIRFLOW__CONTACTS__OUTCOMES_CONN_ID)"
        )
    return conn_id, options.outcomes_table or conf.get("contacts", "outcomes_table", fallback="contact_outcomes")


def hook_of(options: argparse.Namespace) -> tuple[Any, str]:
    """Return the hook of the outcome table's connection, and the table's name."""
    from airflow_provider_contacts.task.connections import sql_hook

    find_connections()
    conn_id, table = named_by(options)
    return sql_hook(conn_id, "outcomes_conn_id"), table
