"""``prune`` and ``forget``: what is old, and persons, leave the outcome table, as with the operators."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from airflow_provider_contacts.cli.outcome_table import ask, check_terminal, logs_to_stderr, parsed_as, tell, texts
from airflow_provider_contacts.cli.output import write
from airflow_provider_contacts.cli.program import UsageError
from airflow_provider_contacts.task.forget import forgotten, unforgotten
from airflow_provider_contacts.task.parameters import TABLE_PARSERS
from airflow_provider_contacts.task.prune import PRUNE_PARSERS, pruned, told


def prune(options: argparse.Namespace) -> int:
    """Count, ask, prune, and print how many of each kind there were."""
    given = {"older_than": options.older_than, "sync_ids": options.sync_id, "dry_run": options.dry_run}
    parsed = parsed_as(PRUNE_PARSERS, options, **given)
    if not options.dry_run:
        check_terminal(options)
    with logs_to_stderr():
        if not (options.yes or options.dry_run):
            counted = told(pruned({**parsed, "dry_run": True}))
            conn_id = parsed["outcomes_conn_id"]
            ask(options, f"Of connection {conn_id!r}, {counted}.{warning(parsed['sync_ids'])} Remove it?")
        summary = pruned(parsed)
    write(options.output, [summary], blocks=[""])
    return 0


def warning(sync_ids: Sequence[str]) -> str:
    """Return what the removal of whole syncs means."""
    return f" The next push of {' or '.join(map(repr, sync_ids))} sends everybody again." if sync_ids else ""


def forget(options: argparse.Namespace) -> int:
    """Ask, forget, and print how many of each kind there were; fail if a person was not found, or not forgotten."""
    check_terminal(options)
    keys = texts(options.keys)
    if not all(keys) or not keys:
        raise UsageError("no key is given: name some, or write one a line to standard input")
    parsed = parsed_as(TABLE_PARSERS, options)
    ask(
        options,
        f"Forget {len(keys)} persons in {parsed['outcomes_table']} of connection {parsed['outcomes_conn_id']!r}, under "
        "every sync_id? Their payloads and texts are deleted, and later pushes skip them.",
    )
    with logs_to_stderr():
        summary = forgotten(parsed, keys)
    return tell(options, summary, unforgotten)
