"""What a replay is told: which rows are sent again, checked and parsed before any connection is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.nearest import not_this
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.stored_payloads import Selection
from airflow_provider_contacts.task.options import one_of
from airflow_provider_contacts.task.parameters import (
    PUSH_READERS,
    SQL_READERS,
    Reader,
    TaskPlan,
    parse_json,
    parse_needed,
    parse_needed_sync_id,
    parse_text,
)

SENT_AGAIN = ("failed", "rejected", "invalid", "unknown")

NEVER_SENT_AGAIN = {
    "succeeded": "what was delivered is never sent again",
    "sending": "what was left sending counts as unknown: name unknown",
    "skipped": "skipped records have no row: they were delivered earlier",
    "duplicate": "duplicates have no row: the first record of their key has it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPlan(TaskPlan):
    """The parameters of a replay.

    :param from_table: payloads come from the outcome table, not from ``rows``.
    """

    statuses: Any
    error_codes: Any
    since: Any
    max_attempts: Any
    from_table: bool


def replay_plan(task: TaskPlan, *, sql: Any, filters: Mapping[str, Any]) -> ReplayPlan:
    """Return an operator's parameters as those of a replay.

    :param sql: empty: the payloads come from the outcome table.
    """
    shared = {one.name: getattr(task, one.name) for one in fields(TaskPlan)}
    return ReplayPlan(**shared, **filters, from_table=parse_text(sql, "sql") is None)


def check_replay(plan: ReplayPlan) -> Selection:
    """Check what only a replay takes, and return what it selects.

    :raises ConfigError: naming the parameter and what is allowed.
    """
    parse_needed(plan.outcomes_conn_id, "outcomes_conn_id")
    parse_needed_sync_id(plan.sync_id, "sync_id")
    check_together(plan)
    return Selection(
        statuses=frozenset(map(Status, parse_statuses(plan.statuses, "statuses"))),
        error_codes=parse_words(plan.error_codes, "error_codes"),
        since=parse_moment(plan.since, "since"),
        max_attempts=parse_count(plan.max_attempts, "max_attempts"),
    )


def check_together(plan: ReplayPlan) -> None:
    """Check parameters that must fit each other.

    :raises ConfigError: naming them and what to do.
    """
    options = plan.options
    if "unknown" in parse_statuses(plan.statuses, "statuses") and options.on_unknown == "hold":
        raise ConfigError(
            'statuses holds "unknown", records that may exist already: set on_unknown="reconcile" to read the vendor '
            'back first, or on_unknown="resend" to send them all the same, which may create them twice'
        )
    if plan.from_table == bool(plan.source_conn_id):
        raise ConfigError("sql and sql_conn_id belong together: give both, or neither to read the outcome table")
    if plan.from_table and (options.sync_key is not None or options.field_map or options.unmapped != "error"):
        raise ConfigError("sync_key, field_map and unmapped are about the columns of sql; a stored payload has none")
    if plan.from_table and plan.store_payload == "never":
        raise ConfigError('store_payload="never" would clear what this replay reads; give the payloads by sql')


def parse_statuses(value: Any, name: str) -> tuple[str, ...]:
    """Return the statuses whose records are sent again.

    :raises ConfigError: for anything else, and for none.
    """
    words = parse_words(value, name) or ()
    for word in words:
        if word in NEVER_SENT_AGAIN:
            raise ConfigError(f"{name} must not hold {word!r}: {NEVER_SENT_AGAIN[word]}")
        one_of(f"each of {name}", word, SENT_AGAIN)
    if not words:
        raise ConfigError(f"{name} names some of {list(SENT_AGAIN)}{not_this(value)}")
    return words


def parse_words(value: Any, name: str) -> tuple[str, ...] | None:
    """Return a list of words, also from one word and from a rendered JSON list; nothing is ``None``.

    :raises ConfigError: for anything else.
    """
    found = value
    if isinstance(value, str):
        text = value.strip()
        found = parse_json(text, name) if text.startswith("[") else [text] if text else None
    if found is None:
        return None
    if not isinstance(found, list | tuple | set | frozenset) or not all(isinstance(one, str) and one for one in found):
        raise ConfigError(f"{name} is a list of words{not_this(value)}")
    return tuple(found)


def parse_moment(value: Any, name: str) -> datetime | None:
    """Return a moment, also from ISO text.

    :raises ConfigError: for anything else, and for one that does not say of which time zone it is.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        found: Any = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, datetime) or found.utcoffset() is None:
        raise ConfigError(f"{name} is a moment with its UTC offset, such as 2026-01-31T06:00:00+00:00{not_this(value)}")
    return found


def parse_count(value: Any, name: str) -> int | None:
    """Return a count of at least 1, also from a rendered text; nothing is ``None``.

    :raises ConfigError: for anything else.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    digits = isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 10  # noqa: PLR2004
    found = int(value) if digits else value
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise ConfigError(f"{name} is a whole number of at least 1, or None{not_this(value)}")
    return found


REPLAY_READERS: Mapping[str, Reader] = {
    **PUSH_READERS,
    **SQL_READERS,
    "outcomes_conn_id": parse_needed,
    "sync_id": parse_needed_sync_id,
    "sql": parse_text,
    "sql_conn_id": parse_text,
    "statuses": parse_statuses,
    "error_codes": parse_words,
    "since": parse_moment,
    "max_attempts": parse_count,
}
"""What reads each parameter of a replay."""
