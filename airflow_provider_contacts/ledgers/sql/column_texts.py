"""What a vendor wrote, made fit for a column: storing an outcome must not fail on the text that comes with it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.vendor_kit.sanitize import (
    ERRORS_KEPT,
    MESSAGE_LENGTH,
    NAME_LENGTH,
    REPLACEMENT,
    UNSTORABLE,
    clean,
)

# The same within JSON text, where JSON itself escapes control characters; JSONB takes no escaped NUL.
UNSTORABLE_IN_JSON = re.compile(r"\\u0000|[" + "\ud800-\udfff]")


def errors_json(errors: Sequence[RecordError], *, messages: bool) -> str | None:
    """Return the first reasons as JSON text, with the vendor's texts if they may be kept; ``None`` for none."""
    if not errors:
        return None
    kept = [
        {"code": clean(error.code, NAME_LENGTH), "field": clean(error.field, NAME_LENGTH)}
        | ({"message": clean(error.message, MESSAGE_LENGTH)} if messages else {})
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
