"""The parameters of a push: one table of what parses each, and the value that they make together."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from io import BytesIO, TextIOWrapper
from typing import Any, Literal

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.run_identity import SYNC_LENGTH
from airflow_provider_contacts.ledgers.table_names import names
from airflow_provider_contacts.nearest import did_you_mean, not_this
from airflow_provider_contacts.vendor_kit.forms import LONGEST_TIMEOUT
from airflow_provider_contacts.vendor_kit.vendor import Limits, Vendor

XcomOutcomes = Literal["auto", "all", "undelivered", "none"]

Parser = Callable[[Any, str], Any]
"""Takes a value and its parameter's name; returns the value in its type, or raises ``ConfigError``."""

MOST_LISTED = 1000
"""Keys of each kind that a plan lists at most: XCom keeps them in Airflow's database."""


def parse_all(parsers: Mapping[str, Parser], given: Mapping[str, Any]) -> dict[str, Any]:
    """Parse every value that has a parser; a ``ConfigError`` names the parameter and what is allowed."""
    return {name: parsers[name](value, name) for name, value in given.items() if name in parsers}


def parse_one_of(*allowed: str | None) -> Parser:
    """Return a parser of one of some words."""

    def parse(value: Any, name: str) -> Any:
        if value not in allowed:
            raise ConfigError(
                f"{name} is one of {list(allowed)}{not_this(value)}{did_you_mean(value, list(filter(None, allowed)))}"
            )
        return value

    return parse


def parse_if(holds: Callable[[Any], bool], allowed: str, *, optional: bool = False) -> Parser:
    """Return a parser of what meets a condition, or is ``None`` where that is allowed."""

    def parse(value: Any, name: str) -> Any:
        if not (optional and value is None) and not holds(value):
            raise ConfigError(f"{name} is {allowed}{not_this(value)}")
        return value

    return parse


def is_count(value: Any) -> bool:
    """Tell whether a value is a whole number of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_encoding(value: Any) -> bool:
    """Tell whether Python decodes text by this name, and alike on every worker."""
    try:
        return value not in {None, "locale"} and TextIOWrapper(BytesIO(), value).read() == ""
    except (LookupError, TypeError, ValueError):
        return False


def is_mark(value: Any) -> bool:
    """Tell whether a value is one character that may stand between or around the cells of CSV."""
    return isinstance(value, str) and len(value) == 1 and value not in "\r\n\0"


def parse_up_to(most: float, allowed: str, *, optional: bool = False) -> Parser:
    """Return a parser of a number above 0 and not above ``most``."""

    def holds(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= most

    return parse_if(holds, allowed, optional=optional)


def is_field_map(value: Any) -> bool:
    """Tell whether a value maps texts to texts, none of them empty."""
    return isinstance(value, Mapping) and all(isinstance(one, str) and one for pair in value.items() for one in pair)


def parse_key(value: Any, name: str) -> tuple[str, ...]:
    """Return the columns of a sync key, none for ``None``."""
    columns = (value,) if isinstance(value, str) else () if value is None else value
    named = isinstance(columns, list | tuple) and all(isinstance(one, str) and one for one in columns)
    if not named or len(set(columns)) != len(columns) or (value is not None and not columns):
        raise ConfigError(f"{name} is a column name, a list of different column names, or None{not_this(value)}")
    return tuple(columns)


def parse_text(value: Any, name: str) -> str | None:
    """Return a text without the white space around it, ``None`` for an empty one."""
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{name} is a text{not_this(value)}")
    return (value or "").strip() or None


def parse_needed(value: Any, name: str) -> str:
    """Return a text that is not empty."""
    text = parse_text(value, name)
    if text is None:
        raise ConfigError(f"{name} must not be empty{not_this(value)}")
    return text


def parse_table(value: Any, name: str) -> str:
    """Return the name of an outcome table."""
    text = parse_needed(value, name)
    names(text)
    return text


def parse_sync_id(value: Any, name: str) -> str | None:
    """Return a text, ``None`` for an empty one; databases disagree about white space at its ends."""
    text = parse_text(value, name)
    if text is not None and text != value:
        raise ConfigError(f"{name} must not begin or end with white space{not_this(value)}")
    if text is not None and len(text) > SYNC_LENGTH:
        raise ConfigError(f"{name} has at most {SYNC_LENGTH} characters{not_this(value)}")
    return text


def parse_needed_sync_id(value: Any, name: str) -> str:
    """Return a ``sync_id`` that is not empty."""
    return parse_sync_id(value, name) or parse_needed(value, name)


def parse_destination(value: Any, name: str) -> Mapping[str, Any] | None:
    """Return a mapping, also from its JSON text; only the vendor knows its keys."""
    found = value
    if isinstance(value, str):
        try:
            found = json.loads(value) if value.strip() else None
        except (ValueError, RecursionError):
            found = value
    if found is not None and not isinstance(found, Mapping):
        raise ConfigError(f"{name} is a mapping, or the JSON text of one{not_this(value)}")
    return found


def parse_bind_values(value: Any, name: str) -> Any:
    """Return bind values; the error does not repeat them."""
    if value is not None and (isinstance(value, str | bytes) or not isinstance(value, Mapping | Sequence)):
        raise ConfigError(f"{name} is a mapping or a list of bind values, or None, not a {type(value).__name__}")
    return value


def parse_truth(value: Any, name: str) -> bool:
    """Return a truth value, also from ``"true"`` or ``"false"`` in any case."""
    found = {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise ConfigError(f"{name} is true or false{not_this(value)}")
    return found


def parse_json(value: Any, name: str) -> Any:
    """Return a value, read from JSON if a template has made text of it."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ConfigError(
            f"{name} is text that is no JSON: give a list or mapping, or end a template with | tojson"
        ) from None


