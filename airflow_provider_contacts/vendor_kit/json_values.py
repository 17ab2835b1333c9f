"""Tolerant readers of what a vendor answered: each takes any JSON value and gives a proven thing or ``None``."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow_provider_contacts.vendor_kit.vendor import Doubt, Replies

# Drops every ASCII sign that is no digit.
ASCII_DIGITS = {code: None for code in range(128) if not chr(code).isdigit()}


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
    """Return a text for comparing: composed, case-folded, spaces collapsed; empty for anything else."""
    if not isinstance(value, str):
        return ""
    text = value if value.isascii() else unicodedata.normalize("NFC", value)
    return " ".join(text.casefold().split())


def fold_phone(value: Any) -> str:
    """Return the digits of a phone number for comparing, since vendors reformat numbers."""
    if not isinstance(value, str):
        return ""
    if value.isascii():
        return value.translate(ASCII_DIGITS)
    return "".join(str(unicodedata.digit(sign)) for sign in value if sign.isdigit())


def doubt_all(count: int, code: str, message: str | None = None) -> Replies:
    """Return the same doubt ``count`` times: the answer proves nothing about any record."""
    return Replies.of([Doubt(code, message)] * count)


def is_echo(sent: Sequence[Mapping[str, Any]], shown: Sequence[Mapping[str, Any]], names: Collection[str]) -> bool:
    """Tell whether an answer shows each record in its place exactly as it was sent: content and place agree in all.

    :param names: fields that can be sent; what else is shown says nothing, nor does a null.
    """
    return len(sent) == len(shown) and all(
        record == {name: value for name, value in content.items() if value is not None and name in names}
        for record, content in zip(sent, shown, strict=True)
    )


def pair_by(
    sent: Sequence[Mapping[str, Any]],
    returned: Sequence[Any],
    sent_key: Callable[[Mapping[str, Any]], Hashable | None],
    returned_key: Callable[[Any], Hashable | None],
) -> dict[int, int]:
    """Pair sent with returned records by a key, as multisets: index sent to index returned.

    A key that comes equally often on both sides is paired in order: the records behind it are equal as far as can be
    seen. One that comes more often among the returned than among the sent proves nothing and is left unpaired, one
    that comes less often too, since it cannot be told which of the equals is there. ``None`` is never paired.
    """
    wanted: dict[Hashable, list[int]] = {}
    for index, record in enumerate(sent):
        if (key := sent_key(record)) is not None:
            wanted.setdefault(key, []).append(index)
    found: dict[Hashable, list[int]] = {}
    for index, record in enumerate(returned):
        if (key := returned_key(record)) is not None:
            found.setdefault(key, []).append(index)
    pairs: dict[int, int] = {}
    for key, indices in wanted.items():
        if len(found.get(key, ())) == len(indices):
            pairs.update(zip(indices, found[key], strict=True))
    return pairs
