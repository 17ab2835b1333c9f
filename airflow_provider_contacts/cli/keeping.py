"""``prune``: what is old leaves the outcome table, as with ``PruneOutcomesOperator``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from airflow_provider_contacts.cli.outcome_table import (
    ask,
    check_terminal,
    find_connections,
    logs_to_stderr,
    named_by,
)
from airflow_provider_contacts.cli.output import write
from airflow_provider_contacts.cli.program import UsageError
from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.task.parameters import parse_all
from airflow_provider_contacts.task.prune import PRUNE_PARSERS, pruned, told


def prune(options: argparse.Namespace) -> int:
    """Count, ask, prune, and print how many of each kind there were."""
    if not options.dry_run:
        check_terminal(options)
    find_connections()
    conn_id, table = named_by(options)
    given = {"outcomes_conn_id": conn_id, "outcomes_table": table, "older_than": options.older_than}
    try:
        parsed = parse_all(PRUNE_PARSERS, {**given, "sync_ids": options.sync_id, "dry_run": options.dry_run})
    except ConfigError as error:
        raise UsageError(str(error)) from None
    with logs_to_stderr():
        if not (options.yes or options.dry_run):
            counted = told(pruned({**parsed, "dry_run": True}))
            ask(options, f"Of connection {conn_id!r}, {counted}.{warning(parsed['sync_ids'])} Remove it?")
        summary = pruned(parsed)
    write(options.output, [summary], blocks=[""])
    return 0


def warning(sync_ids: Sequence[str]) -> str:
    """Return what the removal of whole syncs means."""
    return f" The next push of {' or '.join(map(repr, sync_ids))} sends everybody again." if sync_ids else ""
