"""One pruning task: what is old leaves the outcome table, and a report counts it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.nearest import not_this
from airflow_provider_contacts.task.parameters import (
    TABLE_PARSERS,
    Parser,
    parse_json,
    parse_needed_sync_id,
    parse_truth,
)

if TYPE_CHECKING:
    from airflow_provider_contacts.task.base_operator import LiteralsCheckedOperator

log = logging.getLogger(__name__)

LEAST, MOST = timedelta(hours=1), timedelta(days=36_500)
UNITS = {"h": "hours", "d": "days", "w": "weeks"}
AGE = re.compile("([0-9]{1,6})([hdw])")


def run_prune(operator: LiteralsCheckedOperator) -> dict[str, Any]:
    """Prune, and return the summary."""
    summary = pruned(operator.parsed())
    log.info("%s", told(summary))
    return summary


def told(summary: Mapping[str, Any]) -> str:
    """Return the summary as one line."""
    counts = ", ".join(f"{count} {name.removeprefix('num_')}" for name, count in summary.items() if "num_" in name)
    what = "would be removed" if summary["dry_run"] else "are removed"
    return f"{counts} older than {summary['older_than']} {what} in {summary['outcomes_table']}"


def pruned(parsed: Mapping[str, Any]) -> dict[str, Any]:
    """Remove what is old, or count it; return the summary: built-in types alone."""
    from airflow_provider_contacts.ledgers.sql.pruning import Pruner
    from airflow_provider_contacts.ledgers.sql.rights import need_rights
    from airflow_provider_contacts.ledgers.sql.schema import open_existing
    from airflow_provider_contacts.task.connections import sql_hook

    hook = sql_hook(parsed["outcomes_conn_id"], "outcomes_conn_id")
    with open_existing(hook, parsed["outcomes_table"]) as (engine, tables):
        pruner = Pruner(engine, tables, parsed["older_than"].total_seconds())
        if parsed["dry_run"]:
            counts = pruner.count(parsed["sync_ids"])
        else:
            need_rights(engine, tables)
            counts = pruner.prune(parsed["sync_ids"])
    words = {"outcomes_table": parsed["outcomes_table"], "older_than": as_text(parsed["older_than"])}
    return {**words, "dry_run": parsed["dry_run"], **counts}


def as_text(age: timedelta) -> str:
    """Return an age as the parameter takes it, if that is a number of hours or days."""
    hours, rest = divmod(age, timedelta(hours=1))
    return str(age) if rest else f"{hours // 24}d" if hours % 24 == 0 else f"{hours}h"


def parse_age(value: Any, name: str) -> timedelta:
    """Return an age, also from a text such as ``90d``."""
    found = value
    if isinstance(value, str) and (text := AGE.fullmatch(value.strip())):
        found = timedelta(**{UNITS[text[2]]: int(text[1])})
    if not isinstance(found, timedelta) or not LEAST <= found <= MOST:
        shown = not_this(str(value) if isinstance(value, timedelta) else value)
        raise ConfigError(f"{name} is a timedelta, or a text such as 90d, 12h or 8w, of an hour at least{shown}")
    return found


def parse_sync_ids(value: Any, name: str) -> list[str]:
    """Return some ``sync_id``, each once; none for ``None`` and for an empty text."""
    found = parse_json(value, name) if not isinstance(value, str) or value.strip() else None
    if not isinstance(found, list | tuple | None):
        raise ConfigError(f"{name} is a list of sync ids, or the JSON text of one{not_this(value)}")
    return list(dict.fromkeys(parse_needed_sync_id(one, name) for one in found or ()))


PRUNE_PARSERS: Mapping[str, Parser] = {
    **TABLE_PARSERS,
    "older_than": parse_age,
    "sync_ids": parse_sync_ids,
    "dry_run": parse_truth,
}
