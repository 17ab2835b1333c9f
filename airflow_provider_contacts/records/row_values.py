"""What a row holds when it comes to the mapper, and what is kept of a row that is refused.

Every source sees to it (``sources/plain_values.py``): texts, numbers, truth values, ``None`` (null), NaN (nothing),
decimals with a fraction, moments, bytes, and lists and objects of what JSON can say. Anything else is
:class:`Unreadable`.
"""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

from airflow_provider_contacts.errors import InvalidRecordError

MISSING = math.nan
"""Stands for "nothing" of any library; a given ``None`` stays ``None``."""


class Unreadable:
    """A value that has no plain form: every field refuses it. Shows its type alone."""

    __slots__ = ("kind",)

    def __init__(self, value: object) -> None:
        self.kind = type(value).__name__

    def __repr__(self) -> str:
        """Name the type, as a digest shows it."""
        return f"<{self.kind}>"

    def __str__(self) -> str:
        """Name the type in another way: what is read back as text must not pass for the value."""
        return f"({self.kind})"


def is_missing(value: Any) -> bool:
    """Tell whether a plain value stands for nothing."""
    return value is None or (type(value) is float and math.isnan(value))


Reasons = tuple[tuple[str, str | None, str | None], ...]
"""Why a record is refused: ``(code, field, message)`` each."""

NOT_A_MAPPING: Reasons = (("not_a_mapping", None, "a record is a mapping of column names to values"),)


def reasons_of(error: Exception) -> Reasons:
    """Return why a record is refused whose check or encoding raises this."""
    match error:
        case InvalidRecordError():
            return error.errors
        case UnicodeEncodeError():
            return (("invalid_text", None, "a text holds a lone surrogate, which UTF-8 cannot carry"),)
        case RecursionError():
            return (("not_json", None, "nested too deeply, or in itself"),)
        case ValueError() | TypeError():
            return (("not_json", None, "a value cannot be written as JSON"),)
        case _:
            return (("invalid_value", None, f"a value raises {type(error).__name__} when it is read"),)


def kept_of(record: Any) -> Any:
    """Return what is kept of a refused record, for a person: without missing values, each as JSON or its type."""
    if type(record) is not dict:
        return record
    return {name: kept_value(value) for name, value in record.items() if not is_missing(value)}


def kept_value(value: Any) -> Any:
    """Return what is kept of one value."""
    if type(value) is bytes or (type(value) is float and math.isinf(value)):
        return Unreadable(value)
    try:
        return value.isoformat() if isinstance(value, datetime) else value
    except Exception:  # noqa: BLE001  # a moment's zone may raise anything
        return Unreadable(value)


def rough_text(value: Any) -> bytes:
    """Return a text of a record that is not fit to be sent, whatever it is, for its digest."""
    try:
        text = json.dumps(value, sort_keys=True, default=repr)
    except Exception:  # noqa: BLE001  # mixed key types, circles, numbers with too many digits
        parts = [part for pair in value.items() for part in pair] if type(value) is dict else [value]
        text = "\n".join(map(text_of, parts))
    return text.encode("utf-8", "backslashreplace")


def text_of(value: Any) -> str:
    """Return what Python shows of a value, or of which type it is."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  # a number with too many digits, for one
        return type(value).__name__
