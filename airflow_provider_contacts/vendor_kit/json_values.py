"""Tolerant readers of JSON values: each takes any value, and gives one of a certain kind or ``None``."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Any

PHONE_TAIL = 7
NO_DIGITS = {code: None for code in range(128) if not chr(code).isdigit()}  # drops ASCII's other characters


def as_count(value: Any) -> int | None:
    """Return a whole number of at least zero; booleans, texts and floats are none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def as_text(value: Any) -> str | None:
    """Return a non-empty text."""
    return value if isinstance(value, str) and value else None


def as_moment(value: Any) -> datetime | None:
    """Return an ISO 8601 text that tells its offset as a moment."""
    try:
        moment = datetime.fromisoformat(as_text(value) or "")
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def as_id(value: Any) -> str | None:
    """Return an id as text: a non-empty text or a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return as_text(value)


def as_list(value: Any) -> list[Any] | None:
    """Return a list as it is."""
    return value if isinstance(value, list) else None


def as_mapping(value: Any) -> dict[str, Any]:
    """Return an object, or an empty one for anything else, so that look-ups can be chained."""
    return value if isinstance(value, dict) else {}


def fold_text(value: Any) -> str:
    """Return a text for comparing: in compatibility form, case-folded, spaces collapsed; empty for anything else."""
    if not isinstance(value, str):
        return ""
    text = value if value.isascii() else unicodedata.normalize("NFKC", value)
    return " ".join(text.casefold().split())


def fold_phone(value: Any, *, tail: bool = False) -> str:
    """Return the digits of a phone number for comparing, since vendors reformat numbers.

    :param tail: only the last ones, in which its national and international spellings agree.
    """
    if not isinstance(value, str):
        return ""
    ascii_digits = value.translate(NO_DIGITS)
    digits = ascii_digits if value.isascii() else "".join(str(unicodedata.digit(one)) for one in value if one.isdigit())
    return digits[-PHONE_TAIL:] if tail else digits
