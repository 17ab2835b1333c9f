"""``settle``: a person's verdict on records in doubt, as ``SettleContactsOperator`` writes it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from airflow_provider_contacts.cli.outcome_table import ask, check_terminal, logs_to_stderr, parsed_as, tell, texts
from airflow_provider_contacts.cli.program import UsageError
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
    given = {name: getattr(options, name) for name in ("sync_id", "settled_by", "store_payload")}
    verdict = "succeeded" if options.found else "failed"
    parsed = parsed_as(SETTLE_PARSERS, options, **given, create_tables=False, verdict=verdict)
    ask(
        options,
        f"Settle {len(records)} records of {parsed['sync_id']!r} as {parsed['verdict']} "
        f"({MEANING[parsed['verdict']]}), by {parsed['settled_by']!r}, in {parsed['outcomes_table']} of connection "
        f"{parsed['outcomes_conn_id']!r}?",
    )
    with logs_to_stderr():
        summary = settled(parsed, records)
    return tell(options, summary, unsettled)


def pairs(given: Sequence[str]) -> dict[str, str]:
    """Return the vendor's id of each key; the first ``=`` is between them."""
    found: dict[str, str] = {}
    for place, text in enumerate(given, 1):
        key, sign, found_id = text.partition("=")
        if not sign or key in found:
            raise UsageError(f"--found: {'names one record twice' if sign else 'KEY=ID is wanted'} at place {place}")
        found[key] = found_id
    return found
