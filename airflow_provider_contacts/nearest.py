"""Suggestions for misspelled names."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

LONGEST_SHOWN = 40
"""Characters of a wrong value that an error text repeats."""


def not_this(value: Any) -> str:
    """Return the end of an error text that says which value a parameter has: it is a setting, never a record."""
    plain = value is None or isinstance(value, str | int | float)
    kind = f"a text of {len(value)} characters" if isinstance(value, str) else f"a {type(value).__name__}"
    shown = repr(value) if plain and len(repr(value)) <= LONGEST_SHOWN else kind
    return f", not {shown}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like another one, ``None`` where none is near."""
    return next(iter(nearest_first(name, known, 1)), None)


def nearest_first(name: str, known: Iterable[str], most: int) -> list[str]:
    """Return some known names that are like another one, the nearest first.

    Case, and whether words are joined by ``_``, ``-`` or a space, make no difference.
    """
    by_shape = {shape(one): one for one in known}
    return [by_shape[one] for one in get_close_matches(shape(name), by_shape, n=most, cutoff=0.65)]


def did_you_mean(name: Any, known: Iterable[str], most: int = 1) -> str:
    """Return the end of an error text that names the nearest known names; empty where none is near."""
    near = nearest_first(name, known, most) if isinstance(name, str) else ()
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def shape(name: str) -> str:
    """Return a name without what people mix up in it."""
    return name.strip().lower().replace("-", "_").replace(" ", "_")
