"""Field types for contracts. Each sends a text as it came, and refuses only what is certainly wrong.

- ``Email``: a text with the form of an email address.
- ``Uuid``: a UUID with hyphens, as text.
- ``Date``: a date, ``YYYY-MM-DD``, as text.
- ``Moment``: an ISO 8601 date and time with its UTC offset, as text.
- ``Flag``: a truth value; 0 and 1 are accepted.
- ``Whole``: a whole number; a float without a fraction is accepted.
- ``Number``: a finite number; a decimal that a float writes with the same digits is accepted.
- ``Anything``: any value that JSON has exactly. ``Object``: an object of such values.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

# One @, no spaces or control characters, a dot inside the domain and no empty label. RFC 5322 lets pass what no vendor
# takes, and a stricter reading would refuse internationalised addresses.
EMAIL = re.compile(
    r"[^\s@\x00-\x1f\x7f<>(),;:\\\"\[\]]+@(?:[^\s@.\x00-\x2c\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+\.)+[^\s@.\x00-\x2c\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+"
)
# As JSON writes numbers: "007" and "+5" are texts. The exponent is bounded, or seven characters would be gigabytes.
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
LONGEST_NUMBER = 100
FLAGS = {"true": True, "false": False, "1": True, "0": False}
EMAIL_LENGTH = 320  # RFC 3696 erratum 1690: 64 for the mailbox, the @, 255 for the domain


def check_email(value: str) -> str:
    """Return a text that has the form of an email address."""
    if len(value) > EMAIL_LENGTH or not EMAIL.fullmatch(value):
        raise PydanticCustomError("invalid_email", "not the form of an email address")
    return value


def check_uuid(value: str) -> str:
    """Return ``value`` if it is a UUID in the usual form with hyphens."""
    with suppress(ValueError):
        if str(UUID(value)) == value.lower():
            return value
    raise PydanticCustomError("invalid_uuid", "not a UUID of the form 8-4-4-4-12")


def check_date(value: str) -> str:
    """Return ``value`` if it is a date, ``YYYY-MM-DD``."""
    with suppress(ValueError):
        if date.fromisoformat(value).isoformat() == value:
            return value
    raise PydanticCustomError("invalid_date", "not a date of the form YYYY-MM-DD")


def check_datetime(value: str) -> str:
    """Return ``value`` if it is a moment, ISO 8601 with its offset."""
    with suppress(ValueError):
        if datetime.fromisoformat(value).tzinfo is not None:
            return value
    raise PydanticCustomError("invalid_datetime", "not an ISO 8601 date and time with its UTC offset")


def check_flag(value: Any) -> Any:
    """Return 0 and 1, and a bit of MySQL's, as the booleans that they stand for; the rest is left to the type."""
    if isinstance(value, bytes):
        return {b"\x00": False, b"\x01": True}.get(value, value)
    return bool(value) if isinstance(value, int | float) and value in {0, 1} else value


def check_whole(value: Any) -> Any:
    """Return an integral float as the integer that it stands for: data frames know no other integers with gaps."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def check_number(value: Any) -> Any:
    """Return a finite number; a decimal as the float that is written with the same digits."""
    if isinstance(value, Decimal) and value.is_finite() and Decimal(repr(float(value))) == value:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise PydanticCustomError("wrong_type", "a finite number is wanted")
    return value


def check_json(value: Any) -> Any:
    """Return a value that JSON can say exactly, names of objects included.

    A decimal with a fraction is refused: its text and its number are different things to who reads them later.
    """
    if type(value) is str or type(value) is bool:
        return value
    try:
        exact = json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError, RecursionError):
        exact = False
    if not exact:
        raise PydanticCustomError(
            "not_json", "holds what JSON cannot say exactly (a decimal, bytes, an unknown object, …); cast it to text"
        )
    return value


def number_of_text(text: str) -> Any:
    """Return the number that a text without a type is, as JSON writes numbers; any other text as it is."""
    if len(text) > LONGEST_NUMBER or not NUMBER.fullmatch(text):
        return text
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() else number


def flag_of_text(text: str) -> Any:
    """Return the truth value that a text without a type is: true or false in any case, 1 or 0; else the text."""
    return FLAGS.get(text.lower(), text)


def reader_of_text(kinds: Collection[Any]) -> Callable[[str], Any] | None:
    """Return how a field of these types reads the text of a source that knows no types; ``None``: as it is."""
    return READERS.get(frozenset(kinds))


def not_beside(other: str) -> AfterValidator:
    """Refuse a field beside another, earlier one: which of both counts is unknown."""

    def check(value: Any, info: ValidationInfo) -> Any:
        if info.data.get(other) is not None:
            raise PydanticCustomError("conflict", f"given together with {other}")
        return value

    return AfterValidator(check)


READERS: Mapping[frozenset[Any], Callable[[str], Any]] = {
    frozenset({bool}): flag_of_text,
    **dict.fromkeys((frozenset({int}), frozenset({float}), frozenset({int, float})), number_of_text),
}

Email = Annotated[StrictStr, AfterValidator(check_email)]
Uuid = Annotated[StrictStr, AfterValidator(check_uuid)]
Date = Annotated[StrictStr, AfterValidator(check_date)]
Moment = Annotated[StrictStr, AfterValidator(check_datetime)]
Flag = Annotated[StrictBool, BeforeValidator(check_flag)]
Whole = Annotated[StrictInt, BeforeValidator(check_whole)]
Number = Annotated[float, PlainValidator(check_number, json_schema_input_type=float)]
Anything = Annotated[Any, AfterValidator(check_json)]
Object = Annotated[dict[str, Any], Field(strict=True), AfterValidator(check_json)]
