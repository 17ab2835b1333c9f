"""One settling task: a person's verdict into the outcome table, and a report of what could not be written."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_contacts.errors import ConfigError, InvalidRecordError
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.keys import key_text
from airflow_provider_contacts.records.vendor_ids import key_of
from airflow_provider_contacts.task.named_records import counts_of, reasons_of
from airflow_provider_contacts.task.parameters import (
    STORE_PAYLOAD,
    TABLE_PARSERS,
    Parser,
    parse_json,
    parse_needed,
    parse_needed_sync_id,
    parse_one_of,
    parse_truth,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_contacts.task.hidden_fields import HidingOperator

log = logging.getLogger(__name__)

LONGEST_NAME = 255
NOTHING = frozenset({"null", "none", "nan", "nil", "undefined"})
"""Words of templates and other tools for a missing id."""

WHY = {
    "not_in_doubt": "not in doubt (any more)",
    "still_sending": "sending, and may still be under way: wait until the row is an hour old",
    "id_taken": "given an id that another delivered record of this destination has",
    "absent": "not in the table under this sync_id",
    "ambiguous": "a digest that several records have: name it by its identifier",
}


def run_settle(operator: HidingOperator, context: Context) -> dict[str, Any]:
    """Settle, and return the summary; fail for good if a named record could not be settled.

    The others are settled all the same, and the summary is in XCom also when the task fails.
    """
    from airflow_provider_contacts.task.execution import push_summary

    summary = settled(operator.parsed(), operator.given("records"))
    log.info("Settled %s of %s records as %s", summary["num_settled"], summary["num_named"], summary["verdict"])
    if not summary["places"]:
        return summary
    push_summary(context["ti"], summary)
    raise AirflowFailException(unsettled(summary))


def unsettled(summary: Mapping[str, Any]) -> str:
    """Return the error about records that could not be settled, by their places in what was given, and digests."""
    return (
        f"of {summary['num_named']} named records {summary['num_settled']} were settled under {summary['sync_id']} in "
        f"{summary['outcomes_table']}; the others are not changed: {reasons_of(summary, WHY)}"
    )


def settled(parsed: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """Write the verdict; return the summary: built-in types alone, and records only by place and digest."""
    from airflow_provider_contacts.ledgers.sql.schema import ensure, open_existing
    from airflow_provider_contacts.ledgers.sql.settlement import Finding, Verdict, settle
    from airflow_provider_contacts.ledgers.sql.transactions import Patience
    from airflow_provider_contacts.task.connections import sql_hook

    status, table = Status(parsed["verdict"]), parsed["outcomes_table"]
    records = parse_records(given, status)
    found: Mapping[str, Finding] = {}
    digests: Mapping[str, str] = {}
    if records:
        words = {name: parsed[name] for name in ("sync_id", "settled_by", "store_payload")}
        hook = sql_hook(parsed["outcomes_conn_id"], "outcomes_conn_id")
        with open_existing(hook, parsed["outcomes_table"]) as (engine, tables):
            Patience().run(lambda: ensure(engine, tables, create=parsed["create_tables"]))
            ids = {name: record_id for name, (_, record_id) in records.items()}
            found, digests = settle(engine, tables, Verdict(status=status, records=ids, **words))
    places = {name: place for name, (place, _) in records.items()}
    return {
        "sync_id": parsed["sync_id"],
        "verdict": status.value,
        "settled_by": parsed["settled_by"],
        "settled_at": datetime.now(UTC).isoformat(),
        "outcomes_table": table,
        **counts_of(places, found, digests, ("settled", "already_settled"), WHY),
    }


def parse_records(value: Any, verdict: Status) -> dict[str, tuple[int, str | None]]:
    """Return the place, from 1, and the vendor's id of each named record; empty if nothing is given.

    :raises ConfigError: naming what is wrong by its place, from 1.
    """
    given = parse_json(value, "records") if not isinstance(value, str) or value.strip() else None
    if given is None or (isinstance(given, Mapping | list | tuple) and not given):
        return {}
    if verdict is Status.FAILED:
        if not isinstance(given, list | tuple):
            raise ConfigError("records is a list of record identifiers for the verdict failed")
        names = [parse_identifier(one, place) for place, one in enumerate(given, 1)]
        # Of a record that is named twice, the first place.
        return {name: (place, None) for place, name in reversed(list(enumerate(names, 1)))}
    if not isinstance(given, Mapping):
        raise ConfigError("records is a mapping {record_identifier: the vendor's id} for the verdict succeeded")
    ids = [parse_id(one, place) for place, one in enumerate(given.values(), 1)]
    check_distinct(map(key_of, ids), "gives one of the vendor's ids twice: two records must not claim one contact")
    names = [parse_identifier(one, place) for place, one in enumerate(given, 1)]
    check_distinct(names, "names one record twice")
    return {name: (place, one) for place, (name, one) in enumerate(zip(names, ids, strict=True), 1)}


def check_distinct(texts: Iterable[str], what: str) -> None:
    """Refuse two texts that are the same."""
    places: dict[str, int] = {}
    for place, text in enumerate(texts, 1):
        if (first := places.setdefault(text, place)) != place:
            raise ConfigError(f"records {what} (at places {first} and {place})")


def parse_identifier(value: Any, place: int) -> str:
    """Return an identifier as the table holds it."""
    try:
        text = key_text(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    except InvalidRecordError:
        text = ""
    if not 0 < len(text) <= LONGEST_NAME:
        raise ConfigError(
            f"records holds texts or whole numbers, each of 1 to {LONGEST_NAME} characters; at place {place} is none"
        )
    return text


def parse_id(value: Any, place: int) -> str:
    """Return a vendor's id as the table holds it; unlike an identifier, it is never shortened."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    printable = text.isprintable() and text == text.strip() and any(map(str.isalnum, text))
    if not 0 < len(text) <= LONGEST_NAME or not printable or text.casefold() in NOTHING:
        raise ConfigError(
            f"records: the vendor's id at place {place} is none: a text or whole number of 1 to {LONGEST_NAME} "
            "characters, with letters or digits, no control characters, no white space at its ends, not null or None"
        )
    return text


def parse_verdict(value: Any, name: str) -> str:
    """Return ``succeeded`` or ``failed``."""
    return str(parse_one_of("succeeded", "failed")(parse_needed(value, name), name))


def parse_person(value: Any, name: str) -> str:
    """Return who settles, as the column can hold it."""
    text = parse_needed(value, name)
    if len(text) > LONGEST_NAME or "\x00" in text:
        raise ConfigError(f"{name} is a text of at most {LONGEST_NAME} characters")
    return text


SETTLE_PARSERS: Mapping[str, Parser] = {
    **TABLE_PARSERS,
    "sync_id": parse_needed_sync_id,
    "verdict": parse_verdict,
    "settled_by": parse_person,
    "create_tables": parse_truth,
    "store_payload": STORE_PAYLOAD,
}
"""Of all parameters but the records, whose form depends on the verdict."""