def parse_tolerance(*, fraction: bool) -> Parser:
    """Return a parser of a number of tolerated records, also from a rendered text."""
    allowed = "a count or a fraction below 1, such as 10 or 0.05" if fraction else "a count, such as 10"

    def parse(value: Any, name: str) -> float:
        try:
            number = float(value) if not isinstance(value, bool) else -1.0
        except (TypeError, ValueError, OverflowError):
            number = -1.0
        if (number.is_integer() and number >= 0) or (fraction and 0 < number < 1):
            return number
        raise ConfigError(f"{name} is {allowed}{not_this(value)}")

    return parse


COUNT = "a whole number of at least 1"
STORE_PAYLOAD = parse_one_of("undelivered", "all", "never")
STATED_COUNT = parse_if(is_count, f"{COUNT}, or None for the vendor's own", optional=True)
RATE = parse_up_to(1e6, "a number above 0, or None for the vendor's own", optional=True)
TIMEOUT = parse_up_to(
    LONGEST_TIMEOUT,
    f"a number of seconds above 0, {LONGEST_TIMEOUT} at most, or None for the connection's own",
    optional=True,
)
WAIT = parse_up_to(86_400, "a number of seconds above 0, 86400 at most")
FIELD_MAP = parse_if(is_field_map, "a mapping of source columns to vendor fields, both texts", optional=True)
PLAN_ROWS = parse_if(
    lambda value: type(value) is int and 0 <= value <= MOST_LISTED, f"a whole number from 0 to {MOST_LISTED}"
)


def parsed_by(parse: Parser, default: Any = None) -> Any:
    """Return a field of :class:`PushParameters` with its parser."""
    return field(default=default, metadata={"parse": parse})


