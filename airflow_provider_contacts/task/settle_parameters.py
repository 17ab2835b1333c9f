"""The parameters of a settling task: a person's verdict on named records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_contacts.errors import ConfigError, InvalidRecordError
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.keys import key_text
from airflow_provider_contacts.records.vendor_ids import key_of
from airflow_provider_contacts.task.parameters import (
    STORE_PAYLOAD,
    Parser,
    StorePayload,
    parse_json,
    parse_needed,
    parse_needed_sync_id,
    parse_one_of,
    parse_table,
    parse_truth,
)

LONGEST_NAME = 255

NOTHING = frozenset({"null", "none", "nan", "nil", "undefined"})
"""Words of templates and other tools for a missing id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleParameters:
    """Parsed parameters; see ``operators`` for their meaning.

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

    @classmethod
    def of(cls, parsed: Mapping[str, Any], records: Any) -> SettleParameters:
        """Return the parameters, the records parsed as the verdict asks for.

        :raises ConfigError: naming what is wrong with the records by its place.
        """
        verdict = Status(parsed["verdict"])
        found, places = parse_records(records, verdict)
        return cls(**{**parsed, "verdict": verdict}, records=found, places=places)


def parse_verdict(value: Any, name: str) -> str:
    """Return ``succeeded`` or ``failed``."""
    return str(parse_one_of("succeeded", "failed")(parse_needed(value, name), name))


def parse_person(value: Any, name: str) -> str:
    """Return who settles, as the column can hold it."""
    text = parse_needed(value, name)
    if len(text) > LONGEST_NAME or "\x00" in text:
        raise ConfigError(f"{name} is a text of at most {LONGEST_NAME} characters")
    return text


def parse_records(value: Any, verdict: Status) -> tuple[dict[str, str | None], dict[str, int]]:
    """Return the vendor's ids and the places of the named records; both are empty if nothing is given.

    :raises ConfigError: naming what is wrong by its place.
    """
    given = parse_json(value, "records") if not isinstance(value, str) or value.strip() else None
    if given is None or (isinstance(given, Mapping | list | tuple) and not given):
        return {}, {}
    if verdict is Status.FAILED:
        if not isinstance(given, list | tuple):
            raise ConfigError("records is a list of record identifiers for the verdict failed")
        names = [parse_identifier(one, place) for place, one in enumerate(given, 1)]
        return dict.fromkeys(names), {name: place for place, name in reversed(list(enumerate(names, 1)))}
    if not isinstance(given, Mapping):
        raise ConfigError("records is a mapping {record_identifier: the vendor's id} for the verdict succeeded")
    ids = [parse_id(one, place) for place, one in enumerate(given.values(), 1)]
    check_distinct(map(key_of, ids), "gives one of the vendor's ids twice: two records must not claim one contact")
    names = [parse_identifier(one, place) for place, one in enumerate(given, 1)]
    places = check_distinct(names, "names one record twice")
    return dict(zip(names, ids, strict=True)), places


def check_distinct(texts: Iterable[str], what: str) -> dict[str, int]:
    """Return the place of each text, from 1.

    :raises ConfigError: naming the first two places that hold the same.
    """
    places: dict[str, int] = {}
    for place, text in enumerate(texts, 1):
        if text in places:
            raise ConfigError(f"records {what} (at places {places[text]} and {place})")
        places[text] = place
    return places


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
            "characters, with letters or digits, without control characters, without white space at its ends, and no "
            "word for nothing (null, None)"
        )
    return text


SETTLE_PARSERS: Mapping[str, Parser] = {
    "outcomes_conn_id": parse_needed,
    "outcomes_table": parse_table,
    "sync_id": parse_needed_sync_id,
    "verdict": parse_verdict,
    "settled_by": parse_person,
    "create_tables": parse_truth,
    "store_payload": STORE_PAYLOAD,
}
"""Of all parameters but the records, whose form depends on the verdict."""
