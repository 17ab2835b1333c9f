"""Who a record is: one text for a key from every source, and a digest of what will be sent."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from airflow_provider_contacts.errors import InvalidRecordError
from airflow_provider_contacts.records.forgotten import FORGOTTEN, PREFIX
from airflow_provider_contacts.records.row_values import Reasons, Unreadable, is_missing, rough_text

HASH_VERSION = "v1"
"""Begins every ``payload_hash``: two digests are comparable only under one version."""

IDENTIFIER_LENGTH = 255
LONGEST_INTEGER = 800  # bits, which are fewer digits than an identifier may have

SURROGATE = re.compile("[\ud800-\udfff]")

# Of CSV: what pandas makes of a whole number the day another one is missing, and it and Excel of a long one.
FLOAT = re.compile(r"-?[0-9]+\.0|-?[0-9](\.[0-9]+)?[eE]\+[0-9]+")

# From here on a float no longer tells neighbouring integers apart.
EXACT_FLOAT = 2**53


def key_text(value: Any) -> str:
    """Return one part of a sync key as text, the same for every source that can hold it."""
    if is_missing(value) or value == "":
        raise InvalidRecordError([("missing_key", None, "the sync key is empty")])
    for kind, text_of in KEY_TEXTS:
        if isinstance(value, kind):
            try:
                return text_of(value)
            except InvalidRecordError:
                raise
            except ValueError:
                raise no_key("a number this long is no sync key") from None
            except OverflowError:
                raise no_key("a time outside the years that UTC has") from None
    name = value.kind if isinstance(value, Unreadable) else type(value).__name__
    raise no_key(f"a value of the type {name} is no sync key; cast it to text")


def no_key(text: str) -> InvalidRecordError:
    """Return the refusal of a value that is no key."""
    return InvalidRecordError([("invalid_key", None, text)])


def storable_text(value: str) -> str:
    """Return a text that every outcome table can hold."""
    if "\x00" in value or not (value.isascii() or SURROGATE.search(value) is None):
        raise no_key("the sync key holds characters that no table can store")
    # Not str(): a member of a text enumeration would give its name.
    return str.__str__(value)


def float_text(value: float) -> str:
    """Return an integral float as the integer: pandas turns keys into ``1.0`` the day one of them is missing."""
    if not value.is_integer() or abs(value) >= EXACT_FLOAT:
        raise no_key("an inexact number is no sync key; cast it to text")
    return str(int(value))


# In this order: a bool is an int.
KEY_TEXTS: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (str, storable_text),
    (bool, lambda value: "true" if value else "false"),
    (int, lambda value: str(int(value))),
    (float, float_text),
    (Decimal, lambda value: format(value, "f").rstrip("0")),
    (datetime, lambda value: (value if value.utcoffset() is None else value.astimezone(UTC)).isoformat()),
)


def identifier_of(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Return a record's identifier: the key's text, or a compact JSON array of several texts."""
    texts = [key_text(row.get(column)) for column in columns]
    text = texts[0] if len(texts) == 1 else json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
    if FORGOTTEN.fullmatch(text):
        raise no_key("the name of a forgotten person, as the outcome table has it, is no sync key")
    return stored(text)


def stored(text: str) -> str:
    """Return a key as a table holds it."""
    return text if len(text) <= IDENTIFIER_LENGTH else "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def check_untyped(row: Mapping[str, Any], columns: Sequence[str]) -> None:
    """Refuse a key of CSV that may be another text in the next file, or stand for several records."""
    if any(FLOAT.fullmatch(row.get(column) or "") for column in columns):
        raise no_key("a float such as 1.0 or 1E+16 is no sync key of CSV: write whole numbers with all their digits")


def identifiers_of(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], refused: dict[int, Reasons], *, untyped: bool = False
) -> list[str | None]:
    """Return the identifiers of many rows; ``refused`` takes, by place, why a row has none.

    :param untyped: every value is a text.
    """
    if len(columns) == 1:
        values: list[Any] = [row.get(columns[0]) for row in rows]
        kinds = set(map(type, values))
        if kinds == {int} and max(map(int.bit_length, values)) <= LONGEST_INTEGER:
            return list(map(str, values))
        if kinds == {str} and all(values):
            text = "".join(values)
            if (
                text.isascii()
                and "\x00" not in text
                and PREFIX not in text
                and max(map(len, values)) <= IDENTIFIER_LENGTH
            ):
                return values
    found: list[str | None] = []
    for place, row in enumerate(rows):
        try:
            if untyped:
                check_untyped(row, columns)
            found.append(identifier_of(row, columns))
            continue
        except InvalidRecordError as error:
            reasons = error.errors
        except Exception as error:  # noqa: BLE001  # a moment's zone may raise anything
            reasons = (("invalid_key", None, f"reading it raises {type(error).__name__}"),)
        found.append(None)
        refused[place] = tuple((code, ",".join(columns), text) for code, _, text in reasons)
    return found


CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
# Ten times as fast, and the same text for what is_plain lets pass; it writes floats otherwise.
PLAIN = msgspec.json.Encoder(order="sorted")

PLAIN_TYPES = frozenset({str, bool, type(None)})
EXACT_INTEGER = 2**63


def canonical(payload: Any) -> bytes:
    """Return the one JSON text of a payload: sorted keys, no spaces, UTF-8; raise for what it cannot say."""
    return PLAIN.encode(payload) if is_plain(payload) else CANONICAL.encode(payload).encode()


def is_plain(value: Any) -> bool:
    """Tell whether a value is made of objects, lists, texts, truth values, integers of 64 bits and nothing else."""
    kind = type(value)
    if kind is dict:
        return all(type(name) is str and is_plain(member) for name, member in value.items())
    if kind is list:
        return all(map(is_plain, value))
    return kind in PLAIN_TYPES or (kind is int and -EXACT_INTEGER <= value < EXACT_INTEGER)


def digest(data: bytes) -> str:
    """Return the digest of a canonical text as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def rough_digest(value: Any) -> str:
    """Return a digest of a record that is not fit to be sent, whatever it is."""
    return digest(rough_text(value))