@dataclass(frozen=True, slots=True, kw_only=True)
class PushParameters:
    """Parsed parameters of an operator or of a hook's ``push``; see ``operators`` for their meaning.

    Empty texts, as templates leave them, are ``None``. ``xcom_outcomes`` is ``auto`` only without an outcome table.
    """

    contacts_conn_id: str = parsed_by(parse_needed, "")
    destination: Mapping[str, Any] | None = parsed_by(parse_destination)
    sync_key: tuple[str, ...] = parsed_by(parse_key, ())
    field_map: Mapping[str, str] | None = parsed_by(FIELD_MAP)
    unmapped: Literal["error", "ignore"] = parsed_by(parse_one_of("error", "ignore"), "error")
    outcomes_conn_id: str | None = parsed_by(parse_text)
    outcomes_table: str = parsed_by(parse_table, "contact_outcomes")
    create_tables: bool = parsed_by(parse_truth, default=True)
    sync_id: str | None = parsed_by(parse_sync_id)
    on_unknown: Literal["hold", "reconcile", "resend"] = parsed_by(parse_one_of("hold", "reconcile", "resend"), "hold")
    max_rejected: float = parsed_by(parse_tolerance(fraction=True), 0)
    max_unknown: float = parsed_by(parse_tolerance(fraction=False), 0)
    batch_size: int | None = parsed_by(STATED_COUNT)
    max_in_flight: int | None = parsed_by(STATED_COUNT)
    requests_per_second: float | None = parsed_by(RATE)
    request_attempts: int = parsed_by(parse_if(is_count, COUNT), 5)
    request_timeout: float | None = parsed_by(TIMEOUT)
    max_wait: float = parsed_by(WAIT, 60.0)
    store_payload: Literal["undelivered", "all", "never"] = parsed_by(STORE_PAYLOAD, "undelivered")
    xcom_outcomes: Literal["auto", "all", "undelivered", "none"] = parsed_by(
        parse_one_of("auto", "all", "undelivered", "none"), "auto"
    )
    plan_only: bool = parsed_by(parse_truth, default=False)
    plan_rows: int = parsed_by(PLAN_ROWS, 0)
    plan_identifiers: Literal["digest", "clear"] = parsed_by(parse_one_of("digest", "clear"), "digest")

    @classmethod
    def of(cls, parsed: Mapping[str, Any]) -> PushParameters:
        """Return the parameters among parsed values."""
        found = cls(**{one.name: parsed[one.name] for one in fields(cls) if one.name in parsed})
        with_table = found.xcom_outcomes == "auto" and found.outcomes_conn_id
        return replace(found, xcom_outcomes="none") if with_table else found

    def limits(self, vendor: Vendor) -> Limits:
        """Return the vendor's limits, overridden by the user's."""
        most = vendor.limits.batch_size
        if self.batch_size is not None and self.batch_size > most:
            raise ConfigError(f"batch_size is at most {most} for {vendor.title}{not_this(self.batch_size)}")
        limits = {name: getattr(self, name) for name in ("batch_size", "max_in_flight", "requests_per_second")}
        return replace(vendor.limits, **{name: value for name, value in limits.items() if value is not None})


PUSH_PARSERS: Mapping[str, Parser] = {one.name: one.metadata["parse"] for one in fields(PushParameters)}

TABLE_PARSERS: Mapping[str, Parser] = {"outcomes_conn_id": parse_needed, "outcomes_table": parse_table}

FILES_PARSERS: Mapping[str, Parser] = {
    "path": parse_needed,
    "path_conn_id": parse_text,
    "file_format": parse_one_of(None, "csv", "ndjson", "parquet"),
    "encoding": parse_if(is_encoding, "the name of one of Python's encodings of text, such as utf-8 or cp1252"),
    **dict.fromkeys(("delimiter", "quotechar"), parse_if(is_mark, "one character that ends no line")),
}

SQL_PARSERS: Mapping[str, Parser] = {
    "sql": parse_needed,
    "sql_conn_id": parse_needed,
    "parameters": parse_bind_values,
    "chunk_size": parse_if(is_count, COUNT),
}
