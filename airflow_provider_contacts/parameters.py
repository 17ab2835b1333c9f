"""An operator's parameters, rendered: checked and parsed before any connection is opened."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_contacts.core.errors import ConfigError
from airflow_provider_contacts.core.options import PushOptions
from airflow_provider_contacts.core.summary import XcomOutcomes, parse_tolerance
from airflow_provider_contacts.sources import RowSource

StorePayload = Literal["undelivered", "all", "never"]

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


def check(plan: TaskPlan) -> Checked:
    """Check and parse what needs no connection.

    :raises ConfigError: naming the parameter and what is allowed.
    """
    plan.options.check()
    one_of("store_payload", plan.store_payload, ("undelivered", "all", "never"))
    one_of("xcom_outcomes", plan.xcom_outcomes, ("auto", "all", "undelivered", "none"))
    contacts_conn_id = parse_text(plan.contacts_conn_id, "contacts_conn_id")
    outcomes_table = parse_text(plan.outcomes_table, "outcomes_table")
    if contacts_conn_id is None or outcomes_table is None:
        raise ConfigError(f"{'outcomes_table' if contacts_conn_id else 'contacts_conn_id'} must not be empty")
    outcomes_conn_id = parse_text(plan.outcomes_conn_id, "outcomes_conn_id")
    return Checked(
        contacts_conn_id=contacts_conn_id,
        outcomes_conn_id=outcomes_conn_id,
        outcomes_table=outcomes_table,
        create_tables=parse_truth(plan.create_tables, "create_tables"),
        sync_id=parse_text(plan.sync_id, "sync_id"),
        max_rejected=parse_tolerance(plan.max_rejected, "max_rejected", fraction=True),
        max_unknown=parse_tolerance(plan.max_unknown, "max_unknown", fraction=False),
        store_payload=plan.store_payload,
        xcom_outcomes="none" if plan.xcom_outcomes == "auto" and outcomes_conn_id else plan.xcom_outcomes,
        plan_only=parse_truth(plan.plan_only, "plan_only"),
    )


def one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Refuse a word that is none of those allowed.

    :raises ConfigError: naming them.
    """
    if value not in allowed:
        raise ConfigError(f"{name} is one of {list(allowed)}")


def parse_text(value: Any, name: str) -> str | None:
    """Return a text, ``None`` for an empty one.

    :raises ConfigError: for anything else.
    """
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{name} is a text")
    return value.strip() or None if value else None


def parse_truth(value: Any, name: str) -> bool:
    """Return a truth value, also from a rendered text.

    :raises ConfigError: for anything but a truth value, ``"true"`` and ``"false"`` in any case.
    """
    found = TRUTH_WORDS.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise ConfigError(f"{name} is true or false")
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
