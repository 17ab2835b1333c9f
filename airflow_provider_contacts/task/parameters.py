"""An operator's parameters, rendered: checked and parsed before any connection is opened."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.table_names import names
from airflow_provider_contacts.nearest import not_this
from airflow_provider_contacts.sources import RowSource
from airflow_provider_contacts.task.options import PushOptions, is_count, one_of
from airflow_provider_contacts.task.summary import XcomOutcomes, parse_tolerance

StorePayload = Literal["undelivered", "all", "never"]

Reader = Callable[[Any, str], Any]
"""Returns the value of a parameter in its type, given what was stated and the parameter's name."""

MOST_LISTED = 1000
"""Keys of each kind that a plan lists at most: XCom keeps them in Airflow's database."""

TRUTH_WORDS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPlan:
    """An operator's parameters as they are when the task runs; see ``operators`` for their meaning.

    :param rows: opens the source.
    :param source_conn_id: the connection that is read, if it is one.
    """

    contacts_conn_id: Any
    destination: Any
    options: PushOptions
    outcomes_conn_id: Any
    outcomes_table: Any
    create_tables: Any
    sync_id: Any
    max_rejected: Any
    max_unknown: Any
    store_payload: Any
    xcom_outcomes: Any
    plan_only: Any
    plan_rows: Any = 0
    plan_identifiers: Any = "digest"
    rows: Callable[[], AbstractContextManager[RowSource]]
    source_conn_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The parameters in their types; empty texts, as templates leave them, mean absent.

    :param xcom_outcomes: ``auto`` only without an outcome table.
    """

    contacts_conn_id: str
    outcomes_conn_id: str | None
    outcomes_table: str
    create_tables: bool
    sync_id: str | None
    max_rejected: float
    max_unknown: float
    store_payload: StorePayload
    xcom_outcomes: XcomOutcomes
    plan_only: bool
    plan_rows: int = 0
    plan_identifiers: str = "digest"


def check(plan: TaskPlan) -> Checked:
    """Check and parse what needs no connection.

    :raises ConfigError: naming the parameter and what is allowed.
    """
    plan.options.check()
    found = {name: read(getattr(plan, name), name) for name, read in READERS.items()}
    del found["destination"]  # read with the vendor's own keys
    if found["xcom_outcomes"] == "auto" and found["outcomes_conn_id"]:
        found["xcom_outcomes"] = "none"
    return Checked(**found)


def option(value: Any, name: str) -> None:
    """Check one of the parameters in :class:`PushOptions`.

    :raises ConfigError: naming it and what is allowed.
    """
    PushOptions(**{name: value}).check()


def word(*allowed: str) -> Reader:
    """Return a reader of one of some words."""

    def read(value: Any, name: str) -> Any:
        one_of(name, value, allowed)
        return value

    return read


def tolerance(*, fraction: bool) -> Reader:
    """Return a reader of a tolerance."""
    return lambda value, name: parse_tolerance(value, name, fraction=fraction)


def parse_needed(value: Any, name: str) -> str:
    """Return a text.

    :raises ConfigError: for anything else, and where there is none.
    """
    text = parse_text(value, name)
    if text is None:
        raise ConfigError(f"{name} must not be empty{not_this(value)}")
    return text


def parse_table(value: Any, name: str) -> str:
    """Return the name of a table.

    :raises ConfigError: for what no table of ours can be called.
    """
    text = parse_needed(value, name)
    names(text)
    return text


def parse_sync_id(value: Any, name: str) -> str | None:
    """Return a text, ``None`` for an empty one.

    :raises ConfigError: for anything else, and for white space at an end: databases disagree about it.
    """
    text = parse_text(value, name)
    if text is not None and text != value:
        raise ConfigError(f"{name} must not begin or end with white space{not_this(value)}")
    return text


def parse_needed_sync_id(value: Any, name: str) -> str:
    """Return a text.

    :raises ConfigError: as :func:`parse_sync_id`, and where there is none.
    """
    return parse_sync_id(value, name) or parse_needed(value, name)


def parse_destination(value: Any, name: str) -> Any:
    """Return a destination, whose keys the vendor knows.

    :raises ConfigError: for anything but a mapping, the JSON text of one, or nothing.
    """
    found = value
    if isinstance(value, str):
        try:
            found = json.loads(value) if value.strip() else None
        except (ValueError, RecursionError):
            found = value
    if found is not None and not isinstance(found, Mapping):
        raise ConfigError(f"{name} is a mapping, or the JSON text of one{not_this(value)}")
    return found


def parse_chunk_size(value: Any, name: str) -> int:
    """Return a number of rows.

    :raises ConfigError: for anything but a whole number of at least 1.
    """
    if not is_count(value):
        raise ConfigError(f"{name} must be a whole number of at least 1{not_this(value)}")
    return int(value)


def parse_rows(value: Any, name: str) -> int:
    """Return a number of keys that are listed.

    :raises ConfigError: for anything but a whole number from 0 to :data:`MOST_LISTED`.
    """
    if value != 0 and not (is_count(value) and value <= MOST_LISTED):
        raise ConfigError(f"{name} is a whole number from 0 to {MOST_LISTED}{not_this(value)}")
    return int(value)


def parse_bind_values(value: Any, name: str) -> Any:
    """Return bind values.

    :raises ConfigError: for anything but a mapping, a list, or nothing.
    """
    if value is not None and (isinstance(value, str | bytes) or not isinstance(value, Mapping | Sequence)):
        raise ConfigError(f"{name} must be a mapping or a list of bind values, or None, not a {type(value).__name__}")
    return value


def parse_text(value: Any, name: str) -> str | None:
    """Return a text, ``None`` for an empty one.

    :raises ConfigError: for anything else.
    """
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{name} is a text{not_this(value)}")
    return value.strip() or None if value else None


def parse_truth(value: Any, name: str) -> bool:
    """Return a truth value, also from a rendered text.

    :raises ConfigError: for anything but a truth value, ``"true"`` and ``"false"`` in any case.
    """
    found = TRUTH_WORDS.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise ConfigError(f"{name} is true or false{not_this(value)}")
    return found


def parse_json(value: Any, name: str) -> Any:
    """Return a value, read from JSON where a template has made text of it.

    :raises ConfigError: for other text.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ConfigError(f"{name} is text that is no JSON; in a template, end it with | tojson") from None


READERS: Mapping[str, Reader] = {
    "contacts_conn_id": parse_needed,
    "destination": parse_destination,
    "outcomes_conn_id": parse_text,
    "outcomes_table": parse_table,
    "create_tables": parse_truth,
    "sync_id": parse_sync_id,
    "max_rejected": tolerance(fraction=True),
    "max_unknown": tolerance(fraction=False),
    "store_payload": word("undelivered", "all", "never"),
    "xcom_outcomes": word("auto", "all", "undelivered", "none"),
    "plan_only": parse_truth,
    "plan_rows": parse_rows,
    "plan_identifiers": word("digest", "clear"),
}
"""What reads each parameter of a push that is not in :class:`PushOptions`."""

PUSH_READERS: Mapping[str, Reader] = {**dict.fromkeys(PushOptions.__dataclass_fields__, option), **READERS}

SQL_READERS: Mapping[str, Reader] = {
    "sql": parse_needed,
    "sql_conn_id": parse_needed,
    "parameters": parse_bind_values,
    "chunk_size": parse_chunk_size,
}
"""What reads each parameter of a query."""
