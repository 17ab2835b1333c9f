"""``forget``: persons leave the outcome table, as with ``ForgetContactsOperator``."""

from __future__ import annotations

import argparse

from airflow_provider_contacts.cli.outcome_table import (
    ask,
    check_terminal,
    find_connections,
    logs_to_stderr,
    named_by,
    texts,
)
from airflow_provider_contacts.cli.output import write
from airflow_provider_contacts.cli.program import UsageError
from airflow_provider_contacts.errors import ContactsError
from airflow_provider_contacts.task.forget import FORGET_PARSERS, forgotten, unforgotten
from airflow_provider_contacts.task.parameters import parse_all


def forget(options: argparse.Namespace) -> int:
    """Ask, forget, and print how many of each kind there were; fail if a person was not found, or not forgotten."""
    check_terminal(options)
    keys = texts(options.keys)
    if not all(keys) or not keys:
        raise UsageError("no key is given: name some, or write one a line to standard input")
    find_connections()
    conn_id, table = named_by(options)
    parsed = parse_all(FORGET_PARSERS, {"outcomes_conn_id": conn_id, "outcomes_table": table})
    ask(
        options,
        f"Forget {len(keys)} persons in {table} of connection {conn_id!r}, under every sync_id? Their payloads and "
        "texts are deleted, and later pushes skip them.",
    )
    with logs_to_stderr():
        summary = forgotten(parsed, keys)
    told = {name: value for name, value in summary.items() if name not in {"places", "digests"}}
    write(options.output, [told], blocks=[""])
    if summary["places"]:
        raise ContactsError(unforgotten(summary))
    return 0
