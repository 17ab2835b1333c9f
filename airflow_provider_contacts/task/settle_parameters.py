"""What a settling task is told: a person's verdict on named records, checked before any connection is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_contacts.errors import ConfigError, InvalidRecordError
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.keys import key_text
from airflow_provider_contacts.records.vendor_ids import key_of
from airflow_provider_contacts.task.options import one_of
from airflow_provider_contacts.task.parameters import (
    Reader,
    StorePayload,
    parse_json,
    parse_needed_sync_id,
    parse_table,
    parse_text,
    parse_truth,
    word,
)

LONGEST = 512
LONGEST_NAME = 255

NOTHING = frozenset({"null", "none", "nan", "nil", "undefined"})
"""What templates and other tools write where an id is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlePlan:
    """The parameters of a settling task as they are when it runs; see ``operators`` for their meaning."""

    outcomes_conn_id: Any
    outcomes_table: Any
    create_tables: Any
    sync_id: Any
    records: Any = field(repr=False)
    verdict: Any
    settled_by: Any
    store_payload: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSettle:
    """The parameters in their types.

    :param records: identifier, or its digest, to the vendor's id, which is ``None`` for the verdict ``failed``.
    :param places: the place of each in what was given, from 1.
    """

    outcomes_conn_id: str
    outcomes_table: str
    create_tables: bool
    sync_id: str
    records: Mapping[str, str | None] = field(repr=False)
    places: Mapping[str, int] = field(repr=False)
    verdict: Status
    settled_by: str
    store_payload: StorePayload


def check_settle(plan: SettlePlan) -> CheckedSettle:
    """Check and parse what needs no connection.

    :raises ConfigError: naming the parameter and what is allowed, and no record.
    """
    texts = {name: read(getattr(plan, name), name) for name, read in SETTLE_READERS.items()}
    verdict = Status(texts["verdict"])
    records, places = parse_records(plan.records, verdict)
    return CheckedSettle(
        outcomes_conn_id=texts["outcomes_conn_id"],
        outcomes_table=texts["outcomes_table"],
        create_tables=texts["create_tables"],
        sync_id=texts["sync_id"],
        records=records,
        places=places,
        verdict=verdict,
        settled_by=texts["settled_by"],
        store_payload=plan.store_payload,
    )


def parse_short(value: Any, name: str) -> str:
    """Return a text.

    :raises ConfigError: for anything else, for none, and for one that is too long.
    """
    text = parse_text(value, name)
    if text is None or len(text) > LONGEST:
        raise ConfigError(f"{name} must not be empty, nor longer than {LONGEST} characters")
    return text


def parse_verdict(value: Any, name: str) -> str:
    """Return a verdict.

    :raises ConfigError: for any other word.
    """
    text = parse_short(value, name)
    one_of(name, text, ("succeeded", "failed"))
    return text


def parse_person(value: Any, name: str) -> str:
    """Return who says so.

    :raises ConfigError: for what the column cannot hold.
    """
    text = parse_short(value, name)
    if len(text) > LONGEST_NAME or "\x00" in text:
        raise ConfigError(f"{name} is a text of at most {LONGEST_NAME} characters")
    return text


def parse_records(value: Any, verdict: Status) -> tuple[dict[str, str | None], dict[str, int]]:
    """Return what is named, with the vendor's ids, and the place of each; both are empty where nothing is given.

    :raises ConfigError: naming what is wrong by its place.
    """
    given = parse_json(value, "records") if not isinstance(value, str) or value.strip() else None
    if given is None or (isinstance(given, Mapping | list | tuple) and not given):
        return {}, {}
    if verdict is Status.SUCCEEDED:
        if not isinstance(given, Mapping):
            raise ConfigError("records is a mapping {record_identifier: the vendor's id} for the verdict succeeded")
        ids = {place: id_of(one, place) for place, one in enumerate(given.values(), 1)}
        once(
            {place: key_of(one) for place, one in ids.items()},
            "gives one of the vendor's ids twice: two records must not claim one contact",
        )
    elif not isinstance(given, list | tuple):
        raise ConfigError("records is a list of record identifiers for the verdict failed")
    names = {place: name_of(one, place) for place, one in enumerate(given, 1)}
    if verdict is Status.FAILED:
        return dict.fromkeys(names.values()), {name: place for place, name in reversed(names.items())}
    once(names, "names one record twice")
    return {name: ids[place] for place, name in names.items()}, {name: place for place, name in names.items()}


def once(texts: Mapping[int, str], what: str) -> None:
    """Check that no text comes twice.

    :raises ConfigError: naming the first two places that hold the same.
    """
    first: dict[str, int] = {}
    for place, text in texts.items():
        if text in first:
            raise ConfigError(f"records {what} (at places {first[text]} and {place})")
        first[text] = place


def name_of(value: Any, place: int) -> str:
    """Return an identifier as the table holds it.

    :raises ConfigError: for what the column cannot hold.
    """
    try:
        text = key_text(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    except InvalidRecordError:
        text = ""
    if not 0 < len(text) <= LONGEST_NAME:
        raise ConfigError(
            f"records holds texts or whole numbers, each of 1 to {LONGEST_NAME} characters; at place {place} is none"
        )
    return text


def id_of(value: Any, place: int) -> str:
    """Return a vendor's id as the table holds it: unlike an identifier, it is never shortened.

    :raises ConfigError: for what is nobody's id.
    """
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    printable = text.isprintable() and text == text.strip() and any(map(str.isalnum, text))
    if not 0 < len(text) <= LONGEST_NAME or not printable or text.casefold() in NOTHING:
        raise ConfigError(
            f"records: the vendor's id at place {place} is none: a text or whole number of 1 to {LONGEST_NAME} "
            "characters, with letters or digits, without control characters, without white space at its ends, and no "
            "word for nothing (null, None)"
        )
    return text


SETTLE_READERS: Mapping[str, Reader] = {
    "outcomes_conn_id": parse_short,
    "outcomes_table": parse_table,
    "sync_id": parse_needed_sync_id,
    "verdict": parse_verdict,
    "settled_by": parse_person,
    "create_tables": parse_truth,
    "store_payload": word("undelivered", "all", "never"),
}
"""What reads each parameter but the records."""
