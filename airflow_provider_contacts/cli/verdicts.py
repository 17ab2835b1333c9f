"""``settle``: a person's verdict on records in doubt, as ``SettleContactsOperator`` writes it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

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
from airflow_provider_contacts.task.parameters import parse_all
from airflow_provider_contacts.task.settle import SETTLE_PARSERS, settled, unsettled

MEANING = {
    "succeeded": "they exist, and are never sent again",
    "failed": "they do not exist, and are sent again by the next run or a replay",
}


def settle(options: argparse.Namespace) -> int:
    """Ask, settle, and print how many of each kind there were; fail if a named record could not be settled."""
    if bool(options.found) == bool(options.missing):
        raise UsageError("give either --found KEY=ID or --missing KEY, each with one or more, or with -")
    check_terminal(options)
    records: Any = pairs(texts(options.found)) if options.found else texts(options.missing)
    find_connections()
    conn_id, table = named_by(options)
    given = {"outcomes_conn_id": conn_id, "outcomes_table": table, "create_tables": False}
    given |= {name: getattr(options, name) for name in ("sync_id", "settled_by", "store_payload")}
    parsed = parse_all(SETTLE_PARSERS, {**given, "verdict": "succeeded" if options.found else "failed"})
    ask(
        options,
        f"Settle {len(records)} records of {parsed['sync_id']!r} as {parsed['verdict']} "
        f"({MEANING[parsed['verdict']]}), by {parsed['settled_by']!r}, in {table} of connection {conn_id!r}?",
    )
    with logs_to_stderr():
        summary = settled(parsed, records)
    told = {name: value for name, value in summary.items() if name not in {"places", "digests"}}
    write(options.output, [told], blocks=[""])
    if summary["places"]:
        raise ContactsError(unsettled(summary))
    return 0


def pairs(given: Sequence[str]) -> dict[str, str]:
    """Return the vendor's id of each key; the first ``=`` is between them."""
    found: dict[str, str] = {}
    for place, text in enumerate(given, 1):
        key, sign, found_id = text.partition("=")
        if not sign or key in found:
            raise UsageError(f"--found: {'names one record twice' if sign else 'KEY=ID is wanted'} at place {place}")
        found[key] = found_id
    return found
