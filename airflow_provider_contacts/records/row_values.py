"""What a row holds when it comes to the mapper; every source sees to it (``sources/plain_values.py``).

Texts, numbers, truth values, ``None`` (null), NaN (nothing), decimals with a fraction, moments, bytes, and lists and
objects of what JSON can say. Anything else is :class:`Unreadable`.
"""

from __future__ import annotations

import math
from typing import Any

MISSING = math.nan
"""Stands for "nothing" of any library; a given ``None`` stays ``None``."""


class Unreadable:
    """A value that has no plain form: every field refuses it. Shows its type alone."""

    __slots__ = ("kind",)

    def __init__(self, value: object) -> None:
        self.kind = type(value).__name__

    def __repr__(self) -> str:
        """Name the type, as the digest of a refused record shows it."""
        return f"<{self.kind}>"

    def __str__(self) -> str:
        """Name the type, in other words: what was read back as text must not pass for the value."""
        return f"({self.kind})"


def is_missing(value: Any) -> bool:
    """Tell whether a plain value stands for nothing."""
    return value is None or (type(value) is float and math.isnan(value))
