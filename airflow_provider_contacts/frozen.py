"""Frozen values that are cheap to build: a push makes several of each record.

A frozen dataclass costs half a microsecond a field, which was a third of all that a push computes.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Value(Struct, frozen=True, kw_only=True, gc=False):
    """A frozen value of keyword fields; ``msgspec.structs.replace`` makes a changed one.

    Shows none of its fields: they hold personal data, and a value ends up in logs and tracebacks.
    """

    def __repr__(self) -> str:
        """Name the type alone."""
        return f"<{type(self).__name__}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show rich tracebacks no more."""
        return []
