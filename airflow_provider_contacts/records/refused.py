"""What is kept of a record that our own check refuses."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from airflow_provider_contacts.records.row_values import Unreadable, is_missing

BITS = frozenset({b"\x00", b"\x01"})


def kept_of(record: Any) -> Any:
    """Return what is kept of a refused record, for a person."""
    if type(record) is not dict:
        return record.shown if type(record) is Unreadable else record
    return {name: shown(value) for name, value in record.items() if not is_missing(value)}


def shown(value: Any) -> Any:
    """Return what is kept of one value."""
    if type(value) is Unreadable:
        return value.shown
    if isinstance(value, datetime):
        return value.isoformat()
    unsaid = value not in BITS if type(value) is bytes else type(value) is float and math.isinf(value)
    return Unreadable(value) if unsaid else value
