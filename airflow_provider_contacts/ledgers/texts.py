"""What a vendor wrote, made fit for a column: storing an outcome must not fail on the text that comes with it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_contacts.core.outcome import RecordError

NAME_LENGTH = 255
MESSAGE_LENGTH = 2000
ERRORS_KEPT = 50

# Control characters but tab and line ends, and surrogates: no database takes all of them.
UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# The same within JSON text, where JSON itself escapes control characters; JSONB takes no escaped NUL.
UNSTORABLE_IN_JSON = re.compile(r"\\u0000|[" + "\ud800-\udfff]")
REPLACEMENT = "\ufffd"


def clean(text: str | None, length: int) -> str | None:
    """Return ``text`` without what cannot be stored, cut to ``length`` characters."""
    # What can be printed can be stored, and nearly all of it can.
    if text is None or (type(text) is str and len(text) <= length and text.isprintable()):
        return text
    # A vendor may send a number where a text is documented.
    return UNSTORABLE.sub(REPLACEMENT, str(text)[:length])


def errors_json(errors: Sequence[RecordError], *, messages: bool) -> str | None:
    """Return the first reasons as JSON text, ``None`` for none.

    :param messages: whether the vendor's texts may be kept.
    """
    if not errors:
        return None
    kept = [
        {
            "code": clean(error.code, NAME_LENGTH),
            "field": clean(error.field, NAME_LENGTH),
            **({"message": clean(error.message, MESSAGE_LENGTH)} if messages else {}),
        }
        for error in errors[:ERRORS_KEPT]
    ]
    return json.dumps(kept, ensure_ascii=False)


def payload_json(payload: Mapping[str, Any] | None) -> str | None:
    """Return a payload as JSON text that every database takes; ``None`` if there is none or no text can be made.

    What JSON cannot say (dates, decimals, NaN) becomes its text: such a record was refused by our own check and is kept
    for a person to read.
    """
    if payload is None:
        return None
    try:
        text = json.dumps(payload, ensure_ascii=False, allow_nan=False)
        if not UNSTORABLE_IN_JSON.search(text):
            return text
    except (TypeError, ValueError, RecursionError):
        pass
    try:
        return json.dumps(plain(payload), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None


def plain(value: Any) -> Any:
    """Return ``value`` in JSON's own types, texts storable."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return UNSTORABLE.sub(REPLACEMENT, value)
        case Mapping():
            return {UNSTORABLE.sub(REPLACEMENT, str(name)): plain(inner) for name, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(inner) for inner in value]
        case _:
            return UNSTORABLE.sub(REPLACEMENT, str(value))
