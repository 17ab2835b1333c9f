"""One forgetting task: named persons leave the outcome table, and a report of whom it could not forget."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_contacts.errors import ConfigError, InvalidRecordError, StillSendingError
from airflow_provider_contacts.records.forgotten import FORGOTTEN
from airflow_provider_contacts.records.keys import identifier_of
from airflow_provider_contacts.sources.plain_values import plain_value
from airflow_provider_contacts.task.named_records import counts_of, reasons_of
from airflow_provider_contacts.task.parameters import parse_json

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_contacts.ledgers.sql.forgetting import ForgetResult
    from airflow_provider_contacts.task.hidden_fields import HidingOperator

log = logging.getLogger(__name__)

DONE = ("forgotten", "already_forgotten")
WHY = {
    "absent": "in no row of the table (is the key spelled as the source gives it? A digest from before finds no "
    "forgotten person)",
    "still_sending": "sending, or their request may still be under way: forget them again later, after an hour at most",
    "ambiguous": "a digest that several records have: name them by their identifiers",
}


def run_forget(operator: HidingOperator, context: Context) -> dict[str, Any]:
    """Forget, and return the summary; fail if a named person is in the table still.

    The others are forgotten all the same, and the summary is in XCom also when the task fails.
    """
    from airflow_provider_contacts.task.execution import push_summary

    summary = forgotten(operator.parsed(), operator.given("keys"))
    log.info("Of %s named persons %s are forgotten", summary["num_named"], num_done(summary))
    if summary["num_still_sending"] or summary["num_ambiguous"]:
        push_summary(context["ti"], summary)
        # What is sent ends; what a digest means does not change.
        kind = StillSendingError if summary["num_still_sending"] else AirflowFailException
        raise kind(unforgotten(summary))
    if summary["places"]:
        log.warning("%s", unforgotten(summary))
    return summary


def num_done(summary: Mapping[str, Any]) -> int:
    """Return how many of the named persons are forgotten, by this or an earlier task."""
    return sum(summary[f"num_{kind}"] for kind in DONE)


def unforgotten(summary: Mapping[str, Any]) -> str:
    """Return the message about persons that were not forgotten."""
    return (
        f"of {summary['num_named']} named persons {num_done(summary)} are forgotten in {summary['outcomes_table']}; "
        f"the others: {reasons_of(summary, WHY)}"
    )


def forgotten(parsed: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """Forget persons; return the summary."""
    from airflow_provider_contacts.ledgers.sql.forgetting import forget
    from airflow_provider_contacts.ledgers.sql.schema import open_existing
    from airflow_provider_contacts.task.connections import sql_hook

    places = parse_keys(given)
    found: Mapping[str, ForgetResult] = {}
    digests: Mapping[str, str] = {}
    if places:
        hook = sql_hook(parsed["outcomes_conn_id"], "outcomes_conn_id")
        with open_existing(hook, parsed["outcomes_table"]) as (engine, tables):
            found, digests = forget(engine, tables, places)
    return {"outcomes_table": parsed["outcomes_table"], **counts_of(places, found, digests, DONE, WHY)}


def parse_keys(value: Any) -> dict[str, int]:
    """Return each identifier with the place, from 1, at which it is named first; empty if nothing is given.

    :raises ConfigError: naming what is wrong by its place.
    """
    given = parse_json(value, "keys") if not isinstance(value, str) or value.strip() else None
    if given is None:
        return {}
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Sequence):
        raise ConfigError("keys is a list of sync keys: of each person the value, or a list of the values, of sync_key")
    names = [parse_key(one, place) for place, one in enumerate(given, 1)]
    return {name: place for place, name in reversed(list(enumerate(names, 1)))}


def parse_key(value: Any, place: int) -> str:
    """Return the identifier that a push makes of a key, or of a list of its parts; a forgotten person's name stays."""
    plain = plain_value(value)
    if isinstance(plain, str) and FORGOTTEN.fullmatch(plain):
        return plain
    parts = plain if plain and isinstance(plain, list) else [plain]
    columns = [str(number) for number in range(len(parts))]
    try:
        return identifier_of(dict(zip(columns, parts, strict=True)), columns)
    except InvalidRecordError as error:
        raise ConfigError(f"keys: what stands at place {place} is no sync key: {error.errors[0][2]}") from None
