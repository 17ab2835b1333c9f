"""The parameters of a replay: which rows are sent again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.nearest import not_this
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.stored_payloads import Selection
from airflow_provider_contacts.task.parameters import (
    COUNT,
    PUSH_PARSERS,
    SQL_PARSERS,
    Parser,
    is_count,
    parse_json,
    parse_needed,
    parse_needed_sync_id,
    parse_one_of,
    parse_text,
)

SENT_AGAIN = ("failed", "rejected", "invalid", "unknown")


def selection_of(parsed: Mapping[str, Any]) -> Selection:
    """Return what a replay selects; parameters that contradict each other are a ``ConfigError``."""
    check_together(parsed)
    return Selection(
        statuses=frozenset(map(Status, parsed["statuses"])),
        error_codes=parsed["error_codes"],
        since=parsed["since"],
        max_attempts=parsed["max_attempts"],
    )


def check_together(parsed: Mapping[str, Any]) -> None:
    """Raise a ``ConfigError`` for parameters that contradict each other."""
    from_table = parsed["sql"] is None
    if "unknown" in parsed["statuses"] and parsed["on_unknown"] == "hold":
        raise ConfigError(
            'statuses holds "unknown", records that may exist already: set on_unknown="reconcile" to read the vendor '
            'back first, or on_unknown="resend" to send them all the same, which may create them twice'
        )
    if from_table == bool(parsed["sql_conn_id"]):
        raise ConfigError("sql and sql_conn_id belong together: give both, or neither to read the outcome table")
    if from_table and (parsed["sync_key"] or parsed["field_map"] or parsed["unmapped"] != "error"):
        raise ConfigError("sync_key, field_map and unmapped are about the columns of sql; a stored payload has none")
    if from_table and parsed["store_payload"] == "never":
        raise ConfigError('store_payload="never" would clear what this replay reads; give the payloads by sql')


def parse_statuses(value: Any, name: str) -> tuple[str, ...]:
    """Return the statuses whose records are sent again, at least one."""
    words = parse_words(value, name) or ()
    for word in words:
        parse_one_of(*SENT_AGAIN)(word, f"each of {name}")
    if not words:
        raise ConfigError(f"{name} names some of {list(SENT_AGAIN)}{not_this(value)}")
    return words


def parse_words(value: Any, name: str) -> tuple[str, ...] | None:
    """Return a list of words, also from one word and from a rendered JSON list or null; nothing is ``None``."""
    found = value
    if isinstance(value, str):
        text = value.strip()
        found = parse_json(text, name) if text.startswith("[") or text == "null" else [text] if text else None
    if found is None:
        return None
    if not isinstance(found, list | tuple | set | frozenset) or not all(isinstance(one, str) and one for one in found):
        raise ConfigError(f"{name} is a list of words{not_this(value)}")
    return tuple(found)


def parse_moment(value: Any, name: str) -> datetime | None:
    """Return an aware datetime, also from ISO text; nothing is ``None``."""
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
    """Return a count of at least 1, also from a rendered text; nothing is ``None``."""
    found: Any = (value.strip() or None) if isinstance(value, str) else value
    if isinstance(found, str) and found.isdecimal():
        found = int(found)
    if found is not None and not is_count(found):
        raise ConfigError(f"{name} is {COUNT}, or None{not_this(value)}")
    return None if found is None else int(found)


REPLAY_PARSERS: Mapping[str, Parser] = {
    **PUSH_PARSERS,
    **SQL_PARSERS,
    "outcomes_conn_id": parse_needed,
    "sync_id": parse_needed_sync_id,
    "sql": parse_text,
    "sql_conn_id": parse_text,
    "statuses": parse_statuses,
    "error_codes": parse_words,
    "since": parse_moment,
    "max_attempts": parse_count,
}
